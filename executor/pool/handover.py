"""Commands hand themselves over to a pool of the same user, if there is one (:mod:`executor.pool.reception`).

They are ``genvm run``, and those of ``genvm local`` that are no server.

Both sides' wire is here, and the client's side. The client imports next to nothing: a process that has loaded what a
run needs could as well carry it out.

A pool listens on a socket in a folder that only its user can enter. Packets:

========================  ===========  ========================================================================
from, to                  content      meaning
========================  ===========  ========================================================================
client, pool              request      :func:`encode_request`; with one end of a line of its own, for the
                                       executor, and a descriptor of the working directory
executor, client (line)   ``W``        it would do it
client, executor (line)   ``G``        it shall do it, and nobody else; with descriptors for stdout, stderr, log,
                                       and for commands of ``genvm local`` stdin
client, pool              a byte       the number of a signal for the executor
executor, client (line),  ``E`` and a  the exit code, or minus the number of the signal that ended it
or pool, client           number
another pool, pool        `GIVE_WAY`   it shall take no more; ignored by one that was not left behind
========================  ===========  ========================================================================

So a client that has not said ``G`` carries out the run itself, whatever has become of pool and executor, and one that
has said it never does.
"""

import _imp
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    import signal as _signal
else:
    import _signal

VERSION = 2
#: Descriptors that come with a request, and with the word to begin.
REQUEST_DESCRIPTORS, BEGIN_DESCRIPTORS = 2, 4
#: What the executor of a client is told of. Everything else does to the client what it does to any process, and when
#: that has ended so has its executor.
FORWARDED = {"run": (_signal.SIGTERM, _signal.SIGINT), "local": (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP)}

#: How often a process that waits looks for signals. A manager that ends a run gives it a tenth of a second.
_LOOK_SECONDS = 0.02

WILLING, BEGIN, ENDED = b"W", b"G", b"E"
#: In place of a request: another pool wants to have the place of one that was left behind.
GIVE_WAY = b"give way"

#: Exit code when the pool dies under a command: like a crash of an executor (spec executor/10), and as where the
#: executor of a command fails.
EXIT_LOST = {"run": 101, "local": 3}
_LOST = b"the pool of executors has ended, and this command with it"
_LOST_ADVICE = b"`genvm local log` tells whether its transaction was stored"
#: What is printed of that.
_LOST_TEXT = {"run": b"Error: %s\n" % _LOST, "local": b"genvm local: %s; %s\n" % (_LOST, _LOST_ADVICE)}
#: What commands with `--json` print of their errors.
_LOST_DOCUMENT = b"""\
{
  "ok": false,
  "error": {
    "kind": "executor",
    "message": "%s",
    "advice": "%s"
  }
}
"""
#: Commands of ``genvm local`` that surely run a contract, and all that are handed over.
RUNNING = ("deploy", "call", "view", "schema", "state")
LOCAL = (*RUNNING, "accounts", "log")

#: Beginnings of variables that have had their effect when our first line is executed: by interpreter, loader, C library
#: and engine. The others reach the executor.
EARLY = tuple(
    b"PYTHON PYGENVM GENVM LD_ GLIBC_ MALLOC_ LANG LC_ LOCPATH GCONV_ TZ RUST_ WASMTIME_ RAYON_ COV_ COVERAGE".split()
)


def folder() -> str | None:
    """Where pools of this user listen; None if there is no such place."""
    from pygenvm.executor import cache_root

    found = cache_root.find()
    return None if found is None else os.path.join(found, "pools")


def is_private(descriptor: int) -> bool:
    """Whether a folder is of this user, and nobody else can enter it."""
    state = os.fstat(descriptor)
    return state.st_uid == os.geteuid() and not state.st_mode & 0o077


def global_options(words: list[str]) -> tuple[str, str | None, int, str | None, list[str]] | None:
    """``run`` or ``local``, ``--config``, ``--log-fd`` and ``--log-level`` of a command line, and the words behind.

    None for everything that is not as plain as that.
    """
    config, log_fd, log_level = None, 2, None
    rest = iter(words[1:])
    for word in rest:
        if word in FORWARDED:
            left = list(rest)
            return (word, config, log_fd, log_level, left) if word == "run" or _is_plain_local(left) else None
        name, equals, value = word.partition("=")
        if not equals:
            value = next(rest, "-")
            if value.startswith("-"):
                return None
        if name == "--config":
            config = value
        elif name == "--log-level":
            log_level = value
        elif name == "--log-fd" and value.isascii() and value.isdecimal() and len(value) < 10:
            log_fd = int(value)
        else:
            return None
    return None


def _is_plain_local(words: list[str]) -> bool:
    """Whether these words behind ``local`` are a command that is handed over."""
    rest = iter(words)
    for word in rest:
        if word in LOCAL:
            # Whoever asks for help waits for what makes its text.
            return not any(word in ("-h", "--help") for word in rest)
        if word in ("--db", "--rpc"):
            next(rest, None)
        elif not word.startswith(("--db=", "--rpc=")):
            return False
    return False


def runs_here(words: list[str]) -> bool:
    """Whether these words behind ``local`` are one of :data:`RUNNING`, and not for a server that they name."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            return word in RUNNING and not any(other.partition("=")[0] == "--rpc" for other in words)
        if "=" not in word:
            next(rest, None)
    return False


def identity() -> bytes:
    """What program this process is: client and pool must be the same."""
    import pygenvm

    options = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv)]
    return ascii((VERSION, sys.executable, sys.version, options, sys.path, pygenvm.__file__)).encode()


def socket_name(own: bytes, config: str | None) -> str:
    """Of pools with :func:`identity` ``own`` and this configuration; others may share it by chance."""
    return _imp.source_hash(VERSION, own + b"\0" + os.fsencode(config or "")).hex()


def early(environment: list[bytes]) -> list[bytes]:
    """Those of these variables whose effect is past."""
    # That one is set by the engine (executor.subvm.wasmtime_c), whatever it was.
    return sorted(text for text in environment if text.startswith(EARLY) and not text.startswith(b"RUST_BACKTRACE="))


def own_environment() -> list[bytes]:
    """``NAME=value`` of all variables of this process."""
    return [name + b"=" + value for name, value in os.environb.items()]


def encode_request(own: bytes, words: list[str]) -> bytes:
    """Texts that end with a zero byte: identity, number of words, the words of the command line, the variables."""
    return b"\0".join((own, b"%d" % len(words), *map(os.fsencode, words), *own_environment()))


def decode_request(request: bytes) -> tuple[bytes, list[str], list[bytes]]:
    """Identity, words and variables.

    :raises ValueError: it is none.
    """
    own, count, *rest = request.split(b"\0")
    number = int(count)
    if not 0 < number <= len(rest):
        raise ValueError("words are missing")
    return own, list(map(os.fsdecode, rest[:number])), rest[number:]


def attempt(words: list[str]) -> bool:
    """Let a pool carry out the command line ``words``, and leave the process as its executor has left its own.

    Returns if this process has to do it: whether that is because nobody keeps a pool.
    """
    options = global_options(words)
    try:
        place = folder()
    except OSError:
        return False  # It is in the working directory, which is gone.
    # Whose paths lead through the process that opens them must open them.
    if options is None or place is None or any("/proc/" in word or "/dev/" in word for word in words[1:]):
        return False
    command, config, log_fd, _, rest = options
    try:
        # Where one is closed our own sockets would get its number, and what the contract writes.
        streams = (1, 2, log_fd) if command == "run" else (1, 2, log_fd, 0)
        for stream in streams:
            os.fstat(stream)
    except OSError:
        return False
    try:
        way = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return True  # The usual case.
    try:
        if not is_private(way):
            return False
        own = identity()
        # Not by its path, so that nobody can put another folder there meanwhile.
        client = _Client(command, streams, gives_document=command == "local" and "--json" in rest)
        return _attempt(f"/proc/self/fd/{way}/{socket_name(own, config)}", encode_request(own, words), client)
    finally:
        os.close(way)


def peer(connection: "_socket.socket") -> tuple[int, int]:
    """Process id and user of who connected or listened."""
    from _socket import SO_PEERCRED, SOL_SOCKET

    found = connection.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
    return int.from_bytes(found[:4], sys.byteorder), int.from_bytes(found[4:8], sys.byteorder)


def _attempt(address: str, request: bytes, client: "_Client") -> bool:
    from pygenvm.executor import limits

    if len(request) > limits.HANDOVER_REQUEST_BYTES:
        return False
    # The module around it takes as long to load as all the rest.
    import _socket

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    connection.settimeout(limits.HANDOVER_SECONDS)
    is_missing = True
    try:
        connection.connect(address)
        is_missing = False
        if peer(connection)[1] == os.geteuid():
            client.carry_out(connection, request, limits.HANDOVER_SECONDS)
    except OSError:
        pass  # Nobody listens, or not any more.
    finally:
        connection.close()
    return is_missing


def rights(descriptors: tuple[int, ...]) -> list[tuple[int, int, bytes]]:
    """What makes a message bring copies of descriptors."""
    from _socket import SCM_RIGHTS, SOL_SOCKET

    return [(SOL_SOCKET, SCM_RIGHTS, b"".join(number.to_bytes(4, sys.byteorder) for number in descriptors))]


class _Client:
    """One hand-over of a ``command``, whose executor gets ``streams``."""

    def __init__(self, command: str, streams: tuple[int, ...], *, gives_document: bool) -> None:
        self._command = command
        self._streams = streams
        self._gives_document = gives_document
        #: Signals that were sent on.
        self._signals: list[int] = []

    def carry_out(self, connection: "_socket.socket", request: bytes, seconds: float) -> None:
        """Returns if no executor has been told to begin."""
        import _socket

        self._connection = connection
        line, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        line.settimeout(seconds)
        handlers = dict.fromkeys(FORWARDED[self._command], self._forward)
        if self._command == "local":
            # What was ignored when we were started stays so; a run takes over all of its signals.
            handlers = {number: to for number, to in handlers.items() if _signal.getsignal(number) != _signal.SIG_IGN}
        if _signal.getsignal(_signal.SIGTSTP) == _signal.SIG_DFL:
            handlers[_signal.SIGTSTP] = self._stop
        # What comes now waits until the request is on its way.
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, handlers)
        old = {number: _signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            working_directory = os.open(".", os.O_PATH | os.O_CLOEXEC)
            try:
                self._connection.sendmsg([request], rights((theirs.fileno(), working_directory)))
            finally:
                os.close(working_directory)
            theirs.close()
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
            if line.recv(1) == WILLING:
                line.sendmsg([BEGIN], rights(self._streams))
                self._wait(line)
        except OSError:
            pass  # It takes too long, or does not want to.
        line.close()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        for number, handler in old.items():
            _signal.signal(number, handler)
        for early_one in self._signals:
            _signal.raise_signal(early_one)

    def _wait(self, line: "_socket.socket") -> None:
        """Leave as the executor does. Never returns."""
        try:
            for connection in (line, self._connection):
                connection.settimeout(_LOOK_SECONDS)
                packet = _received(connection)
                if packet[:1] == ENDED:
                    _leave(int(packet[1:]))
        finally:
            # Whatever went wrong: the run has begun, and nobody may carry it out a second time.
            try:
                if self._gives_document:
                    os.write(1, _LOST_DOCUMENT % (_LOST, _LOST_ADVICE))
                os.write(2, _LOST_TEXT[self._command])
            finally:
                os._exit(EXIT_LOST[self._command])

    def _forward(self, number: int, _frame: object) -> None:
        self._signals.append(number)
        self._send(number)

    def _stop(self, number: int, _frame: object) -> None:
        """The executor stops, then this process; and goes on with it."""
        self._send(_signal.SIGSTOP)
        _signal.signal(number, _signal.SIG_DFL)
        _signal.raise_signal(number)
        _signal.signal(number, self._stop)
        self._send(_signal.SIGCONT)

    def _send(self, number: int) -> None:
        try:  # noqa: SIM105 (contextlib is not loaded)
            self._connection.send(bytes((number,)))
        except OSError:
            pass  # Nobody needs it any more.


def _received(connection: "_socket.socket") -> bytes:
    while True:
        try:
            return connection.recv(32)
        except TimeoutError:
            pass  # A signal that comes just before a wait begins does not end it, and is seen now.


def _leave(status: int) -> None:
    """End as a process with this exit code, or by this signal if it is negative."""
    if status < 0:
        import resource

        # The memory that somebody may want to look at is not that of this process.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if -status != _signal.SIGKILL:
            _signal.signal(-status, _signal.SIG_DFL)
        _signal.raise_signal(-status)
    os._exit(status)
