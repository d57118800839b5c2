"""Equivalence principles: non-deterministic blocks with a ready-made validator (spec sdk/04 §5)."""

__all__ = ("prompt_comparative", "prompt_non_comparative", "strict_eq")

import functools
import typing
from collections.abc import Callable

from ..py.types import Lazy
from . import vm
from ._internal.gl_call import gl_call_generic, lazy_api
from .nondet._answer import _decode_nondet


def _strict_validator(fn: Callable[[], typing.Any], leader: vm.Result[typing.Any]) -> bool:
    return vm.spawn_sandbox(fn) == leader


@lazy_api
def strict_eq[T](fn: Callable[[], T]) -> Lazy[T]:
    """Validators run ``fn`` too and must get an equal result; errors are equal by class and message."""
    return vm.run_nondet_unsafe.lazy(fn, functools.partial(_strict_validator, fn))


def _exec_template(template: str, **fields: str) -> typing.Any:
    return gl_call_generic({"ExecPromptTemplate": {"template": template, **fields}}, _decode_nondet).get()


def _comparative_validator(fn: Callable[[], typing.Any], principle: str, leader: vm.Result[typing.Any]) -> bool:
    my = fn()
    if not isinstance(leader, vm.Return):
        return False
    agrees: bool = _exec_template(
        "EqComparative",
        leader_answer=format(leader.calldata),
        validator_answer=format(my),
        principle=principle,
    )
    return agrees


@lazy_api
def prompt_comparative[T](fn: Callable[[], T], principle: str) -> Lazy[T]:
    """Validators run ``fn`` too; an LLM decides whether both answers agree under ``principle``."""
    return vm.run_nondet.lazy(fn, functools.partial(_comparative_validator, fn, principle))


def _non_comparative_leader(fn: Callable[[], str], task: str, criteria: str) -> str:
    inp = fn()
    assert isinstance(inp, str)
    answer: str = _exec_template("EqNonComparativeLeader", task=task, input=inp, criteria=criteria)
    return answer


def _non_comparative_validator(fn: Callable[[], str], task: str, criteria: str, leader: vm.Result[typing.Any]) -> bool:
    my = fn()
    if not isinstance(leader, vm.Return):
        return False
    fits: bool = _exec_template(
        "EqNonComparativeValidator", task=task, output=leader.calldata, input=my, criteria=criteria
    )
    return fits


@lazy_api
def prompt_non_comparative(fn: Callable[[], str], *, task: str, criteria: str) -> Lazy[str]:
    """An LLM does ``task`` on what ``fn`` returns; validators' LLMs judge the answer by ``criteria``."""
    return vm.run_nondet.lazy(
        functools.partial(_non_comparative_leader, fn, task, criteria),
        functools.partial(_non_comparative_validator, fn, task, criteria),
    )
