"""All methods, by family (spec localnet-rpc/01 §4)."""

from __future__ import annotations

from pygenvm.localnet.rpc.methods import consensus, eth, gen, glsim, node, own, page, sim, validators
from pygenvm.localnet.rpc.registry import Methods

METHODS = Methods()
for _family in (node, eth, gen, sim, consensus, validators, glsim, own, page):
    METHODS.update(_family.METHODS)
