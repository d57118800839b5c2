"""What happens in a run, told to whoever wants to know: records, traces, benchmarks.

============================================  ======================================================================
event                                         is told by
============================================  ======================================================================
started, result_known, ended                  :mod:`executor.run.process`
vm_began, vm_ended                            :mod:`executor.run.supervisor`
instantiated, image_found, laid_over          :mod:`executor.subvm.vm`
host_requested, host_replied                  :mod:`executor.host_protocol.client`
module_answered                               :mod:`executor.module_protocol.client`
============================================  ======================================================================

An observer changes nothing of what it watches. Programs that only see files (:mod:`executor.subvm.closed`) are no part
of what a run does, and nobody is told of their VMs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pygenvm.executor.arguments import RunArguments
    from pygenvm.executor.message import ExtendedMessage
    from pygenvm.executor.outcome import Outcome
    from pygenvm.executor.primitives.abi import EntryKind, HostErrorCode, HostMethod


class Observer:
    """One who watches. Here every method does nothing, so an observer has those that it wants.

    A method is called on the thread on which the thing happens, by several threads at once where there are validators;
    :data:`executor.stream.validated_block` tells for whom that thread works. Those calls come in the order of what
    happened. The main thread tells of what it does itself when a signal ends the run, and has no time to lose.

    The run waits until a method returns, and none may raise. Times are nanoseconds of :func:`time.perf_counter_ns`,
    which all processes of a machine share.
    """

    def started(self, arguments: RunArguments) -> None:
        """A run begins: its message is sound, nobody has been asked for anything."""

    def host_requested(self, method: HostMethod, request: bytes) -> None:
        """``request``, as it is on the wire, is about to be sent.

        The connection is held meanwhile: whoever waits for something here lets the end of the run wait.
        """

    def host_replied(
        self,
        method: HostMethod,
        request: bytes,
        error: HostErrorCode | None,
        value: bytes | int | None,
        begun: int,
        ended: int,
    ) -> None:
        """The host has answered the calling thread's request with ``error`` and ``value``.

        A request that has no reply counts as answered with ``OK`` when it is sent. ``error`` is None if the connection
        broke or the host misbehaved: then there will never be a reply.
        """

    def module_answered(
        self, module: str, name: str, request: bytes, answer: bytes | None, failure: str | None, begun: int, ended: int
    ) -> None:
        """The ``"llm"`` or ``"web"`` module was asked for ``name``; ``request`` and ``answer`` are the frames.

        Without a usable answer that is None, and ``failure`` the text of the internal error that ends the run.
        """

    def vm_began(self, message: ExtendedMessage, entry: EntryKind, deterministic: bool, depth: int) -> None:
        """A VM is about to be set up for the contract of ``message``, inside of ``depth`` others."""

    def instantiated(self, module: str, begun: int, ended: int) -> None:
        """The VM of this thread has one more instance; ``module`` is its module's own name, if it has one."""

    def image_found(self, begun: int, ended: int) -> None:
        """The VM of this thread knows what image its contract has, found or made, or that it has none
        (:mod:`executor.run.images`)."""

    def laid_over(self, begun: int, ended: int) -> None:
        """The VM of this thread begins with the image of its contract."""

    def vm_ended(self, outcome: Outcome | None, depth: int, begun: int, ended: int) -> None:
        """The innermost VM of this thread is gone. ``outcome`` is None if the run cannot go on, for a fault of ours."""

    def result_known(self, outcome: Outcome, disagreement: int | None) -> None:
        """What the host is going to be told: how the main VM ended, and the lowest nondet block that is rejected."""

    def ended(self, how: str) -> None:
        """The run is over: ``result`` was delivered, ``result not delivered``, ended by a ``signal``, or why it failed.

        The last event, but for those of threads that a signal has left behind.
        """


#: For runs that nobody watches.
NOBODY = Observer()


def combined(observers: Iterable[Observer]) -> Observer:
    """One observer that stands for all of them; each is told of an event before the next one is."""
    several = tuple(observers)
    if len(several) > 1:
        return _Several(several)
    return several[0] if several else NOBODY


class _Several(Observer):
    def __init__(self, observers: tuple[Observer, ...]) -> None:
        self._observers = observers

    def started(self, arguments: RunArguments) -> None:
        for observer in self._observers:
            observer.started(arguments)

    def host_requested(self, method: HostMethod, request: bytes) -> None:
        for observer in self._observers:
            observer.host_requested(method, request)

    def host_replied(
        self,
        method: HostMethod,
        request: bytes,
        error: HostErrorCode | None,
        value: bytes | int | None,
        begun: int,
        ended: int,
    ) -> None:
        for observer in self._observers:
            observer.host_replied(method, request, error, value, begun, ended)

    def module_answered(
        self, module: str, name: str, request: bytes, answer: bytes | None, failure: str | None, begun: int, ended: int
    ) -> None:
        for observer in self._observers:
            observer.module_answered(module, name, request, answer, failure, begun, ended)

    def vm_began(self, message: ExtendedMessage, entry: EntryKind, deterministic: bool, depth: int) -> None:
        for observer in self._observers:
            observer.vm_began(message, entry, deterministic, depth)

    def instantiated(self, module: str, begun: int, ended: int) -> None:
        for observer in self._observers:
            observer.instantiated(module, begun, ended)

    def image_found(self, begun: int, ended: int) -> None:
        for observer in self._observers:
            observer.image_found(begun, ended)

    def laid_over(self, begun: int, ended: int) -> None:
        for observer in self._observers:
            observer.laid_over(begun, ended)

    def vm_ended(self, outcome: Outcome | None, depth: int, begun: int, ended: int) -> None:
        for observer in self._observers:
            observer.vm_ended(outcome, depth, begun, ended)

    def result_known(self, outcome: Outcome, disagreement: int | None) -> None:
        for observer in self._observers:
            observer.result_known(outcome, disagreement)

    def ended(self, how: str) -> None:
        for observer in self._observers:
            observer.ended(how)
