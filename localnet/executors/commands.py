"""What runs the contracts of a command. What takes time to load is loaded when it is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pygenvm.localnet import background, direct
from pygenvm.localnet.errors import ExecutorError
from pygenvm.localnet.executors.base import Executor, RunReport, RunRequest

if TYPE_CHECKING:
    from pygenvm.executor.host_protocol.host import Host
    from pygenvm.executor.pool.forked import ForkedExecutor
    from pygenvm.localnet.executors.series import Lent

#: Executors that end with this process. They would end with what leads to them.
_kept: list[object] = []


@contextlib.contextmanager
def few_runs(options: Sequence[str] = ()) -> Iterator[Executor]:
    """The executor for one run and perhaps some more: the first is a process of its own, the others share some.

    A pool takes longer to start than one process, so it only pays from there on. ``options`` are global ones.
    """
    from pygenvm.localnet.executors.pooled import series_of_runs
    from pygenvm.localnet.executors.process import ExecutorProcess

    def one_after_the_other() -> Iterator[Executor]:
        yield ExecutorProcess(options=options)
        reused = stack.enter_context(series_of_runs(options))
        while True:
            yield reused

    with contextlib.ExitStack() as stack:
        executors = one_after_the_other()

        async def run(host: Host, request: RunRequest) -> RunReport:
            return await next(executors)(host, request)

        yield run


@contextlib.contextmanager
def forked_runs(
    forked: ForkedExecutor, options: Sequence[str], modules: Mapping[str, str], meanwhile: Callable[[], object]
) -> Iterator[Executor]:
    """The same with a first executor that has been forked; it carries out others too, if it can.

    :param modules: addresses of modules that are not those of the configuration.
    :param meanwhile: done once while the first run is waited for.
    """
    from pygenvm.executor.spawn import SpawnError
    from pygenvm.executor.spawn.series import Gone
    from pygenvm.localnet.executors.series import ForkedExecutors, ReusedExecutors

    with contextlib.ExitStack() as stack:
        first = ForkedExecutors(forked, modules, meanwhile)
        others: list[Executor] = []

        async def run(host: Host, request: RunRequest) -> RunReport:
            try:
                return await first.carry_out(host, request)
            except Gone:
                pass  # It has done nothing of it.
            except SpawnError as error:
                raise ExecutorError(str(error)) from error
            if not others:
                reused = ReusedExecutors(options=options, modules=modules)
                others.append(stack.enter_context(contextlib.closing(reused)))
            work = others[0](host, request)
            if not direct.is_on():
                return await work
            while direct.watched:
                # There the loop watches.
                next(iter(direct.watched.values()))()
            return background.run_in_loop(work)

        yield run


def lent_runs(lent: Lent, modules: Mapping[str, str], *, soon: bool) -> Executor:
    """The executor for a command that another pool has. That ends what runs contracts when this process has ended.

    :param modules: addresses of modules that are not those of its configuration.
    :param soon: there is a run in a moment, surely.
    """
    from pygenvm.localnet.executors.series import LentExecutors

    executor = LentExecutors(lent, modules)
    _kept.append(executor)
    if soon:
        background.run(executor.order())
    return executor
