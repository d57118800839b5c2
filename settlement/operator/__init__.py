"""An operator: watches tasks, answers those for which it was drawn, commits and reveals (spec settlement/01 §7).

:mod:`settlement.operator.votes` keeps what was committed to on disk, :mod:`settlement.operator.answering` is the narrow
interface to whatever finds the answers, :mod:`settlement.operator.worker` does things in time.
"""
