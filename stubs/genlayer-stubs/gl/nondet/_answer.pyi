# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Answers of the LLM and web modules."""
__all__ = ('Image', 'NondetException')
import dataclasses
import typing
from ...py import calldata
import PIL.Image

class NondetException(Exception):
    """The module answered with an error; ``args`` holds it, typically a dict with ``causes``, ``fatal``, ``ctx``."""

@dataclasses.dataclass
class Image:
    """Encoded bytes of an image, and the image."""
    raw: bytes
    pil: PIL.Image.Image

def _decode_nondet(data: bytes) -> typing.Any:
    """Content of ``{"ok": …}``; a truthy ``error`` is raised."""
