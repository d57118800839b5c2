"""Receipts of tasks that were played through on a chain."""

from __future__ import annotations

from pygenvm.settlement.state.sqlite import SqliteStore
from pygenvm.settlement.verifier.checks import Finding, Verdict
from tests.settlement.chains import ETHER, REQUESTER, Net, new_chain
from tests.settlement.engines import intent


def played(store: SqliteStore | None = None) -> Net:
    """Three tasks: the first with a quorum (one dissents, one withholds), the second without, the third unanswered."""
    net = Net(new_chain(store))
    net.register_all()
    tasks = [net.ask(1), net.ask(2), net.ask(3)]
    outputs = {tasks[0]: (1, 1, 1, 2, 1), tasks[1]: (1, 2, 3, 4, 5)}
    for task, votes in outputs.items():
        for operator, output in zip(net.leader.engine().selection(task), votes, strict=True):
            net.commit(task, operator, output)
    last = net.block().height
    net.to_height(last + 30)
    for task, votes in outputs.items():
        for operator, output in zip(net.leader.engine().selection(task)[:4], votes, strict=False):
            net.reveal(task, operator, output)
    net.block()
    net.to_height(last + 62)
    return net


ASKED = [intent(REQUESTER, c_tx=number, reward=ETHER).intent_id for number in (1, 2, 3)]


def said(findings: list[Finding], verdict: Verdict) -> list[str]:
    return [finding.sentence for finding in findings if finding.verdict is verdict]
