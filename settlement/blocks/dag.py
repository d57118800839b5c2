"""Vertices of core tasks and their conflict rule (spec settlement/03 §5)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from pygenvm.settlement.codec import wire
from pygenvm.settlement.codec.records import TaskRecord
from pygenvm.settlement.codec.wire import Vertex
from pygenvm.settlement.state import keys
from pygenvm.settlement.state.store import Store
from pygenvm.settlement.types.block_errors import BlockError, BlockRefusal
from pygenvm.settlement.types.words import Hash


def build(parent: Hash, parent_height: int, pending: Iterable[TaskRecord]) -> Vertex:
    """A vertex of all pending tasks, by their ids, so that everybody builds the same; of each id the first one.

    ``ValueError`` without any task.
    """
    tasks: dict[str, TaskRecord] = {}
    for task in pending:
        tasks.setdefault(task.id, task)
    if not tasks:
        raise ValueError("no pending tasks")
    jobs = tuple(sorted(tasks))
    return Vertex(
        height=parent_height + 1,
        epoch=0,
        parents=(parent,),
        tx_ids=tuple(wire.vertex_tx_id(job) for job in jobs),
        job_ids=jobs,
        tasks=tuple(tasks[job] for job in jobs),
    )


class Vertices:
    """Accepted vertices of a store. What conflicts with one of them is refused."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def verify(self, vertex: Vertex) -> None:
        if not all(task.id for task in vertex.tasks):
            raise BlockError(BlockRefusal.ErrVertexTask)
        if any(self._store.read(_job(job)) not in (None, vertex.id) for job in vertex.job_ids):
            raise BlockError(BlockRefusal.ErrVertexConflict)

    def accept(self, vertex: Vertex) -> None:
        self.verify(vertex)
        self._store.apply({vertex.id: vertex.encode(), **{_job(job): vertex.id for job in vertex.job_ids}})

    def vertex(self, vertex_id: Hash) -> Vertex | None:
        data = self._store.read(vertex_id)
        return None if data is None else wire.parse_vertex(data)


def _job(job_id: str) -> bytes:
    return keys.JOBS + hashlib.sha256(job_id.encode()).digest()
