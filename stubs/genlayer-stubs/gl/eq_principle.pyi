# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Equivalence principles: non-deterministic blocks with a ready-made validator (spec sdk/04 §5)."""
__all__ = ('prompt_comparative', 'prompt_non_comparative', 'strict_eq')
import functools
import typing
from collections.abc import Callable
from ..py.types import Lazy
from . import vm
from ._internal.gl_call import gl_call_generic, lazy_api
from .nondet._answer import _decode_nondet
import typing_extensions
_T = typing_extensions.TypeVar('_T')

class _StrictEq:

    def __call__(self, fn: Callable[[], _T]) -> _T:
        """Validators run ``fn`` too and must get an equal result; errors are equal by class and message."""

    def lazy(self, fn: Callable[[], _T]) -> Lazy[_T]:
        """Validators run ``fn`` too and must get an equal result; errors are equal by class and message."""
strict_eq: _StrictEq

class _PromptComparative:

    def __call__(self, fn: Callable[[], _T], principle: str) -> _T:
        """Validators run ``fn`` too; an LLM decides whether both answers agree under ``principle``."""

    def lazy(self, fn: Callable[[], _T], principle: str) -> Lazy[_T]:
        """Validators run ``fn`` too; an LLM decides whether both answers agree under ``principle``."""
prompt_comparative: _PromptComparative

class _PromptNonComparative:

    def __call__(self, fn: Callable[[], str], *, task: str, criteria: str) -> str:
        """An LLM does ``task`` on what ``fn`` returns; validators' LLMs judge the answer by ``criteria``."""

    def lazy(self, fn: Callable[[], str], *, task: str, criteria: str) -> Lazy[str]:
        """An LLM does ``task`` on what ``fn`` returns; validators' LLMs judge the answer by ``criteria``."""
prompt_non_comparative: _PromptNonComparative
