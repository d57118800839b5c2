"""Starts the browser with what it must not do without: memory limit, end with its parent, empty network namespace.

Run as a program of its own (``python -IS launcher.py CHOICES PROGRAM ARGUMENTS``), so the standard library only; it
becomes the browser by exec. ``CHOICES`` is JSON:

* ``data_bytes``: RLIMIT_DATA of every process of the browser;
* ``pid_file``: gets the process id;
* ``listeners``: absent, or ``{"socket": path, "ip": …, "ports": [first, count]}``: enter a network namespace that
  has nothing but a loopback device, listen there on that many ports and send the sockets through the Unix socket. A
  process in such a namespace reaches nobody but those who hold these sockets, whatever it tries.

``python -IS launcher.py`` alone tries whether such a namespace can be had: exit status 0 if so.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
#: Descriptors in one message; the kernel takes 253.
_SOCKETS_PER_MESSAGE = 100


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _limit_memory(data_bytes: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = data_bytes if hard == resource.RLIM_INFINITY else min(data_bytes, hard)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    except (OSError, ValueError):
        # Systems without this limit; the watch over all processes stays.
        return


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _enter_empty_network() -> None:
    """A namespace with a loopback device alone; the user stays the same one.

    :raises OSError: this user, machine or container may not.
    """
    uid, gid = os.getuid(), os.getgid()
    try:
        _unshare(_CLONE_NEWNET)
    except OSError:
        _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(device, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(device, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _listen(ip: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.bind((ip, port))
    listener.listen(128)
    return listener


def _hand_over_listeners(path: str, ip: str, ports: list[int]) -> None:
    first, count = ports
    listeners = [_listen(ip, first + number) for number in range(count)]
    with socket.socket(socket.AF_UNIX) as out:
        out.connect(path)
        for begin in range(0, count, _SOCKETS_PER_MESSAGE):
            some = listeners[begin : begin + _SOCKETS_PER_MESSAGE]
            socket.send_fds(out, [b"x"], [listener.fileno() for listener in some])
            # An answer for each message: several could arrive as one, and lose descriptors.
            out.recv(1)
    for listener in listeners:
        listener.close()


def main(arguments: list[str]) -> None:
    if not arguments:
        _enter_empty_network()
        _listen("127.0.0.77", 20000)
        return
    choices = json.loads(arguments[0])
    if found := choices.get("listeners"):
        _enter_empty_network()
        _hand_over_listeners(found["socket"], found["ip"], found["ports"])
    _limit_memory(choices["data_bytes"])
    # Not before: new credentials, which come with a namespace of users, take it back.
    _end_with_parent()
    with open(choices["pid_file"], "w") as file:
        file.write(str(os.getpid()))
    os.execv(arguments[1], arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
