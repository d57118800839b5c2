"""What a service and the process of a script VM say to each other, and how values of Lua are written in it.

Each frame is its length in four bytes (big endian), and a msgpack array. Values of Lua stand in it as bytes, which
only the two ends take apart: Lua itself (boot.lua) and, in the service, whoever has the value.

==========  ==============================================  =====================================================
to child    arguments                                       meaning
==========  ==============================================  =====================================================
setup       :class:`Setup` as a map                         the first frame: load the script
open        session, value                                  a session begins: ``{cookie, host_data}``
close       session                                         … and ends
call        call, session, function, values                 run a function of the script
resume      call, ``value`` | ``error`` | ``failed``, bytes what a host function came to: as in the answers below
cancel      call                                            nobody waits for this call any more
==========  ==============================================  =====================================================

``call`` and ``resume`` run a slice of Lua, and are each answered by one of the second group of

==========  ==============================================  =====================================================
from child  arguments                                       meaning
==========  ==============================================  =====================================================
ready                                                       the script is loaded
broken      text                                            … or not, or it keeps too much; this process ends
log         call, value                                     a record of a script; call 0 while it loads
io          call, name, values                              a host function was called, resume it
value       call, value                                     the function has returned
error       call, value                                     it failed: structured, ``{causes, fatal, ctx}``
failed      call, text                                      it failed otherwise
==========  ==============================================  =====================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgpack

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError

#: None, bool, int, float, bytes, str (never from Lua), and lists and dicts of these; keys are bytes, str or int.
LuaValue: TypeAlias = Any

#: Integers that Lua has no room for: an extension that holds the decimal digits.
_BIG_INTEGER: Final = 1


class FrameError(Exception):
    """The other side sent what cannot be a frame."""


@dataclass(frozen=True)
class Setup:
    """What a child has to know. Lists of names are dotted: ``__dflt.request``."""

    script: str
    #: Absolute, with ``?`` for the name of a module.
    patterns: Sequence[str]
    #: Functions that the script must define.
    required: Sequence[str]
    #: Encoded map of what stands in the global variables.
    globals: bytes
    #: Functions that the service carries out.
    waiting: Sequence[str]
    #: Functions that the child carries out: name to ``module:function``.
    pure: Mapping[str, str]
    instructions: int
    memory_bytes: int


def encode(value: LuaValue) -> bytes:
    """:raises ScriptError: a value that Lua cannot have, or one that is too large."""
    try:
        data: bytes = msgpack.packb(value, default=_unusual)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ScriptError(f"a value cannot be given to a script: {error}") from error
    if len(data) > limits.SCRIPT_VALUE_BYTES:
        raise ScriptError(f"a value of {len(data)} bytes is too large for a script")
    return data


def decode(data: bytes) -> LuaValue:
    """:raises ScriptError: it was not written by boot.lua."""
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=False, ext_hook=_extension)
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise ScriptError(f"a value of a script cannot be read: {error}") from error


def encode_error(error: ModuleError) -> bytes:
    return encode({"causes": error.causes, "fatal": error.fatal, "ctx": error.ctx})


def decode_error(data: bytes) -> ModuleError:
    """The structured error; texts are str where they can be."""
    value = readable(decode(data))
    causes, ctx = value.get("causes"), value.get("ctx")
    shown = [str(cause) for cause in causes] if isinstance(causes, list) else []
    return ModuleError(shown or ["UNKNOWN"], fatal=value["fatal"], ctx=ctx if isinstance(ctx, dict) else {})


def readable(value: LuaValue) -> Any:
    """``value`` with texts for bytes that are UTF-8, and texts for keys."""
    match value:
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value
        case dict():
            return {key if isinstance(key, str) else text(key): readable(item) for key, item in value.items()}
        case list():
            return [readable(item) for item in value]
    return value


def text(value: LuaValue) -> str:
    """A string of Lua as a text; what is not UTF-8 in it is replaced."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class ScriptError(Exception):
    """A script failed, and not with a structured error; the text says where."""


def pack_frame(kind: str, *arguments: Any) -> bytes:
    body: bytes = msgpack.packb((kind, *arguments))
    return len(body).to_bytes(4, "big") + body


def unpack_frame(body: bytes | memoryview) -> list[Any]:
    """:raises FrameError: not a frame."""
    try:
        frame = msgpack.unpackb(body, raw=False)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise FrameError(str(error)) from error
    if not isinstance(frame, list) or not frame or not isinstance(frame[0], str):
        raise FrameError("not an array that begins with a name")
    return frame


def frame_size(head: bytes | bytearray | memoryview) -> int:
    """The size that stands in the first four bytes.

    :raises FrameError: larger than frames are.
    """
    size = int.from_bytes(head, "big")
    if size > limits.SCRIPT_FRAME_BYTES:
        raise FrameError(f"a frame of {size} bytes")
    return size


def _unusual(value: Any) -> Any:
    match value:
        case int():
            # The limit of Python for decimal digits holds here too; its ValueError is caught above.
            return msgpack.ExtType(_BIG_INTEGER, str(value).encode())
        case Mapping():
            return dict(value)
        case bytearray() | memoryview():
            return bytes(value)
        case set() | frozenset():
            return dict.fromkeys(value, True)
    raise TypeError(f"a {type(value).__name__}")


def _extension(code: int, data: bytes) -> int:
    if code != _BIG_INTEGER:
        raise ValueError(f"extension {code}")
    return int(data)
