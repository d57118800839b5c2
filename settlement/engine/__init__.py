"""The quorum engine: pure functions of state and height, without a clock or chance (spec settlement/01).

:mod:`settlement.engine.engine` is the door. Behind it is a file for each family of operations; each checks
everything in the order of the specification, then writes, so that what it refuses has changed nothing.
"""
