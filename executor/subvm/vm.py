"""One sub-VM: a store, its instances, its WASI state, and how its end becomes an outcome.

The sub-VM is also the builder that a contract's runner.json actions work on (spec executor/07).
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, TypeAlias

from pygenvm.executor import limits
from pygenvm.executor.frozen import Frozen
from pygenvm.executor.machine import require_memory
from pygenvm.executor.outcome import (
    Blame,
    InstallationFault,
    InternalError,
    InternalErrorRaised,
    InvalidContract,
    Outcome,
    OutOfMemory,
    Return,
    UserError,
    VMError,
    VMErrorRaised,
    blame_of,
    steps_of,
)
from pygenvm.executor.primitives.abi import EntryKind, MemoryLimiterConsts, VmError
from pygenvm.executor.runner.ids import on_chain_id
from pygenvm.executor.subvm import linear, linking, wasmtime_c
from pygenvm.executor.subvm.budget import VmBudget
from pygenvm.executor.subvm.fingerprint import EMPTY, Fingerprint, hash_memory
from pygenvm.executor.subvm.memory import GuestMemory
from pygenvm.executor.subvm.random import DetRandom
from pygenvm.executor.subvm.unwind import ContractReturn, ContractRollback
from pygenvm.executor.subvm.wasip1 import ProcExit, WasiState
from pygenvm.executor.subvm.wasm.counters import DEPTH_GLOBAL, MEMORY_GLOBAL
from pygenvm.executor.subvm.wasmtime_c import (
    I32,
    Function,
    Global,
    Instance,
    Linker,
    Memory,
    Trap,
    WasmtimeError,
    delete_trap,
    new_trap,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pygenvm.executor.runner.actions import DerivedFiles, PathAndContent, Source
    from pygenvm.executor.runner.archive import Archive, Folder
    from pygenvm.executor.runner.contract import Version
    from pygenvm.executor.subvm.artefacts import LoadedModule
    from pygenvm.executor.subvm.facts import ModuleFacts
    from pygenvm.executor.subvm.image import Overlay
    from pygenvm.executor.subvm.services import Services
    from pygenvm.executor.subvm.spec import VmSpec

#: Names of the engine's traps as spec executor/05 writes them.
TRAP_NAMES: dict[int | None, str] = {
    wasmtime_c.STACK_OVERFLOW: "StackOverflow",
    wasmtime_c.MEMORY_OUT_OF_BOUNDS: "MemoryOutOfBounds",
    wasmtime_c.HEAP_MISALIGNED: "HeapMisaligned",
    wasmtime_c.TABLE_OUT_OF_BOUNDS: "TableOutOfBounds",
    wasmtime_c.INDIRECT_CALL_TO_NULL: "IndirectCallToNull",
    wasmtime_c.BAD_SIGNATURE: "BadSignature",
    wasmtime_c.INTEGER_OVERFLOW: "IntegerOverflow",
    wasmtime_c.INTEGER_DIVISION_BY_ZERO: "IntegerDivisionByZero",
    wasmtime_c.BAD_CONVERSION_TO_INTEGER: "BadConversionToInteger",
    wasmtime_c.UNREACHABLE: "UnreachableCodeReached",
    wasmtime_c.NULL_REFERENCE: "NullReference",
    wasmtime_c.ALLOCATION_TOO_LARGE: "AllocationTooLarge",
}
#: What traps in added functions mean.
_FLOAT = VMError("wasm_trap DeterministicMode")
_OVERFLOW = VMError(f"wasm_trap {TRAP_NAMES[wasmtime_c.STACK_OVERFLOW]}")
_OOM = VMError(str(VmError.OOM))
_REFUSED = InternalError("the machine refuses memory that the budget of the contract allows")
#: Module name and function index.
_Frame: TypeAlias = tuple[str, int]


class _NoEntry(InvalidContract):
    """The started module has no entry function; the fingerprint is null then."""


class _Instance(metaclass=Frozen):
    name: str
    raw: Instance
    memories: list[GuestMemory]


class SubVM:
    """A virtual machine that runs one contract's archive once.

    Use: construct, drive the contract's actions over it (they end in :meth:`start_wasm`), read
    ``outcome`` and ``fingerprint``, then :meth:`close`.
    """

    def __init__(self, spec: VmSpec, services: Services) -> None:
        require_memory()
        self.spec = spec
        self.services = services
        self.deterministic = spec.deterministic
        self.version: Version | None = None
        #: Value sent by this VM with messages (spec executor/03 "Balances").
        self.value_sent = 0
        self.pending: BaseException | None = None
        #: What the host function returns to the engine that leaves a pending exception; 0 once the engine has it. Any
        #: code will do: the exception says why, the trap only unwinds and carries the frames.
        self.trap = new_trap(wasmtime_c.UNREACHABLE)
        #: Address of the engine's caller structure during a host call.
        self.caller = 0
        self.outcome: Outcome | None = None
        self.fingerprint: Fingerprint | None = EMPTY
        self.created_ns = self.traced_ns = time.monotonic_ns()
        self.budget = VmBudget(services.pool(spec.deterministic))
        self._instances: list[_Instance] = []
        self._only_memory: GuestMemory | None = None
        #: Instances that may call the host.
        self._callers = 0
        #: Whether a module does not come from what is installed.
        self._foreign = False
        #: What a trap means whose innermost frame is one of these functions (module name, index), added at load.
        self._errors_of_functions: dict[_Frame, VMError | InternalError] = {}
        self._store = services.artefacts.engine.store()
        self._store.limit(
            instances=limits.INSTANCES_PER_VM, tables=limits.TABLES_PER_VM, memories=limits.MEMORIES_PER_VM
        )
        self._linker = Linker(None, like=services.host_functions)
        depth = Global(self._store, I32, limits.WASM_DEPTH_BYTES)
        linking.define_counter(self._linker, self._store, MEMORY_GLOBAL, self.budget.counter(self._store))
        linking.define_counter(self._linker, self._store, DEPTH_GLOBAL, depth)
        self.wasi = WasiState(
            message=spec.input,
            random=DetRandom() if spec.deterministic else services.entropy.random(),
            clock_ns=spec.message.clock_ns,
            budget=self.budget,
            stdout=lambda data: services.console.write(1, data),
            stderr=lambda data: services.console.write(2, data),
        )

    # --- host calls ------------------------------------------------------------------------------

    @property
    def memory(self) -> GuestMemory:
        """The memory of the instance that makes the current host call."""
        memory = self._only_memory
        if memory is None:
            memory = GuestMemory(Memory(self._store.context, linking.caller_memory(self.caller)))
            if self._callers == 1:
                self._only_memory = memory
        return memory

    # --- builder for runner.json actions -----------------------------------------------------------

    def charge(self, amount: int) -> None:
        self.budget.charge(amount)

    def map_file(self, path: str, content: bytes | memoryview) -> None:
        self.budget.charge(MemoryLimiterConsts.FILE_MAPPING + len(path.encode("utf-8", "surrogatepass")))
        self.wasi.fs.map_file(path, content)

    def map_folder(self, to: str, folder: Folder) -> None:
        each = MemoryLimiterConsts.FILE_MAPPING + len(to.encode("utf-8", "surrogatepass"))
        cost = folder.count * each + folder.bytes
        if self.budget.affords(cost) and self.wasi.fs.graft(to, folder):
            self.budget.charge(cost)
        else:
            # One by one, so that the file at which it ends is the right one.
            for name, content in folder.entries:
                self.map_file(to + name, content)

    def is_free(self, path: str) -> bool:
        return self.wasi.fs.is_free(path)

    def derive(self, by: str, files: Sequence[PathAndContent]) -> DerivedFiles:
        return self.services.spawn.derive(by, files)

    def append_args(self, args: list[str]) -> None:
        self.wasi.append_args(args)

    def link_wasm(self, archive: Archive, name: str) -> None:
        """Instantiate a library module under its own name and run its ``_initialize``."""
        loaded = self._load(archive, name)
        if loaded.facts.name is None:
            raise InvalidContract(f"{name}: a linked module must have a name", detail="wasm")
        if loaded.facts.may_call_host:
            # It may open directories to which files are added later.
            self.wasi.fs.own_all()
        instance = self._instantiate(loaded)
        try:
            self._linker.define_instance(self._store, loaded.facts.name, instance.raw)
        except WasmtimeError as error:
            if error.is_of_the_machine:
                raise InstallationFault(f"{name}: {error}") from None
            raise InvalidContract(f"{name}: {error}") from None
        initialize = _plain_function(instance.raw, "_initialize")
        if initialize is not None:
            self._guarded(initialize, "_initialize")

    def start_wasm(self, archive: Archive, name: str, env: dict[str, str], source: Source) -> None:
        """Instantiate the main module, call its entry and set ``outcome`` and ``fingerprint``."""
        self.wasi.set_env(env)
        loaded = self._load(archive, name)
        overlay = self._image(source) if loaded.facts.makes_images else None
        instance = self._instantiate(loaded, overlay)
        if overlay is not None:
            self._go_on_from(overlay, instance)
        entry = _plain_function(instance.raw, "") or _plain_function(instance.raw, "_start")
        if entry is None:
            self.fingerprint = None
            raise _NoEntry(f'{name} exports neither a function named "" nor `_start` of type () -> ()')
        self.services.check_interrupted()
        self._run_entry(entry)

    def _image(self, source: Source) -> Overlay | None:
        # A sandbox imports the contract only if its function needs it.
        if not self.deterministic or self.spec.entry is not EntryKind.MAIN or self._foreign:
            return None
        begun = time.perf_counter_ns()
        overlay = self.services.spawn.image(source)
        self.services.observer.image_found(begun, time.perf_counter_ns())
        return overlay

    def _go_on_from(self, overlay: Overlay, instance: _Instance) -> None:
        """Make it look as if the start had been done here; charges what that has cost."""
        begun = time.perf_counter_ns()
        image = overlay.image
        memory = instance.memories[0]
        more = image.memory_bytes - memory.size()
        self.budget.charge(more)
        if more:
            # The engine calls us for that too.
            linking.enter(self, lambda: memory.grow(more))
        self.wasi.files.go_on_from(image.files, image.freed)
        assert isinstance(self.wasi.random, DetRandom)
        self.wasi.random.go_on_from(image.random)
        linear.lay_over(overlay, memory.address)
        self.services.observer.laid_over(begun, time.perf_counter_ns())

    # --- loading -----------------------------------------------------------------------------------

    def _load(self, archive: Archive, name: str) -> LoadedModule:
        trusted = archive.id != on_chain_id(self.spec.message.contract_address.as_bytes)
        self._foreign |= archive.state is None
        return self.services.artefacts.load(
            archive.file(name), deterministic=self.deterministic, trusted=trusted, origin=archive.origin(name)
        )

    def _instantiate(self, loaded: LoadedModule, overlay: Overlay | None = None) -> _Instance:
        """``overlay`` is for its memory, where it may lie already, and has still to be laid over it."""
        facts = loaded.facts
        begun = time.perf_counter_ns()
        self.budget.instances += 1
        self.budget.charge(MemoryLimiterConsts.TABLE_ENTRY * facts.table_elements)
        self.budget.charge(facts.memory_bytes)
        if facts.may_call_host:
            self._callers += 1
            self._only_memory = None
        self._note_functions(facts)
        if facts.grown_import is not None:
            linking.define_maximum(self._linker, self._store, *facts.grown_import)
        require_memory()
        raw = Instance(self._store)
        with linear.beginning_with(loaded.content, overlay):
            self._guarded(lambda: self._linker.instantiate(self._store, loaded.module, raw), "start function")
        memories = [GuestMemory(self._memory(raw, name)) for name in facts.memory_exports]
        instance = _Instance(facts.name or "", raw, memories)
        self._instances.append(instance)
        self.services.observer.instantiated(instance.name, begun, time.perf_counter_ns())
        return instance

    def _note_functions(self, facts: ModuleFacts) -> None:
        for function, error in (
            (facts.ban_function, _FLOAT),
            (facts.overflow_function, _OVERFLOW),
            (facts.grow_function, _OOM),
            (facts.refused_function, _REFUSED),
        ):
            if function is not None:
                self._errors_of_functions[facts.name or "", function] = error

    def _guarded(self, call: Callable[[], object], what: str) -> None:
        """Run guest code before the entry function: any failure of it is ``invalid_contract``."""
        failure: Exception | None = None
        try:
            linking.enter(self, call)
        except (Trap, WasmtimeError) as error:
            failure = error.with_traceback(None)
        pending, self.pending = self.pending, None
        try:
            if isinstance(pending, VMErrorRaised | InternalErrorRaised):
                raise _forgetful(pending)
            if isinstance(pending, ContractReturn | ContractRollback | ProcExit):
                raise InvalidContract(f"{type(pending).__name__} in {what}")
            if pending is not None:
                raise InternalErrorRaised(_describe(pending), blame_of(pending)) from _forgetful(pending)
            if isinstance(failure, WasmtimeError) and failure.is_of_the_machine:
                raise InstallationFault(f"{what}: {failure}")
            if isinstance(failure, Trap):
                outcome, _ = self._outcome_of_trap(failure)
                if isinstance(outcome, InternalError):
                    raise InternalErrorRaised(f"{what}: {outcome.message}", outcome.blame)
                if outcome == _OOM:
                    raise OutOfMemory(f"{what}: {failure}")
            if failure is not None:
                raise InvalidContract(f"{what}: {failure}")
        finally:
            if isinstance(failure, Trap):
                failure.close()
            # An exception holds this frame, so the frame must not hold the exception.
            del pending, failure

    def _memory(self, instance: Instance, name: str) -> Memory:
        item = instance.export(name)
        assert item is not None
        return Memory(self._store.context, item.of.memory)

    # --- the end -----------------------------------------------------------------------------------

    def _run_entry(self, entry: Function) -> None:
        trap: Trap | None = None
        failure: WasmtimeError | None = None
        try:
            linking.enter(self, entry)
        except Trap as error:
            trap = error.with_traceback(None)
        except WasmtimeError as error:
            failure = error.with_traceback(None)
        frames: list[_Frame] | None = None
        pending, self.pending = self.pending, None
        if pending is not None:
            self.outcome = self._outcome_of_pending(pending)
            # The traceback of one that ends the run belongs to the log; what its frames had in hand does not.
            (_empty_handed if isinstance(self.outcome, InternalError) else _forgetful)(pending)
        elif trap is not None:
            self.outcome, frames = self._outcome_of_trap(trap)
        elif failure is not None:
            blame = Blame.INSTALLATION if failure.is_of_the_machine else Blame.EXECUTOR
            self.outcome = InternalError(f"engine: {failure}", blame)
        else:
            self.outcome = Return(b"\x00")
        if self.spec.wants_fingerprint and isinstance(self.outcome, UserError | VMError):
            if frames is None:
                frames = [] if trap is None else trap.frames
            self.fingerprint = self._fingerprint(frames)
        else:
            self.fingerprint = None
        if trap is not None:
            trap.close()

    def _outcome_of_pending(self, pending: BaseException) -> Outcome:
        match pending:
            case ContractReturn(calldata=calldata):
                return Return(calldata)
            case ContractRollback(message=message):
                return UserError(message)
            case ProcExit(status=0):
                return Return(b"\x00")
            case ProcExit(status=status):
                return VMError(f"{VmError.EXIT_CODE} {min(status, limits.EXIT_STATUS_MAX)}")
            case VMErrorRaised():
                return pending.error
            case InternalErrorRaised():
                return InternalError.of(pending)
        return InternalError.of(pending, _describe(pending))

    def _outcome_of_trap(self, trap: Trap) -> tuple[VMError | InternalError, list[_Frame]]:
        """What a trap means, and the frames without those of added functions."""
        frames = trap.frames
        error = self._error_of_function(frames)
        if error is not None:
            return error, frames[1:]
        name = TRAP_NAMES.get(trap.code)
        if name is None:
            return InternalError(f"engine trap: {trap}", Blame.EXECUTOR), frames
        return VMError(f"wasm_trap {name}", cause=str(trap)), frames

    def _error_of_function(self, frames: list[_Frame]) -> VMError | InternalError | None:
        """The error that an added function stands for, if it is the innermost one."""
        return self._errors_of_functions.get(frames[0]) if frames else None

    def _fingerprint(self, frames: list[_Frame]) -> Fingerprint:
        instances = {item.name: [hash_memory(memory) for memory in item.memories] for item in self._instances}
        return Fingerprint(frames, instances)

    def memories(self, name: str) -> list[GuestMemory]:
        """Memories of the linked or started module of that name; dead after :meth:`close`."""
        return [memory for item in self._instances if item.name == name for memory in item.memories]

    def close(self) -> None:
        """Free the store and give its RAM back. Views of its memories are dead afterwards."""
        for instance in self._instances:
            for memory in instance.memories:
                memory.drop()
        if self._only_memory is not None:
            self._only_memory.drop()
        self.budget.close()
        self._linker.close()
        self._store.close()
        if self.trap:
            delete_trap(self.trap)
            self.trap = 0


def _plain_function(instance: Instance, name: str) -> Function | None:
    """The exported function ``name`` if its type is ``() -> ()``."""
    function = instance.function(name)
    return function if function is not None and function.is_plain() else None


def _forgetful(error: BaseException) -> BaseException:
    """The exception without tracebacks: those hold frames, and with them all that host functions had in hand."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


def _empty_handed(error: BaseException) -> BaseException:
    """The exception with tracebacks whose frames hold nothing any more."""
    link: BaseException | None = error
    while link is not None:
        for step in steps_of(link):
            # The frame of a function that still runs refuses.
            with contextlib.suppress(RuntimeError):
                step.tb_frame.clear()
        link = link.__cause__ or link.__context__
    return error


def _describe(error: BaseException) -> str:
    """One line for the host."""
    last = [*steps_of(error)][-1:]
    where = f" at {last[0].tb_frame.f_code.co_name}:{last[0].tb_lineno}" if last else ""
    return f"{type(error).__name__}: {error}{where}"
