"""Records in memory, and their bytes. Numpy comes first, as in contracts."""

import numpy as np  # noqa: F401 - before the SDK
from genlayer.py.storage import ROOT_SLOT_ID, InmemManager
from genlayer.py.storage._internal.generate import _known_descs, generate_storage


class Stored:
    """A database of the type `annotation` at the start of the root slot."""

    def __init__(self, annotation):
        record = generate_storage(type("Record", (), {"__annotations__": {"db": annotation}}))
        self.manager = InmemManager()
        self.root = self.manager.get_store_slot(ROOT_SLOT_ID)
        self.desc = _known_descs[record].props["db"][0]
        self.db = self.desc.get(self.root, 0)

    def dump(self, slot=None):
        """All that was written to a slot, in hex; by default to the root."""
        held = self.manager._slots.get(ROOT_SLOT_ID if slot is None else bytes.fromhex(slot))
        return held[1].hex() if held else ""

    def indirect(self, offset):
        """What was written to the slot of the root's `offset`."""
        return self.dump(self.root.indirect(offset).id.hex())

    def offsets(self):
        return {name: offset for name, (_, offset) in self.desc.props.items()}


def raises(kind, act):
    """The text of the exception of `kind` that `act` raises."""
    try:
        act()
    except kind as error:
        return str(error)
    raise AssertionError("nothing was raised")
