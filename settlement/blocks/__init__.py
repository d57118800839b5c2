"""Blocks: transactions for every engine call, carried out the same way by everybody (spec settlement/03 §4).

:mod:`settlement.blocks.chain` builds, verifies, accepts and rejects; :mod:`settlement.blocks.transactions` is what
stands in a block, :mod:`settlement.blocks.pool` what waits for one; :mod:`settlement.blocks.dag` has the vertices.
"""
