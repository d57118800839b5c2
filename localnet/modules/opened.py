"""Everything together: the services of a command, and the configuration that tells its executors of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from pygenvm.executor.config import Config, ConfigError, load_config
from pygenvm.executor.frozen import Frozen
from pygenvm.localnet import background, direct
from pygenvm.localnet.modules.broker import Answering, Broker, Source
from pygenvm.localnet.modules.places import idle_seconds, own_folder

if TYPE_CHECKING:
    from pathlib import Path

    from pygenvm.executor.module_protocol.modules import ModuleName
    from pygenvm.localnet.modules.settings import Settings
    from pygenvm.localnet.modules.validators import ValidatorModels

#: In the order in which they are told of.
NAMES: tuple[ModuleName, ...] = ("llm", "web")


class Choices(metaclass=Frozen):
    """What the author says of the services; whatever is left out is as it comes."""

    mocks: Path | None = None
    """A file that answers for both (:mod:`modules.mocks`)."""
    configs: Mapping[ModuleName, Path | None] | None = None
    """Their configuration files."""


_NO_CHOICES = Choices()


@contextlib.contextmanager
def modules_of_author(
    config_path: str | None = None,
    choices: Choices = _NO_CHOICES,
    *,
    validators: ValidatorModels | None = None,
    on_start: Callable[[ModuleName], None] = lambda _: None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> Iterator[list[str]]:
    """The global options for executors (spec executor/10) whose modules are the author's own.

    A service whose address stands in the configuration of the executors is somebody else's affair, but for mocks.

    :param config_path: the configuration of the executors that the author chose.
    :param validators: chooses who answers which node, also in the place of somebody else.
    :param on_start: called when a service is being started, which takes a moment.
    :param on_warning: called with what is strange about a configuration that can be used.
    :raises BadRequest: one of the files cannot be used.
    """
    options = [f"--config={config_path}"] if config_path else []
    try:
        config = load_config(config_path)
    except ConfigError:
        # The executor says it.
        yield options
        return
    with contextlib.ExitStack() as stack:
        services = services_of_author(config, choices, validators=validators, on_start=on_start, on_warning=on_warning)
        addresses = stack.enter_context(services)
        if not addresses:
            yield options
            return
        from pygenvm.modules.webdriver.folder import PrivateFolder

        # Of a command that is killed it goes with the next one.
        folder = PrivateFolder("genvm-modules-")
        stack.callback(folder.close)
        file = folder.path / "genvm.yaml"
        file.write_text(executor_config(config, addresses))
        yield [f"--config={file}"]


@contextlib.contextmanager
def services_of_author(
    config: Config,
    choices: Choices,
    *,
    validators: ValidatorModels | None = None,
    on_start: Callable[[ModuleName], None] = lambda _: None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> Iterator[Mapping[ModuleName, str]]:
    """The addresses of those of :func:`modules_of_author`, for executors that have ``config`` otherwise."""
    sources = _sources(config, choices, on_start, on_warning)
    if validators is not None:
        sources = _chosen(validators, config, choices, sources, on_start)
    if not sources:
        yield {}
        return
    broker = Broker(sources)
    with contextlib.ExitStack() as stack:
        if direct.is_on():
            stack.enter_context(_served_when_wanted(broker))
        else:
            stack.callback(lambda: background.run(broker.close()))
            background.run(broker.start())
        yield broker.addresses


@contextlib.contextmanager
def _served_when_wanted(broker: Broker) -> Iterator[None]:
    """Without an event loop until somebody connects."""
    doors, has_started = broker.descriptors, False

    def start() -> None:
        nonlocal has_started
        has_started = True
        for door in doors:
            direct.watched.pop(door, None)
        background.run_in_loop(broker.start())

    direct.watched.update(dict.fromkeys(doors, start))
    try:
        yield
    finally:
        for door in doors:
            direct.watched.pop(door, None)
        if has_started:
            background.run_in_loop(broker.close())
        else:
            direct.run(broker.close())


def _sources(
    config: Config,
    choices: Choices,
    on_start: Callable[[ModuleName], None],
    on_warning: Callable[[str], None],
) -> dict[ModuleName, Source]:
    settings = _settings(choices.configs or {}, on_warning)
    if choices.mocks:
        from pygenvm.localnet.modules.mocked import MockFile

        file = MockFile(choices.mocks)
        return dict.fromkeys(NAMES, file)
    folder, idle = own_folder(), idle_seconds()
    return {
        name: _Process(name, settings[name], folder, idle, on_start)
        for name in NAMES
        if name not in config.modules_named or (choices.configs or {}).get(name)
    }


class _Process:
    """A :class:`localnet.modules.processes.ModuleProcess` that is made, and its module loaded, when it is asked."""

    def __init__(
        self,
        name: ModuleName,
        settings: Callable[[], Settings],
        folder: Path,
        idle: float,
        on_start: Callable[[ModuleName], None],
    ) -> None:
        self._make: Callable[[], Source] = partial(_module_process, name, settings, folder, idle, on_start)
        self._process: Source | None = None

    async def open(self, hello: bytes) -> Answering:
        if self._process is None:
            self._process = self._make()
        return await self._process.open(hello)


def _module_process(
    name: ModuleName,
    settings: Callable[[], Settings],
    folder: Path,
    idle: float,
    on_start: Callable[[ModuleName], None],
) -> Source:
    from pygenvm.localnet.modules.processes import ModuleProcess

    return ModuleProcess(name, settings, folder=folder, idle=idle, on_start=on_start)


def _chosen(
    validators: ValidatorModels,
    config: Config,
    choices: Choices,
    sources: Mapping[ModuleName, Source],
    on_start: Callable[[ModuleName], None],
) -> dict[ModuleName, Source]:
    """The same sources, and those that stand in the configuration of the executors, behind a choice."""
    from pygenvm.localnet.modules.processes import Running

    folder, idle = own_folder(), idle_seconds()

    def service(settings: Settings) -> Source:
        return _module_process("llm", lambda: settings, folder, idle, on_start)

    llm = _settings(choices.configs or {}, lambda _: None)["llm"]
    validators.serve(llm, service, mocked=choices.mocks is not None)
    addresses: dict[ModuleName, str] = {"llm": config.llm_address, "web": config.web_address}
    return validators.over({name: sources.get(name) or Running(name, addresses[name]) for name in NAMES})


def _settings(
    configs: Mapping[ModuleName, Path | None], on_warning: Callable[[str], None]
) -> dict[ModuleName, Callable[[], Settings]]:
    """Gives the configuration of each service: files of the author are read now, so that nothing runs if one is wrong;
    what services come with is read when one is needed."""
    found: dict[ModuleName, Callable[[], Settings]] = {}
    for name in NAMES:
        path = configs.get(name)
        if path:
            from pygenvm.localnet.modules.settings import read_settings

            settings = read_settings(name, path, on_warning)
            found[name] = partial(_same, settings)
        else:
            found[name] = partial(_usual, name)
    return found


def _same(settings: Settings) -> Settings:
    return settings


def _usual(name: ModuleName) -> Settings:
    from pygenvm.localnet.modules.settings import read_settings

    return read_settings(name, None)


def executor_config(usual: Config, addresses: Mapping[ModuleName, str]) -> str:
    """A configuration file for executors: the usual one with modules at other addresses. JSON is YAML."""
    known = {"llm": usual.llm_address, "web": usual.web_address, **addresses}
    document = {
        "runners_dir": str(usual.runners_dir),
        "registry_dir": str(usual.registry_dir),
        "packaged_runners": list(map(str, usual.packaged_runners)),
        "cache_dir": str(usual.cache_dir),
        "modules": {name: {"address": address} for name, address in known.items()},
        "threads": usual.threads,
        "blocking_threads": usual.blocking_threads,
        "log_level": usual.log_level,
        "log_disable": ",".join(usual.log_disable),
    }
    import json

    return json.dumps(document, indent=2)
