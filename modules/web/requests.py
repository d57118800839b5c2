"""What an executor may ask of the web service, and what a script may answer (spec modules/03 §1, §2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

METHODS: Final = ("GET", "POST", "HEAD", "DELETE", "OPTIONS", "PATCH")
MODES: Final = ("text", "html", "screenshot")

_DURATION: Final = re.compile(r"([0-9]+)(ms|s)")
_U16_LIMIT: Final = 1 << 16


class MalformedRequest(ValueError):
    """A request is not as the protocol says; the text names the field."""


class MalformedAnswer(ValueError):
    """A script returned something that is no answer; the text names the member."""


@dataclass(frozen=True)
class Render:
    mode: str
    url: str
    wait_seconds: float

    def payload(self) -> dict[str, Any]:
        """As the script gets it (spec modules/03 §8)."""
        return {"mode": self.mode, "url": self.url, "wait_after_loaded": self.wait_seconds}


@dataclass(frozen=True)
class Fetch:
    method: str
    url: str
    headers: Mapping[str, bytes]
    body: bytes | None
    sign: bool

    def payload(self) -> dict[str, Any]:
        """As the script gets it."""
        payload = {"method": self.method, "url": self.url, "headers": dict(self.headers), "sign": self.sign}
        return payload if self.body is None else payload | {"body": self.body}


def read_render(value: Any, wait_seconds_max: float) -> Render:
    """The payload of a Render; longer waits are shortened to ``wait_seconds_max``.

    :raises MalformedRequest: it is none.
    """
    fields = _map(value, "Render")
    return Render(
        mode=_choice(fields, "mode", MODES),
        url=_text(fields, "url"),
        wait_seconds=min(_duration(fields), wait_seconds_max),
    )


def read_fetch(value: Any) -> Fetch:
    """The payload of a Request.

    :raises MalformedRequest: it is none.
    """
    fields = _map(value, "Request")
    headers = fields.get("headers")
    if not isinstance(headers, dict):
        raise MalformedRequest(f"field `headers`: a map of bytes is expected, not {_kind(headers)}")
    for name, header in headers.items():
        if not isinstance(header, bytes):
            raise MalformedRequest(f"field `headers`: the value of {name[:100]!r} must be bytes, not {_kind(header)}")
    body, sign = fields.get("body"), fields.get("sign", False)
    if body is not None and not isinstance(body, bytes):
        raise MalformedRequest(f"field `body`: bytes or null are expected, not {_kind(body)}")
    if not isinstance(sign, bool):
        raise MalformedRequest(f"field `sign`: a bool is expected, not {_kind(sign)}")
    return Fetch(_choice(fields, "method", METHODS), _text(fields, "url"), headers, body, sign)


def render_answer(value: Any) -> dict[str, Any]:
    """What goes into the Ok for ``{text = …}`` or ``{image = …}``.

    :raises MalformedAnswer: neither.
    """
    if isinstance(value, Mapping):
        fields = _named(value)
        if isinstance(text := fields.get("text"), str | bytes):
            return {"text": text.decode("utf-8", "replace") if isinstance(text, bytes) else text}
        if isinstance(image := fields.get("image"), str | bytes):
            return {"image": _bytes(image)}
    raise MalformedAnswer(f"Render of the script must return a table with text or image, not {_kind(value)}")


def fetch_answer(value: Any, bytes_max: int) -> dict[str, Any]:
    """What goes into the Ok for ``{status, headers, body}``; a body that is absent is empty.

    :raises MalformedAnswer: a member has a wrong type.
    """
    what = "Request of the script must return a table with"
    if not isinstance(value, Mapping):
        raise MalformedAnswer(f"{what} status, headers and body, not {_kind(value)}")
    fields = _named(value)
    status, headers, body = fields.get("status"), fields.get("headers") or {}, fields.get("body", b"")
    if isinstance(status, float) and status.is_integer():
        status = int(status)
    if type(status) is not int or not 0 <= status < _U16_LIMIT:
        raise MalformedAnswer(f"{what} a whole number as status, not {_kind(status)}")
    if not isinstance(headers, Mapping):
        raise MalformedAnswer(f"{what} a table as headers, not {_kind(headers)}")
    if not isinstance(body, str | bytes):
        raise MalformedAnswer(f"{what} a string as body, not {_kind(body)}")
    if len(body) > bytes_max:
        raise MalformedAnswer(f"{what} a body of at most {bytes_max} bytes, not {len(body)}")
    answered = {}
    for name, header in _named(headers).items():
        if not isinstance(header, str | bytes | int | float) or isinstance(header, bool):
            raise MalformedAnswer(f"{what} strings as headers; {name[:100]!r} is {_kind(header)}")
        answered[name.lower()] = _bytes(header if isinstance(header, str | bytes) else str(header))
    return {"response": {"status": status, "headers": answered, "body": _bytes(body)}}


def _map(value: Any, request: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedRequest(f"the payload of {request} must be a map, not {_kind(value)}")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise MalformedRequest(f"field `{name}`: a string is expected, not {_kind(value)}")
    return value


def _choice(fields: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = fields.get(name)
    if value not in choices:
        shown = repr(value[:100]) if isinstance(value, str) else _kind(value)
        raise MalformedRequest(f"field `{name}`: one of {', '.join(choices)} is expected, not {shown}")
    return str(value)


def _duration(fields: dict[str, Any]) -> float:
    value = fields.get("wait_after_loaded", "0ms")
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        shown = repr(value[:100]) if isinstance(value, str) else _kind(value)
        raise MalformedRequest(f"field `wait_after_loaded`: a text such as 500ms or 2s is expected, not {shown}")
    digits = match[1].lstrip("0") or "0"
    # Longer than anybody waits, and than Python converts.
    number = int(digits) if len(digits) <= 18 else 10**18
    return number / 1000 if match[2] == "ms" else float(number)


def _named(table: Mapping[Any, Any]) -> dict[str, Any]:
    """A table of Lua with texts for keys."""
    return {key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key): v for key, v in table.items()}


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a bool"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case bytes():
            return "bytes"
        case list():
            return "an array"
        case dict():
            return "a map"
    return f"a {type(value).__name__}"
