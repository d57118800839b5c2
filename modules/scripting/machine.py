"""The Lua machine of one child process: values go in and come out as bytes, see boot.lua.

Whatever a script does here, the worst is that this process has to be killed.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from lupa import lua53

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.scripting.frames import ScriptError, Setup, decode, decode_error, encode, encode_error, readable

_BOOT: Final = Path(__file__).with_name("boot.lua")
#: Where our own libraries are; what stands in ``lua_path`` comes first.
LIBRARIES: Final = str(Path(__file__).with_name("lua") / "?.lua")

#: Part of the text with which a call ends for which there was no memory.
OUT_OF_MEMORY: Final = "the script is out of memory"

#: A function that scripts call and that does not wait: values in, value out.
Pure = Callable[..., Any]

#: How a slice of a call ended: kind of the frame, and its other arguments.
Outcome = tuple[Any, ...]


class Machine:
    """A script with its global state. None of its methods raises for what scripts do."""

    def __init__(self, setup: Setup, functions: dict[str, Pure], log: Callable[[int, bytes], None]) -> None:
        """
        :param functions: dotted name to what is behind it, besides those that wait.
        :param log: gets the number of the call (0 while loading) and the record.
        :raises ScriptError: the script cannot be loaded.
        """
        self._setup = setup
        self._functions = functions
        self._log = log
        self._call = 0
        self._logged = 0
        self._lua = lua53.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_no_attributes,
            max_memory=0,
        )
        self._disarm = functools.partial(self._lua.set_max_memory, 0)
        boot = self._lua.compile(_BOOT.read_bytes(), name=b"=boot")
        self._start, self._continue, self._open, load, set_globals, place, self._cancel, self._close = boot(
            functools.partial(self._lua.set_max_memory, setup.memory_bytes),
            self._disarm,
            self._read_module,
            self._call_function,
            setup.instructions,
            limits.SCRIPT_VALUE_BYTES,
            limits.SCRIPT_LOG_RECORD_BYTES,
            limits.SCRIPT_VALUE_DEPTH,
            limits.SCRIPT_HOST_CALLS_MAX,
            limits.SCRIPT_RANGE_MAX,
            limits.SCRIPT_TEXT_CHARS,
        )
        set_globals(setup.globals)
        for name in functions:
            place(b"sync", name.encode())
        for name in ("__dflt.log_json", "print"):
            place(b"log", name.encode())
        for name in setup.waiting:
            place(b"async", name.encode())
        for name in ("__dflt.user_error", "__dflt.as_user_error"):
            place(b"native", name.encode())
        source = _source(setup.script)
        if source is None:
            raise ScriptError(f"{setup.script}: no such file")
        outcome = self._outcome(0, load, setup.script.encode(), source, "\n".join(setup.required).encode())
        if outcome[0] == "error":
            raise ScriptError(f"{setup.script}: {decode_error(outcome[2])}")
        if outcome[0] != "value":
            raise ScriptError(outcome[2])

    # --- calls ------------------------------------------------------------------------------------

    def open(self, session: int, value: bytes) -> None:
        self._open(session, value)

    def close(self, session: int) -> None:
        self._close(session)

    def start(self, call: int, session: int, name: str, arguments: bytes) -> Outcome:
        """Run the function of the script until it waits or ends."""
        self._call, self._logged = call, 0
        return self._outcome(call, self._start, call, session, name.encode(), arguments)

    def resume(self, call: int, kind: str, value: bytes) -> Outcome:
        """Go on with a call that waits."""
        self._call = call
        return self._outcome(call, self._continue, call, kind.encode(), value)

    def cancel(self, call: int) -> None:
        self._cancel(call)

    def is_full(self) -> bool:
        """Whether what cannot be freed takes more than half of the memory: the script keeps it."""
        self._lua.set_max_memory(self._setup.memory_bytes)
        try:
            self._lua.gccollect()
            return bool(self._lua.get_memory_used() > self._setup.memory_bytes // 2)
        except lua53.LuaError:
            return True
        finally:
            self._disarm()

    def _outcome(self, call: int, entry: Callable[..., tuple[bytes, Any, Any]], *arguments: Any) -> Outcome:
        """Enter Lua, and how that ended."""
        try:
            kind, value, extra = entry(*arguments)
        except lua53.LuaError as error:
            # There was no memory to begin or to end.
            self._disarm()
            kind, value, extra = b"failed", str(error).encode() or b"not enough memory", b""
        match kind:
            case b"value":
                return "value", call, value
            case b"io":
                return "io", call, extra.decode(), value
            case b"error":
                return "error", call, value, _text(extra)
            case b"table":
                text = f"the script raised {_shown(value)}"
            case _:
                text = _text(value)
        self._cancel(call)
        if "not enough memory" in text:
            text = f"{text}: {OUT_OF_MEMORY} (it may use {self._setup.memory_bytes >> 20} MiB)"
        return "failed", call, text[: limits.SCRIPT_TEXT_CHARS], _text(extra)

    # --- what Lua calls ---------------------------------------------------------------------------
    # These take the memory limit off first: what they return is allocated where nobody could catch a failure.

    def _read_module(self, name: bytes) -> tuple[bytes | None, bytes]:
        self._disarm()
        tried = []
        for pattern in (*self._setup.patterns, LIBRARIES):
            path = pattern.replace("?", name.decode().replace(".", "/"))
            try:
                source = _source(path)
            except ScriptError as error:
                return None, str(error).encode()
            if source is not None:
                return path.encode(), source
            tried.append(f"\n\tno file '{path}'")
        return None, f"module '{name.decode()}' not found:{''.join(tried)}".encode()

    def _call_function(self, name: bytes, request: bytes) -> tuple[bytes, bytes]:
        self._disarm()
        try:
            if name in (b"__dflt.log_json", b"print"):
                self._record(name, request)
                return b"value", encode(None)
            return b"value", encode(self._functions[name.decode()](*decode(request)))
        except ModuleError as error:
            try:
                return b"error", encode_error(error)
            except ScriptError as problem:
                return b"failed", str(problem).encode()
        except ScriptError as error:
            return b"failed", str(error).encode("utf-8", "replace")
        except MemoryError:
            return b"failed", b"not enough memory"
        except Exception as error:
            text = f"{name.decode().removeprefix('__dflt.')}: {error or type(error).__name__}"
            return b"failed", text[: limits.SCRIPT_TEXT_CHARS].encode("utf-8", "replace")

    def _record(self, name: bytes, request: bytes) -> None:
        if self._logged > limits.SCRIPT_LOG_BYTES:
            return
        self._logged += len(request)
        if self._logged > limits.SCRIPT_LOG_BYTES:
            request = encode([{"level": "warning", "message": "further records of this call are left out"}])
        elif name == b"print":
            request = encode([{"message": "\t".join(map(_printed, decode(request)))}])
        self._log(self._call, request)


def _no_attributes(_object: object, name: object, _is_setting: bool) -> object:
    raise AttributeError(name)


def _source(path: str) -> bytes | None:
    """The contents of a source file; None if there is none.

    :raises ScriptError: it cannot be read.
    """
    try:
        # A pipe of that name would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ScriptError(f"{path}: {error}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ScriptError(f"{path}: not a file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            source = file.read(limits.SCRIPT_SOURCE_BYTES + 1)
    except OSError as error:
        raise ScriptError(f"{path}: {error}") from error
    finally:
        os.close(descriptor)
    if len(source) > limits.SCRIPT_SOURCE_BYTES:
        raise ScriptError(f"{path}: larger than {limits.SCRIPT_SOURCE_BYTES} bytes")
    return source


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _printed(value: Any) -> str:
    return "nil" if value is None else str(value).lower() if isinstance(value, bool) else str(readable(value))


def _shown(value: bytes) -> str:
    """The table that a script raised, for people."""
    return str(readable(decode(value)[0]))[:500] if value else "a table"
