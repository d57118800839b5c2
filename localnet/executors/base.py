"""What the local network knows of executors: :class:`Executor` takes a host and a request and gives a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.frozen import Frozen
from pygenvm.executor.host_protocol.host import Host
from pygenvm.executor.spawn.output import Captured


class RunRequest(metaclass=Frozen):
    """One run. ``message`` as in spec executor/10, ``permissions`` a subset of ``rwscn``."""

    message: Mapping[str, object]
    tx_id: str
    permissions: str
    timeout: float
    """Seconds of wall time until the run is ended with the VM error ``timeout``."""
    sync: bool = False
    node_address: str = "0x"
    """What LLM and web services are told about this node."""
    node: str = ""
    """``leader`` or ``validator N``, where there are validators: files of mocks may have answers for one of them."""
    record: Path | None = None
    """File for a record of the run (:mod:`executor.record.format`)."""


class RunReport(metaclass=Frozen):
    """How an executor process ended. The result of the run is at the host."""

    exit_status: int
    """Exit code, or minus the number of the signal that ended the process."""
    failure: str | None
    """Why the host did not get a result, as the host saw it; None: it got one and acknowledged it."""
    timed_out: bool
    stdout: Captured
    stderr: Captured
    log: Captured
    seconds: float


class Executor(Protocol):
    """Runs a message against a host. Several runs may be under way at the same time."""

    async def __call__(self, host: Host, request: RunRequest) -> RunReport:
        """Returns after the run has ended, whatever its result; a run whose caller is cancelled is ended at once.

        :raises ExecutorError: no executor could be started.
        """
        ...


def arguments_of(address: str, request: RunRequest) -> RunArguments:
    """The options of ``genvm run`` for a request; ``address`` is that of its host."""
    host_data = {"node_address": request.node_address, "tx_id": request.tx_id}
    return RunArguments(
        message=json.dumps(request.message),
        host=address,
        host_data=json.dumps({**host_data, **({"mock_node": request.node} if request.node else {})}),
        permissions=request.permissions,
        sync=request.sync,
        record=request.record,
        # Contracts of authors use runner ids like py-genlayer:test, which need the debug mode.
        debug_mode=True,
        printed=frozenset(["result"]),
    )
