"""What a service counts, as Prometheus reads it; each service has a registry, as several live in one process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

#: How a request ended: the envelope, a client that went away, or a service that was stopped.
Outcome = Literal["ok", "user_error", "fatal_error", "abandoned"]
#: Why a connection was not served: a web page's, another path, too many sessions, no good hello.
Refusal = Literal["origin", "token", "busy", "hello"]

#: Requests that there are. Names come from outside, and every label value stays in memory.
_REQUESTS: Final = frozenset({"Prompt", "PromptTemplate", "Request", "Render", "GetStats"})
_SECONDS: Final = (0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0)


class Metrics:
    """Counters of one service. ``registry`` takes those of its parts too."""

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self, name: str) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        prefix = f"genvm_module_{name}"
        self._open = Gauge(f"{prefix}_sessions", "Sessions that are open", registry=self.registry)
        self._sessions = Counter(f"{prefix}_sessions_opened", "Sessions opened", registry=self.registry)
        self._refused = Counter(
            f"{prefix}_connections_refused", "Connections refused, by reason", ["reason"], registry=self.registry
        )
        self._requests = Counter(
            f"{prefix}_requests", "Requests by name and outcome", ["request", "outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            f"{prefix}_request_seconds",
            "Seconds from a request to its answer",
            ["request"],
            buckets=_SECONDS,
            registry=self.registry,
        )

        # To look a label up takes longer than to count.
        self._requests_of = functools.cache(self._requests.labels)
        self._seconds_of = functools.cache(self._seconds.labels)

    def count_open(self, count: Callable[[], float]) -> None:
        """Where the number of open sessions is found."""
        self._open.set_function(count)

    def session_opened(self) -> None:
        self._sessions.inc()

    def refused(self, reason: Refusal) -> None:
        self._refused.labels(reason).inc()

    def answered(self, request: str, outcome: Outcome, seconds: float) -> None:
        name = request if request in _REQUESTS else "other"
        self._requests_of(name, outcome).inc()
        self._seconds_of(name).observe(seconds)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
