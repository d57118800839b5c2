"""One run: the tree of sub-VMs, what they share, and the final result (spec executor/00, 04, 05).

The supervisor is what a sub-VM sees of the rest of the world: it is its :class:`executor.subvm.services.Services`, and
the :class:`executor.subvm.services.Spawner` among them. It is put together by :mod:`executor.run.world`.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from pygenvm.executor import limits
from pygenvm.executor.frozen import Frozen, replaced
from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.log import Logger
from pygenvm.executor.message import ExtendedMessage, Message
from pygenvm.executor.module_protocol.modules import ModuleName, Modules
from pygenvm.executor.observer import Observer
from pygenvm.executor.outcome import (
    ContractOutcome,
    GuestFault,
    HostFault,
    InternalError,
    InternalErrorRaised,
    Outcome,
    VMError,
    VMErrorRaised,
)
from pygenvm.executor.primitives.abi import (
    CODE_SLOT,
    LOCKED_SLOTS_SLOT,
    UPGRADERS_SLOT,
    EntryKind,
    StorageType,
    VmError,
)
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.run import metrics
from pygenvm.executor.run.derived import Deriver
from pygenvm.executor.run.ending import Ending
from pygenvm.executor.run.images import Images
from pygenvm.executor.run.result import RunResult
from pygenvm.executor.run.turns import Turns
from pygenvm.executor.run.validators import ValidatorTasks
from pygenvm.executor.runner.actions import DerivedFiles, PathAndContent, RunnerSource, Source, run_actions
from pygenvm.executor.runner.archive import Archive
from pygenvm.executor.runner.contract import check_version, contract_version, parse_contract
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.budget import RamPool
from pygenvm.executor.subvm.fingerprint import EMPTY
from pygenvm.executor.subvm.spec import Permissions, VmSpec
from pygenvm.executor.subvm.types import U256, Buffer, Slot
from pygenvm.executor.subvm.vm import SubVM

if TYPE_CHECKING:
    from pygenvm.executor.subvm.image import Overlay
    from pygenvm.executor.subvm.services import Console, Entropy
    from pygenvm.executor.subvm.wasmtime_c import Linker

LOG_TARGET = "executor::supervisor"
_U32 = struct.Struct("<I")


class RunOptions(metaclass=Frozen):
    """Options of ``genvm run`` that change what sub-VMs may do."""

    permissions: Permissions
    sync: bool = False
    debug_mode: bool = False
    wants_fingerprint: bool = True


class _Pools(threading.local):
    """RAM of each mode. Only the VM thread has det VMs.

    Each validator thread has nondet RAM of its own, all of which is back when its task ends: as if tasks ran one after
    the other (spec executor/04). In a common pool verdicts would depend on what else happens to be running.
    """

    def __init__(self) -> None:
        self.det = RamPool()
        self.nondet = RamPool()


class Supervisor:
    """Executes one message. All methods run on the VM thread unless they say otherwise."""

    def __init__(
        self,
        *,
        message: Message,
        options: RunOptions,
        host: HostClient,
        modules: Modules,
        artefacts: ArtefactStore,
        open_runners: Callable[[], RunnerSource],
        console: Console,
        entropy: Entropy,
        validators: ValidatorTasks,
        ending: Ending,
        observer: Observer,
        host_functions: Linker,
        log: Logger,
    ) -> None:
        self.host = host
        self.modules = _ModulesOutOfTurn(modules, validators.turns, self.pool)
        self.artefacts = artefacts
        self.console = console
        self.entropy = entropy
        self.observer = observer
        self.host_functions = host_functions
        self.debug_mode = options.debug_mode
        self.locked_slots: frozenset[Slot] = frozenset()
        self.ending = ending
        self._open_runners = open_runners
        self._registry: RunnerSource | None = None
        self._deriver: Deriver | None = None
        self._images: Images | None = None
        self._modules = modules
        self._message = message
        self._options = options
        self._log = log
        self._pools = _Pools()
        self._balances: dict[bytes, U256] = {}
        self._balances_lock = threading.Lock()
        #: By address: code, and its archive while a VM uses it, which may take a multiple of its memory.
        self._codes: dict[bytes, bytes] = {}
        self._contracts: WeakValueDictionary[bytes, Archive] = WeakValueDictionary()
        self._nondet_calls = 0
        self._main: SubVM | None = None
        self._validators = validators

    # --- the run -----------------------------------------------------------------------------------

    def start_up(self) -> None:
        """Read upgraders and locked slots, then open the registry: the order of spec executor/02 and 10.

        :raises VMErrorRaised: the host refuses, or the list does not fit the RAM pool.
        :raises HostFault: the host is gone or misbehaves.
        :raises GuestFault: the contract names more upgraders than can be looked at.
        :raises RegistryError: there is no usable registry.
        """
        self.locked_slots = self._read_locked_slots()
        self._registry = self._open_runners()
        common = (self.artefacts, self._registry, self.check_interrupted, self.host_functions)
        self._deriver = Deriver(*common)
        self._images = Images(*common, self._deriver.derive)

    def _read_locked_slots(self) -> frozenset[Slot]:
        """The slots that nobody may write to in this run; nothing is locked for an upgrader (spec executor/03)."""
        contract = self._message.contract_address

        def read(slot: bytes, index: int, length: int) -> bytes:
            return self.host.storage_read(StorageType.DEFAULT, contract, slot, index, length)

        sender = self._message.sender_address.as_bytes
        (count,) = _U32.unpack(read(UPGRADERS_SLOT, 0, 4))
        for position in range(min(count, limits.UPGRADERS_MAX)):
            if read(UPGRADERS_SLOT, 4 + 20 * position, 20) == sender:
                return frozenset()
        if count > limits.UPGRADERS_MAX:
            # Each is a request, and whether the sender is one decides what he may change.
            raise GuestFault(f"the contract has {count} upgraders, at most {limits.UPGRADERS_MAX} are looked at")
        (count,) = _U32.unpack(read(LOCKED_SLOTS_SLOT, 0, 4))
        self._pools.det.charge(32 * count)
        content = read(LOCKED_SLOTS_SLOT, 4, 32 * count)
        return frozenset(Slot(content[start : start + 32]) for start in range(0, len(content), 32))

    def run(self) -> RunResult:
        """Run the main VM and the validator tasks; never raises. What is left is freed by :meth:`close`."""
        try:
            message = ExtendedMessage.main(self._message)
            spec = VmSpec(
                message=message,
                entry=EntryKind.MAIN,
                input=message.encode(EntryKind.MAIN, self.host.get_calldata()),
                deterministic=True,
                permissions=self._options.permissions,
                storage_type=StorageType.DEFAULT,
                wants_fingerprint=self._options.wants_fingerprint,
            )
            result = self._run_vm(spec)
        except VMErrorRaised as error:
            result = RunResult(error.error, EMPTY)
        except Exception as error:
            result = RunResult(InternalError.of(error), None)
        self.ending.result_known(result)
        if self._nondet_calls:
            # Validators may take their time, and memory of their own.
            self.close()
        result = self._verdict(result)
        self.ending.result_known(result)
        if not self.ending.interrupted:
            self._tell(result)
        self._modules.close()
        return result

    def close(self) -> None:
        """Free the main VM. That takes longer than telling the node the result, which does not need it any more."""
        if self._main is not None:
            self._main.close()
            self._main = None

    def _verdict(self, result: RunResult) -> RunResult:
        """Wait for the validators' verdict on the main VM's nondet blocks and tell the host if it is negative."""
        try:
            disagreement = self._validators.finish()
            if disagreement is None or isinstance(result.outcome, InternalError):
                return result
            self.host.notify_nondet_disagreement(disagreement)
            return replaced(result, disagreement=disagreement)
        except InternalErrorRaised as error:
            return RunResult(InternalError.of(error), None)

    def _tell(self, result: RunResult) -> None:
        """Tell operators about a run that no signal ended."""
        outcome = result.outcome
        if isinstance(outcome, InternalError):
            self._log.error("internal error", blame=outcome.blame, error=outcome.cause or outcome.message)
        self._log.info("metrics", metrics=metrics.collect(self.host, self.artefacts, self._modules, outcome))

    def _run_vm(self, spec: VmSpec) -> RunResult:
        """Set up a VM for the contract of ``spec`` and run it to its end.

        :raises VMErrorRaised, InternalErrorRaised: never for failures of this VM; those are its result.
        """
        if spec.depth > limits.VM_DEPTH:
            # RAM is what limits nesting by the specification, so its end has the same name.
            return RunResult(VMError(str(VmError.OOM), f"sub-VMs nested deeper than {limits.VM_DEPTH}"), EMPTY)
        begun = time.perf_counter_ns()
        self.observer.vm_began(spec.message, spec.entry, spec.deterministic, spec.depth)
        outcome: Outcome | None = None
        try:
            result = self._run_contract(spec)
            outcome = result.outcome
            return result
        finally:
            self.observer.vm_ended(outcome, spec.depth, begun, time.perf_counter_ns())

    def _run_contract(self, spec: VmSpec) -> RunResult:
        vm = SubVM(spec, self)
        if spec.depth == 0:
            self._main = vm
        try:
            try:
                archive = self._contract(vm)
                vm.version = contract_version(archive)
                check_version(vm.version, spec.message.unix_seconds)
                assert self._registry is not None
                run_actions(archive, vm, self._registry, self.check_interrupted)
            except VMErrorRaised as error:
                return RunResult(error.error, vm.fingerprint)
            except InternalErrorRaised as error:
                return RunResult(InternalError.of(error), None)
            assert vm.outcome is not None
            return RunResult(vm.outcome, vm.fingerprint)
        finally:
            if vm is not self._main:
                vm.close()

    def _contract(self, vm: SubVM) -> Archive:
        """The archive of the VM's contract; the first load of an address wins for the whole process."""
        address = vm.spec.message.contract_address
        archive = self._contracts.get(address.as_bytes)
        if archive is None:
            code = self._codes.get(address.as_bytes)
            archive = self._load(vm) if code is None else parse_contract(code, address)
            self._contracts[address.as_bytes] = archive
        return archive

    def _load(self, vm: SubVM) -> Archive:
        """Ask the host for the code. It stays to the end of the run, and so does what it costs."""
        address = vm.spec.message.contract_address

        def read(index: int, length: int) -> bytes:
            return self.host.storage_read(vm.spec.storage_type, address, CODE_SLOT, index, length)

        (length,) = _U32.unpack(read(0, 4))
        vm.charge(length)
        if length > 0xFFFF_FFFF - 4:
            raise GuestFault(f"code of {length} bytes does not fit a slot")
        code = read(4, length)
        archive = parse_contract(code, address)
        self._codes[address.as_bytes] = code
        vm.budget.keep(length)
        return archive

    # --- services for sub-VMs, promises as in executor.subvm.services --------------------------------

    @property
    def spawn(self) -> Supervisor:
        return self

    def check_interrupted(self) -> None:
        """:raises VMErrorRaised: ``timeout``, once a termination signal has arrived."""
        if self.ending.interrupted:
            raise VMErrorRaised(str(VmError.TIMEOUT))

    def derive(self, by: str, files: Sequence[PathAndContent]) -> DerivedFiles:
        assert self._deriver is not None
        return self._deriver.derive(by, files)

    def image(self, source: Source) -> Overlay | None:
        assert self._images is not None
        return self._images.image(source)

    def pool(self, deterministic: bool) -> RamPool:
        """The calling thread's pool of one mode."""
        return self._pools.det if deterministic else self._pools.nondet

    def balance(self, address: Address) -> U256:
        """Balance of ``address``, asked for once per process (spec executor/02 "get_balance")."""
        with self._balances_lock:
            balance = self._balances.get(address.as_bytes)
            if balance is None:
                balance = self._balances[address.as_bytes] = U256(self.host.get_balance(address))
            return balance

    def call_contract(self, parent: VmSpec, address: Address, calldata: Buffer, state: StorageType) -> ContractOutcome:
        message = parent.message.call(address)
        spec = VmSpec(
            message=message,
            entry=EntryKind.MAIN,
            input=message.encode(EntryKind.MAIN, calldata),
            deterministic=True,
            permissions=parent.permissions.of_callee(),
            storage_type=state,
            wants_fingerprint=False,
            depth=parent.depth + 1,
        )
        return self._outcome(self._run_vm(spec))

    def sandbox(self, parent: VmSpec, data: Buffer, allow_write_ops: bool) -> ContractOutcome:
        message = parent.message.enter()
        spec = VmSpec(
            message=message,
            entry=EntryKind.SANDBOX,
            input=message.encode(EntryKind.SANDBOX, data),
            deterministic=parent.deterministic,
            permissions=parent.permissions.of_sandbox(allow_write_ops),
            storage_type=parent.storage_type,
            wants_fingerprint=False,
            depth=parent.depth + 1,
        )
        return self._outcome(self._run_vm(spec))

    def run_nondet(self, parent: VmSpec, data_leader: Buffer, data_validator: Buffer) -> ContractOutcome:
        call_no = self._nondet_calls
        self._nondet_calls += 1
        leader = self.host.get_leader_nondet_result(call_no)
        if leader is None:
            if self._options.sync:
                raise HostFault(f"no leader result for block {call_no} in sync mode")
            with self._validators.turns.taken():
                outcome = self._run_block(_block(parent, data_leader, None))
            self.host.post_nondet_result(call_no, outcome.to_bytes())
            return outcome
        if not self._options.sync:
            spec = _block(parent, data_validator, {"leaders_result": leader.to_bytes()})
            self._validators.add(call_no, len(spec.input), lambda: self._run_block(spec))
        return leader

    def _run_block(self, spec: VmSpec) -> ContractOutcome:
        """Run one function of a nondet block (on a worker thread for validators)."""
        return self._outcome(self._run_vm(spec))

    def _outcome(self, result: RunResult) -> ContractOutcome:
        """An internal error of a sub-VM ends the whole run, and so does an interruption.

        Nobody may go on with the result of a VM that was cut off as if it were the contract's.
        """
        if isinstance(result.outcome, InternalError):
            raise InternalErrorRaised(result.outcome.message, result.outcome.blame) from result.outcome.cause
        if isinstance(result.outcome, VMError):
            self.check_interrupted()
        return result.outcome


def _block(parent: VmSpec, data: Buffer, stage: Any) -> VmSpec:
    """The nondet VM of one function of a nondet block."""
    message = parent.message.enter()
    return VmSpec(
        message=message,
        entry=EntryKind.CONSENSUS_STAGE,
        input=message.encode(EntryKind.CONSENSUS_STAGE, data, stage),
        deterministic=False,
        permissions=Permissions(),
        storage_type=StorageType.DEFAULT,
        wants_fingerprint=False,
        depth=parent.depth + 1,
    )


class _ModulesOutOfTurn:
    """The modules, while whose answers other nondet VMs may compute."""

    def __init__(self, modules: Modules, turns: Turns, pool: Callable[[bool], RamPool]) -> None:
        self._modules = modules
        self._turns = turns
        self._pool = pool

    def ask(self, module: ModuleName, name: str, payload: Any) -> dict[str, Any]:
        with self._turns.lent(self._pool(False)):
            return self._modules.ask(module, name, payload)
