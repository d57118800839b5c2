"""The internal prompt, which scripts, providers and checks exchange (spec modules/02 §4), and its images (§2.1)."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError

#: What is wanted of a model; ``bool`` is the verdict of a JSON object with the member ``result``.
Format = Literal["text", "json", "bool"]
FORMATS: tuple[Format, ...] = ("text", "json", "bool")

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff\xe0"


class BadPrompt(ValueError):
    """A prompt is not what the protocol says; the text names the field."""


@dataclass(frozen=True)
class Prompt:
    """``images`` are whole PNG or JPEG files."""

    user_message: str
    system_message: str | None = None
    temperature: float = 0.7
    max_tokens: int = 1000
    images: tuple[bytes, ...] = ()
    use_max_completion_tokens: bool = False


def read_prompt(value: Any) -> Prompt:
    """The prompt in a map; members that are not known are ignored.

    :raises BadPrompt: a member is missing or has another type.
    """
    if not isinstance(value, Mapping):
        raise BadPrompt(f"the prompt must be a map, not {_kind(value)}")
    system = value.get("system_message")
    if system is not None and not isinstance(system, str):
        raise _not_a("system_message", system, "text")
    user = value.get("user_message")
    if not isinstance(user, str):
        raise _not_a("user_message", user, "text")
    temperature = value.get("temperature")
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not math.isfinite(temperature):
        raise _not_a("temperature", temperature, "number")
    max_tokens = value.get("max_tokens")
    if isinstance(max_tokens, float) and max_tokens.is_integer():
        max_tokens = int(max_tokens)
    if type(max_tokens) is not int or not 0 < max_tokens <= limits.LLM_TOKENS:
        raise BadPrompt(f"max_tokens of the prompt must be a whole number from 1 to {limits.LLM_TOKENS}")
    images = value.get("images", [])
    # A Lua table without members is a map as well as a list.
    images = list(images.values()) if isinstance(images, Mapping) and not images else images
    if not isinstance(images, list | tuple) or not all(isinstance(image, bytes) for image in images):
        raise _not_a("images", images, "list of bytes")
    if len(images) > limits.LLM_IMAGES:
        raise BadPrompt(f"the prompt has {len(images)} images, at most {limits.LLM_IMAGES} are accepted")
    flag = value.get("use_max_completion_tokens", False)
    if not isinstance(flag, bool):
        raise _not_a("use_max_completion_tokens", flag, "bool")
    return Prompt(user, system, float(temperature), max_tokens, tuple(images), flag)


def _not_a(name: str, value: object, kind: str) -> BadPrompt:
    if value is None:
        return BadPrompt(f"{name} of the prompt is missing, a {kind} is expected")
    return BadPrompt(f"{name} of the prompt must be a {kind}, not {_kind(value)}")


def _kind(value: object) -> str:
    """In words that scripts in Lua and programs in JSON have."""
    match value:
        case None:
            return "null"
        case bool():
            return "a bool"
        case float():
            return f"the number {value}"
        case int():
            return "a number"
        case str():
            return "a text"
        case bytes():
            return "bytes"
        case list() | tuple():
            return "a list with something else in it" if value else "an empty list"
        case Mapping():
            return "a map"
    return f"a {type(value).__name__}"


def image_type(data: bytes) -> str | None:
    """``image/png``, ``image/jpeg``, or None for everything else."""
    if data.startswith(_PNG):
        return "image/png"
    return "image/jpeg" if data.startswith(_JPEG) else None


def encoded_image(data: bytes) -> tuple[str, str]:
    """Media type and base64 text, as providers want them.

    :raises ModuleError: ``INVALID_IMAGE``, fatal: no script should have let it through.
    """
    media_type = image_type(data)
    if media_type is None:
        raise ModuleError("INVALID_IMAGE")
    return media_type, base64.b64encode(data).decode("ascii")
