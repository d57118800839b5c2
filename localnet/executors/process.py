"""A new ``genvm run`` process for each run."""

from __future__ import annotations

from collections.abc import Sequence

from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.spawn import StartedExecutor
from pygenvm.executor.spawn.process import own_command, run_words, start_process
from pygenvm.localnet import limits
from pygenvm.localnet.executors.starting import StartingExecutor


class ExecutorProcess(StartingExecutor):
    """``genvm run`` as a process of its own, in its own process group, that ends when we end."""

    def __init__(
        self,
        command: Sequence[str] = (),
        *,
        options: Sequence[str] = (),
        grace: float = limits.RUN_GRACE_SECONDS,
    ) -> None:
        """
        :param command: an executor; by default this installation's own ``genvm``.
        :param options: global options for it (spec executor/10), such as ``--config=PATH``.
        """
        super().__init__(grace)
        self._command = [*command, *options] if command else own_command(options)

    async def _start(self, arguments: RunArguments, stdout: int, stderr: int, log: int) -> StartedExecutor:
        return await start_process(self._command, run_words(arguments), stdout=stdout, stderr=stderr, log=log)
