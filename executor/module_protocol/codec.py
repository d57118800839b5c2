"""Frames between an executor and the LLM and web services, without I/O (spec modules/01, executor/04 "Modules").

Every frame is one calldata value. The executor sends the hello first, which is not answered, then requests; the
service answers each before the next one is sent.

========  =========================  ===========================================================================
frame     sent by                    value
========  =========================  ===========================================================================
hello     executor                   ``{"cookie": str, "host_data": {"node_address": str, "tx_id": str, …}}``
request   executor                   ``{name: payload}``, or the string ``name`` of a request without payload
answer    service                    ``{"Ok": value}``, ``{"UserError": value}`` or ``{"FatalError": str}``
========  =========================  ===========================================================================

Both sides stand here: the executor encodes hellos and requests and decodes answers, a service does the opposite. All
decoders raise :class:`MalformedFrame`, for frames above :data:`executor.limits.MODULE_MESSAGE_BYTES` too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.limits import MODULE_MESSAGE_BYTES
from pygenvm.executor.primitives import calldata

#: The request without payload that both services know.
GET_STATS: Final = "GetStats"

#: Largest magnitude at which every integer has a double of its own.
_EXACT_FLOAT = (1 << 53) - 1
_U16_LIMIT = 1 << 16
_U64_LIMIT = 1 << 64


class MalformedFrame(ValueError):
    """A frame is not what the protocol says; the text tells what is wrong."""


class Hello(metaclass=Frozen):
    """First frame of a session. ``cookie`` goes into logs; ``host_data`` has the strings node_address and tx_id."""

    cookie: str
    host_data: Mapping[str, Any]


class Request(metaclass=Frozen):
    """``payload`` is None for a request without one."""

    name: str
    payload: Any = None


class Ok(metaclass=Frozen):
    """Success."""

    value: Any


class UserError(metaclass=Frozen):
    """A failure that the contract gets to see; services send ``{"causes": [str, …], "ctx": map}``."""

    value: Any


class FatalError(metaclass=Frozen):
    """A failure that ends the whole run. Nodes read the text with regular expressions (spec modules/05 §6)."""

    text: str


Answer: TypeAlias = Ok | UserError | FatalError


class LlmAnswer(metaclass=Frozen):
    """Inside of the LLM service's Ok. ``consumed_gen`` fits 64 bits; ``data`` is not checked yet."""

    data: Any
    consumed_gen: int


# --- frames ---------------------------------------------------------------------------------------


def encode_hello(hello: Hello) -> bytes:
    """:raises ValueError: a value of ``host_data`` has no calldata form."""
    return _encode({"cookie": hello.cookie, "host_data": hello.host_data})


def decode_hello(frame: bytes) -> Hello:
    """The hello; members that are not known are ignored, those of ``host_data`` kept."""
    value = _decode(frame)
    if type(value) is not dict:
        raise MalformedFrame("the hello is not a map")
    host_data = _field(value, "host_data", dict)
    for name in ("node_address", "tx_id"):
        _field(host_data, name, str)
    return Hello(_field(value, "cookie", str), host_data)


def encode_request(request: Request) -> bytes:
    """:raises ValueError: the payload has no calldata form."""
    return _encode(request.name if request.payload is None else {request.name: request.payload})


def decode_request(frame: bytes) -> Request:
    """Name and payload; which ones exist, and their fields, is the service's part."""
    value = _decode(frame)
    if type(value) is str:
        return Request(value)
    name, payload = _variant(value, "request")
    return Request(name, payload)


def encode_answer(answer: Answer) -> bytes:
    """:raises ValueError: the value has no calldata form, for example a number with a fraction."""
    return _encode({type(answer).__name__: answer.text if isinstance(answer, FatalError) else answer.value})


def decode_answer(frame: bytes) -> Answer:
    """The envelope; what is in an Ok depends on the request."""
    name, value = _variant(_decode(frame), "answer")
    match name:
        case "Ok":
            return Ok(value)
        case "UserError":
            return UserError(value)
        case "FatalError":
            if type(value) is not str:
                raise MalformedFrame(f"FatalError holds a {type(value).__name__} instead of a text")
            return FatalError(value)
    raise MalformedFrame(f"an answer cannot be {name[:32]!r}")


# --- inside of Ok ---------------------------------------------------------------------------------


def read_web_answer(value: Any) -> dict[str, Any]:
    """One of ``{"text": str}``, ``{"image": bytes}`` and ``{"response": {"status": u16, "headers": map of bytes,
    "body": bytes}}``; unknown fields of the response are left out.

    :raises MalformedFrame: anything else.
    """
    name, content = _variant(value, "web answer")
    if name == "text" and type(content) is str:
        return {"text": content}
    if name == "image" and type(content) is bytes:
        return {"image": content}
    if name != "response" or type(content) is not dict:
        raise MalformedFrame(f"a web answer cannot be {name[:32]!r} with a {type(content).__name__}")
    headers = _field(content, "headers", dict)
    for key in headers:
        _field(headers, key, bytes)
    response = {
        "status": _integer(content, "status", _U16_LIMIT),
        "headers": headers,
        "body": _field(content, "body", bytes),
    }
    return {"response": response}


def read_llm_answer(value: Any) -> LlmAnswer:
    """``{"data": …, "consumed_gen": u64}``.

    :raises MalformedFrame: not a map, or no usable ``consumed_gen``.
    """
    if type(value) is not dict:
        raise MalformedFrame(f"an LLM answer cannot be a {type(value).__name__}")
    return LlmAnswer(value.get("data"), _integer(value, "consumed_gen", _U64_LIMIT))


AnswerReader: TypeAlias = Callable[[Any], Any]


# --- values ---------------------------------------------------------------------------------------


def _encode(value: Any) -> bytes:
    return calldata.encode(value, default=_plain)


def _plain(value: Any) -> Any:
    """JSON numbers may be floats; those that are whole numbers have a calldata form (spec modules/01 §1)."""
    if type(value) is not float:
        return value
    if not value.is_integer() or abs(value) > _EXACT_FLOAT:
        raise ValueError(f"the number {value!r} is not a whole number of at most 53 bits")
    return int(value)


def _decode(frame: bytes) -> Any:
    if len(frame) > MODULE_MESSAGE_BYTES:
        raise MalformedFrame(f"frame of {len(frame)} bytes, at most {MODULE_MESSAGE_BYTES} are accepted")
    try:
        return calldata.decode(frame)
    except ValueError as error:
        raise MalformedFrame(f"not calldata: {error}") from error


def _variant(value: Any, what: str) -> tuple[str, Any]:
    if type(value) is not dict or len(value) != 1:
        raise MalformedFrame(f"{what} is not a map with one key")
    ((name, payload),) = value.items()
    return name, payload


def _field(record: dict[str, Any], name: str, kind: type) -> Any:
    value = record.get(name)
    if type(value) is not kind:
        raise MalformedFrame(f"{name[:32]} is a {type(value).__name__} instead of a {kind.__name__}")
    return value


def _integer(record: dict[str, Any], name: str, limit: int) -> int:
    value: int = _field(record, name, int)
    if not 0 <= value < limit:
        raise MalformedFrame(f"{name} is out of range")
    return value
