"""What the service counts, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pygenvm.settlement.service.node import Made, Node


class Metrics:
    """Counters of one service, in a registry of its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, node: Node) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        own = self.registry
        self._requests = Counter(
            "genvm_settlement_requests", "Requests by route and status", ["route", "status"], registry=own
        )
        for name, text, count in (
            ("height", "Height of the last accepted block", lambda: node.height),
            ("waiting", "Transactions that wait for a block", lambda: node.waiting),
            ("watchers", "Clients of the event stream", lambda: node.feed.watchers),
        ):
            Gauge(f"genvm_settlement_{name}", text, registry=own).set_function(count)
        self._transactions = Counter(
            "genvm_settlement_transactions", "Transactions by what became of them", ["outcome"], registry=own
        )
        self._tasks = Counter("genvm_settlement_tasks", "Tasks by their end", ["state"], registry=own)
        node.observe(self._made)

    def answered(self, route: str, status: int) -> None:
        """``route`` is the pattern of a known route, or ``other``."""
        self._requests.labels(route, str(status)).inc()

    def _made(self, made: Made) -> None:
        self._transactions.labels("included").inc(len(made.included))
        self._transactions.labels("refused").inc(len(made.refused))
        for task in made.settled:
            self._tasks.labels(str(task["state"])).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)
