"""What the WASI functions of one VM work on (spec executor/06)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, final

from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.subvm.wasip1.abi import U64_MAX
from pygenvm.executor.subvm.wasip1.files import FileTable
from pygenvm.executor.subvm.wasip1.fs import FileSystem

if TYPE_CHECKING:
    from pygenvm.executor.subvm.budget import VmBudget
    from pygenvm.executor.subvm.memory import GuestMemory
    from pygenvm.executor.subvm.random import RandomSource


class Guest(Protocol):
    """What a handler needs of a VM."""

    @property
    def wasi(self) -> WasiState: ...

    @property
    def memory(self) -> GuestMemory: ...


@final
class WasiState:
    """Arguments, environment, clock, randomness and files of one VM.

    ``message`` is the content of fd 0. ``clock_ns`` is the message's time in nanoseconds since the Unix epoch.
    ``stdout`` and ``stderr`` take pieces of output in order and return when they are flushed; they log errors
    of the descriptor and do not raise them. Arguments, environment and file tree are empty at first.
    """

    __slots__ = ("arguments", "clock_ns", "environment", "files", "fs", "random")

    def __init__(
        self,
        *,
        message: bytes,
        random: RandomSource,
        clock_ns: int,
        budget: VmBudget,
        stdout: Callable[[bytes], None],
        stderr: Callable[[bytes], None],
    ) -> None:
        #: Texts as the guest gets them: UTF-8 with a NUL at the end.
        self.arguments: list[bytes] = []
        self.environment: list[bytes] = []
        self.random = random
        # A u64 for the guest: dates outside 1970 to 2554 wrap around.
        self.clock_ns = clock_ns & U64_MAX
        self.fs = FileSystem()
        self.files = FileTable(message, self.fs.root, budget, stdout, stderr)

    def append_args(self, args: Sequence[str]) -> None:
        """Add arguments, which are visible at once (``SetArgs``).

        :raises InvalidContract: an argument has no UTF-8 form.
        """
        self.arguments.extend(_text(arg) for arg in args)

    def set_env(self, env: Mapping[str, str]) -> None:
        """Replace the environment (``StartWasm``); the guest sees it sorted by the bytes of the names.

        :raises InvalidContract: a name or value has no UTF-8 form.
        """
        self.environment = [_text(f"{name}={env[name]}") for name in sorted(env)]

    def open_result(self, content: bytes) -> int:
        """The number of a new file that holds a result of ``gl_call``.

        :raises OutOfMemory: the RAM budget refuses its length, or the number.
        """
        return self.files.open_result(content)


def _text(text: str) -> bytes:
    try:
        return text.encode() + b"\0"
    except UnicodeEncodeError as error:
        raise InvalidContract(f"argument or environment variable is not valid Unicode: {text!r}") from error
