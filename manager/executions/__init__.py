"""Runs of the manager (spec modules/04 §6).

:mod:`manager.executions.backend` is what the rest of the manager knows of where executors live (start, wait, stop,
output); :mod:`manager.executions.local` is that on this machine. :mod:`manager.executions.registry` keeps runs by
their ids: deadlines, permits, records of those that have ended.
"""
