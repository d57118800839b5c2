"""LLM and web access; non-deterministic blocks only, elsewhere ``SystemError: 6: forbidden`` (spec sdk/01 §3.6)."""

__all__ = ("Image", "exec_prompt", "web")

import typing
from collections.abc import Sequence

from ...py.types import Lazy
from .._internal.gl_call import gl_call_generic, lazy_api
from . import web
from ._answer import Image
from ._answer import NondetException as NondetException
from ._answer import _decode_nondet as _decode_nondet


@typing.overload
def exec_prompt(
    prompt: str,
    *,
    response_format: typing.Literal["text"] = "text",
    images: Sequence[bytes | Image] | None = None,
    image: bytes | Image | None = None,
    **_ignored: typing.Any,
) -> Lazy[str]: ...
@typing.overload
def exec_prompt(
    prompt: str,
    *,
    response_format: typing.Literal["json"],
    images: Sequence[bytes | Image] | None = None,
    image: bytes | Image | None = None,
    **_ignored: typing.Any,
) -> Lazy[dict[str, typing.Any]]: ...
@lazy_api
def exec_prompt(
    prompt: str,
    *,
    response_format: typing.Literal["text", "json"] = "text",
    images: Sequence[bytes | Image] | None = None,
    image: bytes | Image | None = None,
    **_ignored: typing.Any,
) -> Lazy[typing.Any]:
    """Ask an LLM: text, or a dict with ``response_format="json"``. At most two images; ``image=x``: ``images=[x]``."""
    if images is None:
        images = [] if image is None else [image]
    return gl_call_generic(
        {
            "ExecPrompt": {
                "prompt": prompt,
                "response_format": response_format,
                "images": [img.raw if isinstance(img, Image) else img for img in images],
            }
        },
        _decode_nondet,
    )
