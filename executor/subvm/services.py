"""What a sub-VM asks of the world: everything that is not computed from its own memory and files.

A sub-VM knows no socket, no node and no other thread. It gets one :class:`Services` and reaches the world through it
only: the node through :class:`HostServices`, LLM and web through :class:`ModuleServices`, chance and time through
:class:`Entropy`, other VMs through :class:`Spawner`, people through :class:`Console`. Nothing here says how a promise
is kept: a run keeps them with a node's socket and two services (:mod:`executor.run.world`), a replay with a recorded
run (:mod:`executor.replay.player`), and the VMs of :mod:`executor.subvm.closed` are refused nearly everything.

A method returns what it promises, or it raises one of two exceptions:

* :class:`executor.outcome.VMErrorRaised` ends the sub-VM that asked with this VM error: the node has refused by an
  error byte, whose name is the message (spec executor/02 "Error byte"), a budget is exhausted, or the run was
  interrupted (``timeout``).
* :class:`executor.outcome.InternalErrorRaised` ends the whole run: node, module or we ourselves misbehave. Nobody
  takes it for an answer on the way.

Any other exception is a bug of ours, which ends the run as an internal error too.

A call blocks until there is an answer. It comes from the thread of the sub-VM, and validators of nondet blocks have
sub-VMs on threads of their own: several threads may be in a method at once. Only what needs a deterministic VM comes
from one thread: all of :class:`HostServices`, ``call_contract`` and ``run_nondet``.

Implementations need not inherit from these classes; mypy compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pygenvm.executor.module_protocol.modules import ModuleName
from pygenvm.executor.observer import Observer
from pygenvm.executor.outcome import ContractOutcome
from pygenvm.executor.primitives.abi import StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.runner.actions import DerivedFiles, PathAndContent, Source
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.budget import RamPool
from pygenvm.executor.subvm.image import Overlay
from pygenvm.executor.subvm.random import RandomSource
from pygenvm.executor.subvm.spec import VmSpec
from pygenvm.executor.subvm.types import U256, Buffer, Slot
from pygenvm.executor.subvm.wasmtime_c import Linker


class HostServices(Protocol):
    """The node, as host calls of deterministic VMs use it (spec executor/02).

    Each call is exactly one request, sent at once and in the order of the calls: nothing is cached, merged, split or
    held back. Every effect is provisional: the node keeps it only if the run returns.

    Every method raises :class:`VMErrorRaised` if the node refuses, and :class:`InternalErrorRaised` if it is gone,
    breaks the protocol, or the run is being ended.
    """

    def storage_read(self, storage_type: StorageType, address: Address, slot: Slot, index: int, length: int) -> bytes:
        """Exactly ``length`` bytes from byte ``index`` of ``slot`` of a contract; zeros where nothing was written.

        ``index + length`` is below 2**32, ``length`` may be 0. Earlier writes of this run are seen as ``storage_type``
        says: ``DEFAULT`` is the running state.
        """
        ...

    def storage_write(self, slot: Slot, index: int, data: bytes | memoryview) -> None:
        """Write ``data``, which may be empty, at byte ``index`` of ``slot`` of the contract of the run.

        ``data`` may be a view of the guest's memory; it is not used after the return.

        :raises VMErrorRaised: above all ``out_of_storage_gas``.
        """
        ...

    def eth_call(self, address: Address, calldata: bytes) -> bytes:
        """What the EVM contract at ``address`` answers to ``calldata`` (raw bytes, as the answer); changes nothing."""
        ...

    def eth_send(self, address: Address, calldata: bytes, data: bytes) -> None:
        """Send a message with raw bytes to an EVM address.

        ``data`` is the JSON text of :func:`executor.host_protocol.codec.eth_send_data`: the value.
        """
        ...

    def post_message(self, receiver: Address, calldata: bytes, data: bytes) -> None:
        """Send a message with canonical calldata to another contract; it runs later, in a run of its own.

        ``data`` is the JSON text of :func:`executor.host_protocol.codec.post_message_data`: when, and the value.
        """
        ...

    def deploy_contract(self, calldata: bytes, code: bytes, data: bytes) -> None:
        """Deploy ``code`` later; ``calldata`` (canonical) is for its constructor.

        ``data`` is the JSON text of :func:`executor.host_protocol.codec.deploy_contract_data`: when, salt and value.
        """
        ...

    def post_event(self, topics: list[bytes], blob: bytes) -> None:
        """Emit an event: at most 4 topics of 32 bytes, and the calldata encoding of a map."""
        ...


class ModuleServices(Protocol):
    """LLM and web, as nondet VMs use them (spec executor/04 "Modules")."""

    def ask(self, module: ModuleName, name: str, payload: Any) -> dict[str, Any]:
        """Send the request ``{name: payload}`` to a module; its answer as contracts see it.

        ``payload`` holds calldata values. ``{"ok": answer}``, or ``{"error": value}`` if the module has answered
        UserError; both can be encoded as calldata. A prompt's cost is the callee's affair: the node is told.

        :raises VMErrorRaised: the node does not tell the remaining fuel, which an LLM is to know.
        :raises InternalErrorRaised: the module cannot be reached, takes too long, or answers FatalError or nonsense.
        """
        ...


class Entropy(Protocol):
    """What no two runs agree on. Deterministic VMs get nothing of it."""

    def random(self) -> RandomSource:
        """A source of random bytes for one new nondet VM (spec executor/06 "Random"); asked once per VM."""
        ...

    def runtime(self, microseconds: int) -> int:
        """The age of a VM as its contract is told it, where ``microseconds`` have passed (spec executor/04 "Trace")."""
        ...


class Spawner(Protocol):
    """VMs inside a VM, each run to its end before the method returns (spec executor/04).

    ``parent`` is what the VM that asks was made from. What a VM ends with is a value, VM errors included, and how far
    they reach is up to the handler. Too deep a nesting is the result ``OOM``. Data that are handed over may be views of
    the guest's memory; they are not used after the return.

    Every method raises :class:`VMErrorRaised` (``timeout``) if the run was interrupted meanwhile, so that nobody goes
    on with the result of a VM that was cut off, and :class:`InternalErrorRaised` if the VM inside meets an internal
    error.
    """

    def call_contract(self, parent: VmSpec, address: Address, calldata: Buffer, state: StorageType) -> ContractOutcome:
        """Run the contract at ``address`` with canonical ``calldata`` on the given state, without write permission."""
        ...

    def sandbox(self, parent: VmSpec, data: Buffer, allow_write_ops: bool) -> ContractOutcome:
        """Run the same contract again with ``data`` as entry data, without storage reads.

        Writes and messages need both the parent's permission and ``allow_write_ops``; they stay whatever happens.
        """
        ...

    def run_nondet(self, parent: VmSpec, data_leader: Buffer, data_validator: Buffer) -> ContractOutcome:
        """The leader's result of the next nondet block; on the leader that is ``data_leader``, run now.

        A validator runs ``data_validator`` beside what follows; its verdict is no affair of the VM that asks.

        :raises VMErrorRaised: the node has no result of this block.
        :raises InternalErrorRaised: this node is the leader of the block, but only may follow others.
        """
        ...

    def derive(self, by: str, files: Sequence[PathAndContent]) -> DerivedFiles:
        """What the program of the runner ``by`` (a resolved id) makes of ``files`` (:mod:`executor.run.derived`).

        It depends on both only, and costs the VM that asks neither RAM nor anything else that a contract can see.

        :raises VMErrorRaised: the runner is missing or malformed.
        """
        ...

    def image(self, source: Source) -> Overlay | None:
        """The image with which every VM built from ``source`` begins (:mod:`executor.run.images`), or none does.

        That depends on ``source`` only. Making it costs the VM that asks nothing.

        :raises VMErrorRaised: ``timeout``.
        :raises InternalErrorRaised: it could not be made on this machine.
        """
        ...


class Console(Protocol):
    """Where things go that contracts write for people. Whatever becomes of them there, nothing is raised."""

    def write(self, fd: int, data: bytes) -> None:
        """A piece of the output of file 1 or 2; pieces come in order."""
        ...

    def trace(self, text: str, since_start: int, since_last: int) -> None:
        """A line of gl_call ``Trace``; microseconds since the VM was made, and since its last line."""
        ...


class Services(Protocol):
    """All that one run offers to its sub-VMs; the same for all of them."""

    @property
    def host(self) -> HostServices: ...

    @property
    def modules(self) -> ModuleServices: ...

    @property
    def entropy(self) -> Entropy: ...

    @property
    def spawn(self) -> Spawner: ...

    @property
    def console(self) -> Console: ...

    @property
    def artefacts(self) -> ArtefactStore:
        """Where modules are loaded from, compiled if need be."""
        ...

    @property
    def host_functions(self) -> Linker:
        """What modules can import from the executor, on the engine of ``artefacts``; each VM gets a copy."""
        ...

    @property
    def observer(self) -> Observer:
        """Whom to tell of instances."""
        ...

    @property
    def locked_slots(self) -> frozenset[Slot]:
        """Slots that no VM of the run may write to (spec executor/03 "Locked slots and upgraders")."""
        ...

    @property
    def debug_mode(self) -> bool:
        """Deterministic VMs may see time."""
        ...

    def balance(self, address: Address) -> U256:
        """Balance of ``address``: the node is asked once per address and run (spec executor/03 "Balances").

        :raises VMErrorRaised, InternalErrorRaised: as :class:`HostServices`.
        """
        ...

    def pool(self, deterministic: bool) -> RamPool:
        """The RAM that the VMs of one mode share on the calling thread (spec executor/08 "RAM")."""
        ...

    def check_interrupted(self) -> None:
        """To be called where much work may follow.

        :raises VMErrorRaised: ``timeout``, once the run was interrupted.
        """
        ...
