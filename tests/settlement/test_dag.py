"""Vertices of core tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pygenvm.settlement.blocks import dag
from pygenvm.settlement.codec import wire
from pygenvm.settlement.codec.records import TaskRecord
from pygenvm.settlement.state.memory import MemoryStore
from pygenvm.settlement.types.block_errors import BlockError
from tests.settlement.vectors import word


def test_everybody_builds_the_same() -> None:
    tasks = [TaskRecord("b", fee=1), TaskRecord("a"), TaskRecord("b", fee=2)]
    vertex = dag.build(word(1), 6, tasks)
    assert (vertex.height, vertex.epoch, vertex.parents, vertex.job_ids) == (7, 0, (word(1),), ("a", "b"))
    assert vertex.tx_ids == (wire.vertex_tx_id("a"), wire.vertex_tx_id("b"))
    assert [task.fee for task in vertex.tasks] == [0, 1]
    assert dag.build(word(1), 6, [tasks[1], tasks[0]]) == vertex
    assert wire.parse_vertex(vertex.encode()) == vertex
    with pytest.raises(ValueError, match="no pending tasks"):
        dag.build(word(1), 6, [])


def test_of_two_vertices_with_one_job_one_is_accepted() -> None:
    vertices = dag.Vertices(MemoryStore())
    first = dag.build(word(1), 1, [TaskRecord("a"), TaskRecord("b")])
    second = dag.build(word(2), 2, [TaskRecord("b"), TaskRecord("c")])
    third = dag.build(word(2), 2, [TaskRecord("c")])
    vertices.accept(first)
    vertices.accept(first)
    assert vertices.vertex(first.id) == first
    with pytest.raises(BlockError) as caught:
        vertices.accept(second)
    assert caught.value.name == "ErrVertexConflict"
    assert vertices.vertex(second.id) is None
    vertices.accept(third)


def test_tasks_need_an_id() -> None:
    vertices = dag.Vertices(MemoryStore())
    with pytest.raises(BlockError, match="task missing ID") as caught:
        vertices.verify(replace(dag.build(word(1), 1, [TaskRecord("a")]), tasks=(TaskRecord(""),)))
    assert caught.value.name == "ErrVertexTask"
