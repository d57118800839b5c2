"""Calldata: the canonical, self-delimiting binary format of values (spec executor/01, sdk/01 §5).

A value is an unsigned LEB128 header ``n << 3 | kind`` and, for some kinds, a tail:

======  =========================  ==========================================================
kind    meaning of n               tail
======  =========================  ==========================================================
0       0 null, 1 false, 2 true,   20 bytes for an address, otherwise nothing
        3 address
1       the integer                nothing
2       ``-integer - 1``           nothing
3, 4    length in bytes            bytes, UTF-8 text
5       element count              the elements
6       pair count                 pairs (LEB128 key length, UTF-8 key, value), keys increasing
======  =========================  ==========================================================

Encoder and decoder keep a stack of their own, so :data:`MAX_DEPTH` limits nesting and never the
interpreter. Ships inside the sandbox too, so only the standard library is used.
"""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from .address import Address
from .uleb import NotMinimal, read_uleb, write_uleb

__all__ = (
    "MAX_DEPTH",
    "MAX_ITEMS",
    "MAX_LENGTH",
    "CalldataEncodable",
    "Decoded",
    "DecodingError",
    "Encodable",
    "EncodableWithDefault",
    "decode",
    "encode",
    "to_str",
)

MAX_DEPTH: Final = 10_000
"""Arrays and maps inside each other; ours, the format has no limit."""
MAX_ITEMS: Final = 1 << 22
"""Array elements and map pairs of one value in all; ours, it bounds the memory that a short input can take."""
MAX_LENGTH: Final = (1 << 32) - 1
"""Length of a byte string, text or key and count of an array or map (spec executor/01, decoder rule 1)."""


class DecodingError(ValueError):
    """The bytes are not the encoding of a value, or a value has no text form."""


class CalldataEncodable(metaclass=abc.ABCMeta):
    """Objects that say themselves how they are encoded; other classes can be registered with ``register``."""

    @abc.abstractmethod
    def __to_calldata__(self) -> Encodable:
        """The value to encode instead; it is not replaced a second time."""


Buffer: TypeAlias = bytes | bytearray | memoryview
Decoded: TypeAlias = bool | int | str | bytes | Address | list["Decoded"] | dict[str, "Decoded"] | None
Encodable: TypeAlias = (
    int | str | Buffer | Address | CalldataEncodable | Sequence["Encodable"] | Mapping[str, "Encodable"] | None
)
try:
    # The interpreter of the sandbox has the plain cases in C; for others it gives NotImplemented.
    import _genlayer_calldata as _plain  # type: ignore[import-not-found]
except ImportError:
    _plain = None

_T = TypeVar("_T")
EncodableWithDefault: TypeAlias = (
    _T
    | int
    | str
    | Buffer
    | Address
    | CalldataEncodable
    | Sequence["EncodableWithDefault[_T]"]
    | Mapping[str, "EncodableWithDefault[_T]"]
    | None
)

# Encoding


def _dataclass_to_dict(value: Any) -> Any:
    """Fields of a dataclass instance by name; anything else as it is."""
    if hasattr(type(value), "__dataclass_fields__"):
        # whoever has made the instance has paid for the import
        import dataclasses

        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value


_PLAIN_TYPES = frozenset((str, int, bool, type(None), dict, list, tuple, bytes, Address))
"""Types that are encoded without a look at their base classes."""
_LONG: Final = 4096
"""Bytes and texts of this length are copied only once, at the end."""


def _to_plain(value: Any) -> Any:
    """The value as an instance of exactly one of the plain types."""
    if isinstance(value, CalldataEncodable):
        value = value.__to_calldata__()
    if type(value) in _PLAIN_TYPES:
        return value
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, Address):
        return Address(value.as_bytes)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Sequence):
        _check_count(len(value), MAX_ITEMS)
        return list(value)
    if isinstance(value, Mapping):
        _check_count(len(value), MAX_ITEMS)
        return {key: value[key] for key in value}
    raise TypeError(f"not calldata encodable {value!r}: {type(value).__name__}")


def _check_count(count: int, items_left: int) -> None:
    if count > items_left:
        raise ValueError(f"calldata has more than {MAX_ITEMS} items")


def _checked(length: int) -> int:
    if length > MAX_LENGTH:
        raise ValueError(f"calldata has a value of more than {MAX_LENGTH} bytes")
    return length


def encode(x: Any, *, default: Callable[[Any], Any] = _dataclass_to_dict) -> bytes:
    """Canonical encoding of ``x``.

    ``default`` is applied to ``x`` and everything inside it first; the standard one turns dataclass instances into
    maps. Accepted are None, bool, int, :class:`Address`, byte strings, str, sequences, mappings with str keys, and
    :class:`CalldataEncodable` (:data:`Encodable`).

    Raises ``TypeError`` for other objects and other keys, ``ValueError`` for more than :data:`MAX_DEPTH` levels
    (cycles too), :data:`MAX_ITEMS` items or :data:`MAX_LENGTH` bytes, ``UnicodeEncodeError`` for text with lone
    surrogates. The keys that lead to the fault are attached as notes, innermost first.
    """
    standard = default is _dataclass_to_dict
    if _plain is not None and standard:
        encoded: bytes = _plain.encode(x, Address)
        if encoded is not NotImplemented:
            return encoded
    out = bytearray()
    push = out.append
    # What comes before ``out``.
    done: list[bytes] = []
    items_left = MAX_ITEMS
    # The container being written: an iterator over its elements or sorted keys, and the mapping if it is one.
    rest: Iterator[Any] = iter((x,))
    mapping: Any = None
    key: Any = None
    parents: list[tuple[Iterator[Any], Any, Any]] = []
    try:
        while True:
            for value in rest:
                if mapping is not None:
                    key = value
                    if not isinstance(key, str):
                        raise TypeError(f"key is not string {type(key).__name__}")
                    raw = key.encode()
                    length = len(raw)
                    if length < 0x80:
                        push(length)
                    else:
                        out += write_uleb(_checked(length))
                    out += raw
                    value = mapping[key]
                if not standard:
                    value = default(value)
                kind = type(value)
                if kind not in _PLAIN_TYPES:
                    value = _to_plain(_dataclass_to_dict(value) if standard else value)
                    kind = type(value)
                if kind is str:
                    raw = value.encode()
                    length = len(raw)
                    if length < 16:
                        push(length << 3 | 4)
                    else:
                        out += write_uleb(_checked(length) << 3 | 4)
                    if length < _LONG:
                        out += raw
                    else:
                        done += (bytes(out), raw)
                        out.clear()
                elif kind is int:
                    header = value << 3 | 1 if value >= 0 else ~value << 3 | 2
                    if header < 1 << 63:
                        while header > 0x7F:
                            push(header & 0x7F | 0x80)
                            header >>= 7
                        push(header)
                    else:
                        out += write_uleb(header)
                elif kind is dict or kind is list or kind is tuple:
                    count = len(value)
                    _check_count(count, items_left)
                    items_left -= count
                    header = count << 3 | (6 if kind is dict else 5)
                    if header < 0x80:
                        push(header)
                    else:
                        out += write_uleb(header)
                    if count:
                        if len(parents) == MAX_DEPTH:
                            raise ValueError(f"calldata is nested more than {MAX_DEPTH} levels deep")
                        inner = iter(sorted(value) if kind is dict else value)
                        parents.append((rest, mapping, key))
                        rest, mapping = inner, value if kind is dict else None
                        break
                elif value is None:
                    push(0x00)
                elif value is False:
                    push(0x08)
                elif value is True:
                    push(0x10)
                elif kind is bytes:
                    length = len(value)
                    if length < 16:
                        push(length << 3 | 3)
                    else:
                        out += write_uleb(_checked(length) << 3 | 3)
                    if length < _LONG:
                        out += value
                    else:
                        done += (bytes(out), value)
                        out.clear()
                else:
                    push(0x18)
                    out += value.as_bytes
            else:
                if not parents:
                    return b"".join((*done, out)) if done else bytes(out)
                rest, mapping, key = parents.pop()
    except Exception as error:
        if mapping is not None:
            error.add_note(f"key {key!r}")
        for _, outer, outer_key in reversed(parents):
            if outer is not None:
                error.add_note(f"key {outer_key!r}")
        raise


# Decoding


def decode(buf: Buffer, *, memview2bytes: Callable[[memoryview], Any] = bytes) -> Any:
    """The value (:data:`Decoded`) whose encoding is ``buf``: None, bool, int, str, bytes, Address, list, dict.

    ``memview2bytes`` makes the result for a byte string out of a view of the input. Raises :class:`DecodingError` for
    anything that is not the canonical encoding of one value, or is beyond :data:`MAX_DEPTH` or :data:`MAX_ITEMS`, and
    ``UnicodeDecodeError`` (both are ``ValueError``) for text that is not strict UTF-8.
    """
    data = buf if type(buf) is bytes else bytes(buf)
    plain_bytes = memview2bytes is bytes
    if _plain is not None and plain_bytes:
        decoded = _plain.decode(data, Address)
        if decoded is not NotImplemented:
            return decoded
    size = len(data)
    view = memoryview(data)
    pos = 0
    items_left = MAX_ITEMS
    # The container being filled: append of a list or None for a dict, the dict, its last key, and items to come.
    root: list[Any] = []
    append: Any = root.append
    mapping: Any = None
    key: Any = None
    left = 1
    parents: list[tuple[Any, Any, Any, int]] = []
    value: Any
    try:
        while True:
            if mapping is not None:
                length = data[pos]
                pos += 1
                if length > 0x7F:
                    length, pos = read_uleb(data, pos - 1)
                end = pos + length
                if end > size or length > MAX_LENGTH:
                    raise DecodingError("unexpected end of memory")
                previous = key
                key = data[pos:end].decode()
                pos = end
                if previous is not None and previous >= key:
                    raise DecodingError(f"unordered calldata keys: `{previous}` >= `{key}`")
            header = data[pos]
            pos += 1
            if header > 0x7F:
                high = data[pos]
                if 0 < high < 0x80:
                    header += (high - 1) << 7
                    pos += 1
                else:
                    header, pos = read_uleb(data, pos - 1)
            kind = header & 7
            number = header >> 3
            if kind == 4 or kind == 3:
                end = pos + number
                if end > size or number > MAX_LENGTH:
                    raise DecodingError("unexpected end of memory")
                if kind == 4:
                    value = data[pos:end].decode()
                elif plain_bytes:
                    value = data[pos:end]
                else:
                    value = memview2bytes(view[pos:end])
                pos = end
            elif kind == 1:
                value = number
            elif kind == 5 or kind == 6:
                value = [] if kind == 5 else {}
                if number:
                    if number > items_left:
                        raise DecodingError(f"more than {MAX_ITEMS} items")
                    items_left -= number
                    if len(parents) == MAX_DEPTH:
                        raise DecodingError(f"nested more than {MAX_DEPTH} levels deep")
                    if mapping is not None:
                        mapping[key] = value
                    else:
                        append(value)
                    parents.append((append, mapping, key, left))
                    if kind == 5:
                        append, mapping = value.append, None
                    else:
                        append, mapping, key = None, value, None
                    left = number
                    continue
            elif kind == 2:
                value = ~number
            elif kind == 7:
                raise DecodingError("invalid type 7")
            elif header == 0x00:
                value = None
            elif header == 0x08:
                value = False
            elif header == 0x10:
                value = True
            elif header == 0x18:
                end = pos + Address.SIZE
                if end > size:
                    raise DecodingError("unexpected end of memory")
                value = Address(data[pos:end])
                pos = end
            else:
                raise DecodingError(
                    f"Unknown special {header:#b} {header:#x}" if header < 1 << 64 else "Unknown special"
                )
            if mapping is not None:
                mapping[key] = value
            else:
                append(value)
            left -= 1
            while not left:
                if not parents:
                    if pos != size:
                        raise DecodingError(f"unparsed end {data[pos : pos + 5]!r}... (decoded {_brief(root[0])})")
                    return root[0]
                append, mapping, key, left = parents.pop()
                left -= 1
    except IndexError as error:
        raise DecodingError("unexpected end of memory") from error
    except NotMinimal as error:
        raise DecodingError(str(error)) from None


def _brief(value: Decoded) -> str:
    """``repr`` for messages, without the content of what may be big."""
    if isinstance(value, list | dict | str | bytes) and len(value) > 0:
        return f"{type(value).__name__} of length {len(value)}"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"int of {value.bit_length()} bits"
    return repr(value)


# Text


def to_str(x: Any) -> str:
    """``x`` as compact text: JSON with ``b#<hex>`` and ``addr#<hex>``; map entries stay in their order.

    Raises :class:`DecodingError` for what is not calldata (dataclasses are not converted), other keys than str and more
    than :data:`MAX_DEPTH` levels; ``ValueError`` for integers that Python refuses to write in decimal.
    """
    parts: list[str] = []
    rest: Iterator[Any] = iter((x,))
    mapping: Any = None
    closing = ""
    separator = ""
    parents: list[tuple[Iterator[Any], Any, str]] = []
    while True:
        for value in rest:
            parts.append(separator)
            separator = ","
            if mapping is not None:
                if not isinstance(value, str):
                    raise DecodingError(f"can't encode key {value!r} to calldata")
                parts.append(json.dumps(value) + ":")
                value = mapping[value]
            if value is None:
                parts.append("null")
            elif value is True:
                parts.append("true")
            elif value is False:
                parts.append("false")
            elif isinstance(value, int):
                parts.append(int.__repr__(value))
            elif isinstance(value, str):
                parts.append(json.dumps(value))
            elif isinstance(value, bytes | bytearray | memoryview):
                parts.append("b#" + value.hex())
            elif isinstance(value, Address):
                parts.append("addr#" + value.as_bytes.hex())
            elif isinstance(value, Sequence | Mapping):
                if len(parents) == MAX_DEPTH:
                    raise DecodingError(f"nested more than {MAX_DEPTH} levels deep")
                parents.append((rest, mapping, closing))
                rest, separator = iter(value), ""
                if isinstance(value, Mapping):
                    mapping, closing = value, "}"
                    parts.append("{")
                else:
                    mapping, closing = None, "]"
                    parts.append("[")
                break
            else:
                raise DecodingError(f"can't encode {value!r} to calldata")
        else:
            parts.append(closing)
            if not parents:
                return "".join(parts)
            rest, mapping, closing = parents.pop()
            separator = ","
