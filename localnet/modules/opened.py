"""Everything together: the services of a command, and the configuration that tells its executors of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pygenvm.executor.config import Config, ConfigError, load_config
from pygenvm.localnet import background
from pygenvm.localnet.modules.broker import Broker, Source

if TYPE_CHECKING:
    from pygenvm.executor.module_protocol.modules import ModuleName
    from pygenvm.localnet.modules.settings import Settings
    from pygenvm.localnet.modules.validators import ValidatorModels

#: In the order in which they are told of.
NAMES: tuple[ModuleName, ...] = ("llm", "web")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the author says of the services; whatever is left out is as it comes."""

    mocks: Path | None = None
    """A file that answers for both (:mod:`modules.mocks`)."""
    configs: Mapping[ModuleName, Path | None] | None = None
    """Their configuration files."""


@contextlib.contextmanager
def modules_of_author(
    config_path: str | None = None,
    choices: Choices = Choices(),
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
        stack.callback(lambda: background.run(broker.close()))
        background.run(broker.start())
        yield broker.addresses


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
    from pygenvm.localnet.modules.processes import ModuleProcess, idle_seconds, own_folder

    folder, idle = own_folder(), idle_seconds()
    return {
        name: ModuleProcess(name, settings[name], folder=folder, idle=idle, on_start=on_start)
        for name in NAMES
        if name not in config.modules_named or (choices.configs or {}).get(name)
    }


def _chosen(
    validators: ValidatorModels,
    config: Config,
    choices: Choices,
    sources: Mapping[ModuleName, Source],
    on_start: Callable[[ModuleName], None],
) -> dict[ModuleName, Source]:
    """The same sources, and those that stand in the configuration of the executors, behind a choice."""
    from pygenvm.localnet.modules.processes import ModuleProcess, Running, idle_seconds, own_folder

    folder, idle = own_folder(), idle_seconds()

    def service(settings: Settings) -> Source:
        return ModuleProcess("llm", lambda: settings, folder=folder, idle=idle, on_start=on_start)

    llm = _settings(choices.configs or {}, lambda _: None)["llm"]
    validators.serve(llm, service, mocked=choices.mocks is not None)
    addresses: dict[ModuleName, str] = {"llm": config.llm_address, "web": config.web_address}
    return validators.over({name: sources.get(name) or Running(name, addresses[name]) for name in NAMES})


def _settings(
    configs: Mapping[ModuleName, Path | None], on_warning: Callable[[str], None]
) -> dict[ModuleName, Callable[[], Settings]]:
    """Gives the configuration of each service: files of the author are read now, so that nothing runs if one is wrong;
    what services come with is read when one is needed."""
    from pygenvm.localnet.modules.settings import read_settings

    found: dict[ModuleName, Callable[[], Settings]] = {}
    for name in NAMES:
        path = configs.get(name)
        if path:
            settings = read_settings(name, path, on_warning)
            found[name] = partial(_same, settings)
        else:
            found[name] = partial(read_settings, name, None)
    return found


def _same(settings: Settings) -> Settings:
    return settings


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
    return json.dumps(document, indent=2)
