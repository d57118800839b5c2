# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""LLM and web access; non-deterministic blocks only, elsewhere ``SystemError: 6: forbidden`` (spec sdk/01 §3.6)."""
__all__ = ('Image', 'exec_prompt', 'web')
import typing
from collections.abc import Sequence
from ...py.types import Lazy
from .._internal.gl_call import gl_call_generic, lazy_api
from . import web
from ._answer import Image
from ._answer import NondetException as NondetException
from ._answer import _decode_nondet as _decode_nondet

class _ExecPrompt:

    @typing.overload
    def __call__(self, prompt: str, *, response_format: typing.Literal['text']=..., images: Sequence[bytes | Image] | None=..., image: bytes | Image | None=..., **_ignored: typing.Any) -> str:
        """Ask an LLM: text, or a dict with ``response_format="json"``. At most two images; ``image=x``: ``images=[x]``."""

    @typing.overload
    def __call__(self, prompt: str, *, response_format: typing.Literal['json'], images: Sequence[bytes | Image] | None=..., image: bytes | Image | None=..., **_ignored: typing.Any) -> dict[str, typing.Any]:
        """Ask an LLM: text, or a dict with ``response_format="json"``. At most two images; ``image=x``: ``images=[x]``."""

    @typing.overload
    def lazy(self, prompt: str, *, response_format: typing.Literal['text']=..., images: Sequence[bytes | Image] | None=..., image: bytes | Image | None=..., **_ignored: typing.Any) -> Lazy[str]:
        """Ask an LLM: text, or a dict with ``response_format="json"``. At most two images; ``image=x``: ``images=[x]``."""

    @typing.overload
    def lazy(self, prompt: str, *, response_format: typing.Literal['json'], images: Sequence[bytes | Image] | None=..., image: bytes | Image | None=..., **_ignored: typing.Any) -> Lazy[dict[str, typing.Any]]:
        """Ask an LLM: text, or a dict with ``response_format="json"``. At most two images; ``image=x``: ``images=[x]``."""
exec_prompt: _ExecPrompt
