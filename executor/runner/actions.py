"""Runs the actions of a contract's runner.json on a VM (spec executor/07 "runner.json")."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias, assert_never

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.limits import (
    ARGUMENTS_BYTES_MAX,
    ENVIRONMENT_BYTES_MAX,
    MAPPED_PATH_BYTES_MAX,
    MAPPED_PATH_NAMES_MAX,
)
from pygenvm.executor.outcome import GuestFault, InstallationFault, InvalidContract
from pygenvm.executor.runner.archive import Archive, FileContent, Folder
from pygenvm.executor.runner.ids import CONTRACT
from pygenvm.executor.runner.runner_json import (
    Action,
    AddEnv,
    Depends,
    LinkWasm,
    MapDerived,
    MapFile,
    Seq,
    SetArgs,
    StartWasm,
    When,
    WhenMentions,
    With,
)

#: A path in the file tree of a VM, and what is there.
PathAndContent: TypeAlias = tuple[str, FileContent]
#: Contents by path.
DerivedFiles: TypeAlias = Mapping[str, bytes]

#: Everything but StartWasm, which ends the processing.
_Step: TypeAlias = MapFile | MapDerived | AddEnv | SetArgs | Depends | With | LinkWasm | When | WhenMentions | Seq

# Compiled by those who have one.
_VARIABLE = r"\$\{(ENV\[[A-Za-z0-9_]*\]|[A-Za-z0-9_]*)\}"
_PROCESS_VARIABLE = "ENV["
_PYTHON_SUFFIX = ".py"


class Source(metaclass=Frozen):
    """What a VM was built from: with the mode, this decides all that the actions did."""

    contract: Archive
    runners: tuple[str, ...]
    """Resolved ids, in the order in which the actions met them."""


class VmBuilder(Protocol):
    """What the actions build: one VM."""

    deterministic: bool

    def charge(self, amount: int) -> None:
        """Charge ``amount`` bytes of RAM.

        :raises OutOfMemory: the budget refuses.
        """

    def map_file(self, path: str, content: bytes | memoryview) -> None:
        """Add a file to the virtual file system; charges the mapping itself (spec executor/08).

        :raises OutOfMemory: the budget refuses.
        :raises InvalidContract: the name is taken.
        """

    def map_folder(self, to: str, folder: Folder) -> None:
        """:meth:`map_file` for every entry of ``folder`` in order, at ``to`` and its name. ``to`` ends in ``/``.

        :raises OutOfMemory, InvalidContract: as that.
        """

    def is_free(self, path: str) -> bool:
        """Whether no file or directory is at ``path``, and no file where a directory would have to be."""

    def derive(self, by: str, files: Sequence[PathAndContent]) -> DerivedFiles:
        """What the program of the runner ``by`` (a resolved id) makes of ``files`` (:mod:`executor.run.derived`).

        :raises VMErrorRaised, InternalErrorRaised: as there.
        """

    def append_args(self, args: list[str]) -> None:
        """Extend the argument list."""

    def link_wasm(self, archive: Archive, name: str) -> None:
        """Instantiate a module, register its exports and call its ``_initialize``."""

    def start_wasm(self, archive: Archive, name: str, env: dict[str, str], source: Source) -> None:
        """Install the environment and instantiate the program. ``source`` is what the VM was built from."""


class RunnerSource(Protocol):
    """Where runners come from."""

    def resolve(self, reference: str) -> str:
        """The ``<id>:<hash>`` that a reference means.

        :raises InvalidContract: unknown, or not a runner id.
        """

    def load(self, resolved: str) -> Archive:
        """The archive of an id that :meth:`resolve` gave.

        :raises InvalidContract: missing or malformed.
        """


def run_actions(
    contract: Archive, builder: VmBuilder, registry: RunnerSource, check_interrupted: Callable[[], None]
) -> None:
    """Process the contract's runner.json depth-first, up to and including the first StartWasm.

    ``check_interrupted`` is called before each action and may raise (``timeout``, spec executor/05).

    :raises VMErrorRaised: ``invalid_contract``, ``OOM``, and what the builder and the registry raise.
    :raises GuestFault: no StartWasm was met.
    """
    _Run(contract, builder, registry).until_start(check_interrupted)


class _Run:
    """State of one VM's set-up: environment, runners already visited, use of our own limits."""

    def __init__(self, contract: Archive, builder: VmBuilder, registry: RunnerSource) -> None:
        self._contract = contract
        self._builder = builder
        self._registry = registry
        self._env: dict[str, str] = {}
        self._env_bytes = 0
        self._args_bytes = 0
        self._names_left = MAPPED_PATH_NAMES_MAX
        self._visited: set[str] = set()
        self._runners: list[str] = []
        #: What is still to do, the next action last. A stack of our own: runners may depend on each other
        #: deeper than the interpreter recurses.
        self._pending: list[tuple[Archive, Action]] = []

    def until_start(self, check_interrupted: Callable[[], None]) -> None:
        self._use(self._contract)
        self._pending.append((self._contract, self._contract.action))
        while self._pending:
            check_interrupted()
            current, action = self._pending.pop()
            if isinstance(action, StartWasm):
                current.file(action.file)
                source = Source(self._contract, tuple(self._runners))
                self._builder.start_wasm(current, action.file, dict(self._env), source)
                return
            self._run(current, action)
        raise GuestFault(f"the actions of {self._contract.id} contain no StartWasm for this mode")

    def _run(self, current: Archive, action: _Step) -> None:
        match action:
            case MapFile():
                self._map(current, action)
            case MapDerived():
                self._map_derived(current, action)
            case AddEnv():
                self._add_env(action)
            case SetArgs(args):
                self._args_bytes += sum(len(arg.encode()) + 1 for arg in args)
                if self._args_bytes > ARGUMENTS_BYTES_MAX:
                    raise InvalidContract(f"SetArgs: more than {ARGUMENTS_BYTES_MAX} bytes of arguments")
                self._builder.append_args(list(args))
            case Depends(reference):
                resolved = self._resolve(current, reference)
                if resolved not in self._visited:
                    self._visited.add(resolved)
                    runner = self._use(self._load(current, resolved))
                    self._pending.append((runner, runner.action))
            case With(reference, inner):
                if reference == CONTRACT:
                    other = self._contract
                else:
                    other = self._load(current, self._resolve(current, reference))
                self._pending.append((self._use(other), inner))
            case LinkWasm(file):
                current.file(file)
                self._builder.link_wasm(current, file)
            case When(deterministic, inner):
                if deterministic == self._builder.deterministic:
                    self._pending.append((current, inner))
            case WhenMentions():
                if self._mentions(action):
                    self._pending.append((current, action.action))
            case Seq(actions):
                self._pending.extend((current, inner) for inner in reversed(actions))
            case _:
                assert_never(action)

    def _resolve(self, current: Archive, reference: str) -> str:
        try:
            resolved = self._registry.resolve(reference)
        except InvalidContract as error:
            if current.state is None:
                raise
            raise _not_installed(current, error) from None
        self._runners.append(resolved)
        return resolved

    def _load(self, current: Archive, resolved: str) -> Archive:
        try:
            return self._registry.load(resolved)
        except InvalidContract as error:
            if current.state is None:
                raise
            raise _not_installed(current, error) from None

    def _use(self, archive: Archive) -> Archive:
        """Each use of an archive by a VM costs its whole size (spec executor/08)."""
        self._builder.charge(archive.data_size)
        return archive

    def _map(self, current: Archive, action: MapFile) -> None:
        if not action.file.endswith("/"):
            self._map_one(action.to, current.file(action.file))
            return
        prefix = "" if action.file == "/" else action.file
        to = action.to if action.to.endswith("/") else action.to + "/"
        folder = current.folder(prefix)
        names = folder.components + folder.count * to.count("/")
        if len(to.encode()) + folder.longest > MAPPED_PATH_BYTES_MAX or names > self._names_left:
            # Not all of them can be mapped: the first one that cannot decides.
            for rest, content in folder.entries:
                self._map_one(to + rest, content)
        else:
            self._names_left -= names
            self._builder.map_folder(to, folder)

    def _mentions(self, action: WhenMentions) -> bool:
        """Looks at the bytes alone, so that everybody sees the same; a word in a comment is one too."""
        names = [name.encode() for name in action.names]
        if not action.file.endswith("/"):
            return _has_word(self._contract.file(action.file), names)
        folder = self._contract.folder("" if action.file == "/" else action.file)
        return any(_has_word(content, names) for name, content in folder.entries if name.endswith(_PYTHON_SUFFIX))

    def _map_derived(self, current: Archive, action: MapDerived) -> None:
        """What is made is charged like an archive and its files; names that are taken keep what they have."""
        if action.file.endswith("/"):
            folder = current.folder("" if action.file == "/" else action.file)
            to = action.to if action.to.endswith("/") else action.to + "/"
            files = [(to + name, content) for name, content in folder.entries]
        else:
            files = [(action.to, current.file(action.file))]
        by = self._registry.resolve(action.by)
        self._runners.append(by)
        made = self._builder.derive(by, files)
        self._builder.charge(sum(map(len, made.values())))
        for path, content in made.items():
            if self._builder.is_free(path):
                self._map_one(path, content)

    def _map_one(self, path: str, content: bytes | memoryview) -> None:
        if len(path) > MAPPED_PATH_BYTES_MAX or len(path.encode()) > MAPPED_PATH_BYTES_MAX:
            raise InvalidContract(f"MapFile: a target of more than {MAPPED_PATH_BYTES_MAX} bytes")
        self._names_left -= path.count("/") + 1
        if self._names_left < 0:
            raise InvalidContract(f"MapFile: more than {MAPPED_PATH_NAMES_MAX} names in all targets")
        self._builder.map_file(path, content)

    def _add_env(self, action: AddEnv) -> None:
        value = self._expand(action.val)
        replaced = self._env.get(action.name)
        if replaced is not None:
            self._env_bytes -= _env_size(action.name, replaced)
        self._env_bytes += _env_size(action.name, value)
        if self._env_bytes > ENVIRONMENT_BYTES_MAX:
            raise InvalidContract(f"AddEnv: an environment of more than {ENVIRONMENT_BYTES_MAX} bytes")
        self._env[action.name] = value

    def _expand(self, template: str) -> str:
        """Replace each ``${x}`` once; replaced text is not looked at again."""
        if "${" not in template:
            return template
        parts: list[str] = []
        length = 0
        end = 0
        for match in re.finditer(_VARIABLE, template):
            name = match[1]
            value = self._env.get(name)
            if value is None:
                if not name.startswith(_PROCESS_VARIABLE):
                    raise InvalidContract(f"AddEnv: unknown variable {name[:64]!r} in a template")
                value = ""
            parts += (template[end : match.start()], value)
            length += len(value)
            # Checked before the parts are joined: a doubling template is short, its value is not.
            if length > ENVIRONMENT_BYTES_MAX:
                raise InvalidContract(f"AddEnv: an environment of more than {ENVIRONMENT_BYTES_MAX} bytes")
            end = match.end()
        return "".join(parts) + template[end:]


def _not_installed(current: Archive, error: InvalidContract) -> InstallationFault:
    """What an installed runner names, and is not there, says something of this installation, not of the contract."""
    return InstallationFault(f"{current.id}: {error.error.cause}; `genvm runners build` makes it")


def _has_word(content: FileContent, words: list[bytes]) -> bool:
    # Most contracts have none anywhere, and to make a pattern takes longer than to see that.
    if isinstance(content, bytes) and not any(word in content for word in words):
        return False
    return re.search(rb"\b(?:%s)\b" % b"|".join(map(re.escape, words)), content) is not None


def _env_size(name: str, value: str) -> int:
    return len(name.encode()) + len(value.encode()) + 2
