"""The composition root: the only place where the parts of a run are put together.

Runs of a process, replays, benchmarks and tests differ in who answers them, where their runners are and where their
output goes: those are :class:`Parts`. How the parts work together is the same for all of them, and stands here::

    Supervisor ─┬─ host                           the node's answers
                ├─ Modules ─┬─ web, llm           the modules' answers
                │           └─ host               tells how much fuel is left, and is told what was used
                ├─ ValidatorTasks ── gate         which validators run
                ├─ open_runners                   called when the node has told the locked slots
                └─ artefacts, entropy, console    for the sub-VMs (executor.subvm.services)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.module_protocol.modules import Modules
from pygenvm.executor.observer import NOBODY, Observer
from pygenvm.executor.run.ending import Ending
from pygenvm.executor.run.supervisor import RunOptions, Supervisor
from pygenvm.executor.run.validators import UntilDisagreement, ValidatorGate, ValidatorTasks
from pygenvm.executor.subvm.linking import host_linker
from pygenvm.executor.subvm.random import SystemEntropy

if TYPE_CHECKING:
    from pygenvm.executor.host_protocol.client import HostClient
    from pygenvm.executor.log import Logger
    from pygenvm.executor.message import Message
    from pygenvm.executor.module_protocol.modules import Service
    from pygenvm.executor.runner.actions import RunnerSource
    from pygenvm.executor.subvm.artefacts import ArtefactStore
    from pygenvm.executor.subvm.services import Console, Entropy
    from pygenvm.executor.subvm.wasmtime_c import Linker


class Parts(metaclass=Frozen):
    """What runs may differ in. Where nothing is given, it is as in the process of a node."""

    host: HostClient
    """Connected; closing it is up to whoever made it."""
    ending: Ending
    """The one that ``host`` asks before it sends anything."""
    web: Service
    llm: Service
    """Both are closed at the end of the run."""
    artefacts: ArtefactStore
    open_runners: Callable[[], RunnerSource]
    """May raise :class:`executor.runner.registry.RegistryError`."""
    console: Console
    entropy: Entropy = SystemEntropy()
    gate: ValidatorGate = UntilDisagreement()
    observer: Observer = NOBODY
    """Of VMs and instances; host and modules have been told of it before."""
    host_functions: Linker | None = None
    """Of the engine of ``artefacts``."""


def assemble(message: Message, options: RunOptions, parts: Parts, log: Logger) -> Supervisor:
    """The run of ``message``, not begun yet: :meth:`Supervisor.start_up`, then :meth:`Supervisor.run`, each once."""
    return Supervisor(
        message=message,
        options=options,
        host=parts.host,
        modules=Modules(parts.web, parts.llm, fuel=parts.host),
        artefacts=parts.artefacts,
        open_runners=parts.open_runners,
        console=parts.console,
        entropy=parts.entropy,
        validators=ValidatorTasks(parts.gate, parts.ending),
        ending=parts.ending,
        observer=parts.observer,
        host_functions=parts.host_functions or host_linker(),
        log=log,
    )
