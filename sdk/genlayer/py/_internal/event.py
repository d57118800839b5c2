"""Event classes and their encoding (spec sdk/04 §9)."""

__all__ = ("Event",)

import types
import typing

from .. import calldata
from ..keccak import Keccak256
from ..public_abi import EVENT_MAX_TOPICS
from .reflect import type_name

_VAR_POSITIONAL = 0x04
_VAR_KEYWORD = 0x08
_TOPIC_SIZE = 32


def _indexed_names(init: types.FunctionType) -> tuple[str, ...]:
    """Sorted names of the indexed fields of an event's ``__init__``."""
    code = init.__code__
    names = code.co_varnames

    def reject(name: str, text: str) -> typing.NoReturn:
        error = TypeError(text)
        error.add_note(f"parameter `{name}`")
        if name in init.__annotations__:
            error.add_note(f"of type `{type_name(init.__annotations__[name])}`")
        raise error

    if code.co_argcount == 0 or names[0] != "self":
        raise TypeError("first argument must be `self`")
    for name in names[max(1, code.co_posonlyargcount) : code.co_argcount]:
        reject(name, "specify `/` after indexed fields")
    keyword_end = code.co_argcount + code.co_kwonlyargcount
    if code.co_flags & _VAR_POSITIONAL:
        reject(names[keyword_end], "`*args` is forbidden")
    if code.co_kwonlyargcount:
        reject(names[code.co_argcount], "keyword-only arguments are forbidden")
    return tuple(sorted(names[1 : code.co_posonlyargcount]))


def _topic(value: typing.Any) -> bytes:
    data = calldata.encode(value)
    return Keccak256(data).digest() if len(data) > _TOPIC_SIZE else data.ljust(_TOPIC_SIZE, b"\0")


class Event:
    """Base of event classes: positional-only parameters of ``__init__`` are the indexed fields.

    Positional values are matched to the *sorted* names. Without ``gl`` an event can be encoded, not emitted.
    """

    name: typing.ClassVar[str]
    indexed: typing.ClassVar[tuple[str, ...]]
    signature: typing.ClassVar[str]

    fields: dict[str, calldata.Encodable]

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        super().__init_subclass__()
        if abstract:
            return
        try:
            init = cls.__dict__.get("__init__")
            assert isinstance(init, types.FunctionType), "an event needs an `__init__` of its own"
            cls.indexed = _indexed_names(init)
        except Exception as exc:
            exc.add_note(f"generating event class `{cls.__name__}`")
            raise
        cls.name = cls.__dict__.get("name", cls.__name__)
        cls.signature = f"{cls.name}({','.join(cls.indexed)})"
        if len(cls.indexed) > EVENT_MAX_TOPICS:
            import warnings

            warnings.warn(
                f"event has too many indexed fields, it may not be emitted correctly: {cls.signature}", stacklevel=2
            )
        # the body of the written `__init__` is never run
        cls.__init__ = Event._fill  # type: ignore[method-assign]

    def __init__(self, /, *args: calldata.Encodable, **blob: calldata.Encodable) -> None:
        raise NotImplementedError

    def _fill(self, /, *args: calldata.Encodable, **blob: calldata.Encodable) -> None:
        cls = type(self)
        if len(args) != len(cls.indexed):
            raise TypeError(
                f"indexed fields mismatch, expected {cls.indexed}, but got {len(args)} positional arguments"
            )
        for name in cls.indexed:
            if name in blob:
                raise TypeError(f"indexed field `{name}` must not be present in blob")
        self.fields = {**dict(zip(cls.indexed, args, strict=True)), **blob}

    def topics(self) -> list[bytes]:
        """Keccak-256 of the signature, then one topic of 32 bytes per indexed field in sorted order."""
        cls = type(self)
        head = Keccak256(cls.signature.encode("utf-8")).digest()
        return [head, *(_topic(self.fields[name]) for name in cls.indexed)]
