"""The quorum settlement with thousands of operators, some of whom cheat (docs/settlement.md "Simulation").

:mod:`settlement.simulate.world` plays one population on the real engine, :mod:`settlement.simulate.sweep` many of them
with a growing share of dishonest operators. Everything comes out of a seed: no clock, and no order of a set.
"""
