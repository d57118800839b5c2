"""How contracts of the local network are run: as a process each, or by executors from a pool.

:mod:`localnet.executors.base` says what an executor is, :mod:`localnet.executors.process` starts one for each run,
:mod:`localnet.executors.pooled` takes them from a pool.
"""
