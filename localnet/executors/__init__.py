"""How contracts of the local network are run: as a process each, or by executors from a pool.

:mod:`localnet.executors.base` says what an executor is, :mod:`localnet.executors.process` starts one for each run,
:mod:`localnet.executors.pooled` takes them from a pool, :mod:`localnet.executors.series` gives them several runs, and
:mod:`localnet.executors.commands` has those of commands.
"""
