"""Answers of the LLM and web modules."""

__all__ = ("Image", "NondetException")

import dataclasses
import typing

from ...py import calldata

if typing.TYPE_CHECKING:
    import PIL.Image


class NondetException(Exception):
    """The module answered with an error; ``args`` holds it, typically a dict with ``causes``, ``fatal``, ``ctx``."""


@dataclasses.dataclass
class Image:
    """Encoded bytes of an image, and the image."""

    raw: bytes
    pil: "PIL.Image.Image"


def _decode_nondet(data: bytes) -> typing.Any:
    """Content of ``{"ok": …}``; a truthy ``error`` is raised."""
    answer: dict[str, typing.Any] = calldata.decode(data)
    error = answer.get("error")
    if error:
        raise NondetException(error)
    return answer["ok"]
