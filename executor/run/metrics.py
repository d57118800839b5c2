"""What a run tells operators about itself at its end (spec executor/10 "Metrics")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygenvm.executor.outcome import InternalError, Outcome

if TYPE_CHECKING:
    from pygenvm.executor.host_protocol.client import HostClient
    from pygenvm.executor.module_protocol.modules import Modules, Service
    from pygenvm.executor.subvm.artefacts import ArtefactStore


def collect(host: HostClient, artefacts: ArtefactStore, modules: Modules, outcome: Outcome) -> dict[str, Any]:
    """The map under ``metrics``; asks the modules that were used for theirs, None stands for the others.

    Times are in microseconds, those of requests summed over the threads that waited. ``internal_error`` is whose fault
    it was, if the run ended with one.
    """
    return {
        "gvm": {
            "supervisor": {
                "precompile_hits": artefacts.hits,
                "compiled_modules": artefacts.compiled,
                "compilation_time": artefacts.compile_time_ns // 1000,
            },
            "host": {"time": host.time_ns // 1000},
            "web_module": _calls(modules.web),
            "llm_module": _calls(modules.llm),
            "internal_error": str(outcome.blame) if isinstance(outcome, InternalError) else None,
        },
        "llm": modules.llm.statistics(),
        "web": modules.web.statistics(),
    }


def _calls(module: Service) -> dict[str, int]:
    return {"calls": module.calls, "time": module.time_ns // 1000}
