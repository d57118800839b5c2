"""Quorum settlement: operators with stake agree on a result, and the outcome becomes a receipt that anyone can check.

docs/settlement.md says what it is and how its parts are put together (spec settlement/01 to 03).
"""
