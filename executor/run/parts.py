"""What a run that is a process of its own is put together from: loaded when its host is connected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygenvm.executor import limits
from pygenvm.executor.json_text import parse_json
from pygenvm.executor.module_protocol.modules import OnDemand
from pygenvm.executor.run.process import StartError, artefacts_dir
from pygenvm.executor.run.supervisor import RunOptions
from pygenvm.executor.run.world import Parts
from pygenvm.executor.runner.registry import InstalledRunners
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.spec import Permissions

if TYPE_CHECKING:
    from pygenvm.executor.arguments import RunArguments
    from pygenvm.executor.config import Config
    from pygenvm.executor.host_protocol.client import HostClient
    from pygenvm.executor.module_protocol.modules import ModuleName, Service
    from pygenvm.executor.observer import Observer
    from pygenvm.executor.run.ending import Ending
    from pygenvm.executor.run.prepared import Prepared
    from pygenvm.executor.subvm.services import Console


def parse_host_data(text: str) -> dict[str, Any]:
    """The JSON object of ``--host-data``, forwarded to modules.

    :raises StartError: not an object, or without the string members that modules need.
    """
    try:
        data = parse_json(text, max_chars=limits.HOST_DATA_JSON_CHARS_MAX, max_depth=limits.HOST_DATA_JSON_DEPTH_MAX)
    except ValueError as error:
        raise StartError(f"--host-data is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise StartError("--host-data must be a JSON object")
    missing = [name for name in ("node_address", "tx_id") if not isinstance(data.get(name), str)]
    if missing:
        raise StartError(
            f"--host-data lacks the string member{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            'give for example {"node_address": "0x…", "tx_id": "0x…"}'
        )
    return data


def run_options(arguments: RunArguments) -> RunOptions:
    """:raises StartError: there are no such permissions."""
    try:
        permissions = Permissions.parse(arguments.permissions)
    except ValueError as error:
        raise StartError(str(error)) from None
    return RunOptions(permissions, arguments.sync, arguments.debug_mode)


def process_parts(
    arguments: RunArguments,
    config: Config,
    prepared: Prepared | None,
    host: HostClient,
    ending: Ending,
    console: Console,
    observer: Observer,
) -> Parts:
    """The parts of a run that is a process of its own.

    :raises StartError: the host data are none.
    """
    host_data = parse_host_data(arguments.host_data)

    def service(name: ModuleName, address: str) -> Service:
        from pygenvm.executor.module_protocol.client import ModuleClient
        from pygenvm.executor.module_protocol.codec import Hello

        return ModuleClient(name, address, Hello(arguments.cookie, host_data), observer)

    known = prepared.archives if prepared else None
    return Parts(
        host=host,
        ending=ending,
        web=OnDemand(lambda: service("web", config.web_address)),
        llm=OnDemand(lambda: service("llm", config.llm_address)),
        artefacts=prepared.artefacts
        if prepared
        else ArtefactStore(artefacts_dir(config), packaged=config.packaged_modules),
        open_runners=lambda: InstalledRunners.of(config, debug=arguments.debug_mode, known=known),
        console=console,
        observer=observer,
        host_functions=prepared.host_functions if prepared else None,
    )
