"""Takes things away from this process, then becomes another program: ``python -I shortage_start.py JSON COMMAND…``.

What the JSON object may have; each stays with the program and with what it starts:

========  ==========================================================================================================
disk      ``[bytes, folder, over]``: ``folder`` is a disk of that size from now on, seen by nobody else, and so is each
          folder of ``over``. With subfolder ``tmp``, for temporary files
user      become that user, without root's licence to have any number of processes; files stay accessible
limits    pairs of the number of a resource (``RLIMIT_NOFILE``) and its limit
calls     ``[numbers, descriptor]``: whoever is at the other end of that Unix socket gets the descriptor which decides
          about the calls into the kernel with these numbers
========  ==========================================================================================================

Standard library only, and no more of it than is needed: what is short must not be missing here.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import struct
import sys
from collections.abc import Mapping

#: Exit code if it does not come to the program.
NOT_SHORT = 99

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 38, 47, 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION = 0x20080522
#: By machine: seccomp.
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000

_libc = ctypes.CDLL(None, use_errno=True)


def command(short: Mapping[str, object], *program: str) -> list[str]:
    """The command line of a program that lacks something."""
    return [sys.executable, "-I", "-S", __file__, json.dumps(short), *program]


def _check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _small_disk(size: int, folder: str, over: list[str]) -> None:
    user, group = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWNS | (_CLONE_NEWUSER if user else 0)), "unshare")
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    _check(_libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "private mounts")
    options = f"size={size},mode=0700".encode()
    _check(_libc.mount(b"tmpfs", folder.encode(), b"tmpfs", ctypes.c_ulong(0), options), folder)
    os.mkdir(f"{folder}/tmp")
    for number, place in enumerate(over):
        source = f"{folder}/{number}"
        os.mkdir(source, 0o700)
        _check(_libc.mount(source.encode(), place.encode(), None, ctypes.c_ulong(_MS_BIND), None), place)


def _become(user: int) -> None:
    _check(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities")
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    bit = 1 << _CAP_DAC_OVERRIDE
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    _check(_libc.capset(header, struct.pack("<6I", bit, bit, bit, 0, 0, 0)), "capabilities")
    _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0), "ambient capabilities")


def _ask_about(calls: list[int], descriptor: int) -> None:
    with socket.socket(fileno=descriptor) as connection:
        # Once for nothing: the memory for doing it is there then.
        socket.send_fds(connection, [b"-"], [0])
        steps = [(_LOAD, 0, 0, 0)]
        steps += [(_JUMP_IF_EQUAL, len(calls) - at, 0, number) for at, number in enumerate(calls)]
        steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ASK)]
        code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in steps))
        program = struct.pack("<HxxxxxxQ", len(steps), ctypes.addressof(code))
        _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
        number = _SECCOMP[os.uname().machine]
        listener = _check(_libc.syscall(number, _SET_MODE_FILTER, _NEW_LISTENER, program), "seccomp")
        socket.send_fds(connection, [b"!"], [listener])


def main() -> None:
    short, program = json.loads(sys.argv[1]), sys.argv[2:]
    try:
        if "disk" in short:
            _small_disk(*short["disk"])
        if "user" in short:
            _become(short["user"])
        if "calls" in short:
            _ask_about(*short["calls"])
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(NOT_SHORT)
    for number, value in short.get("limits", ()):
        resource.setrlimit(number, (value, value))
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
