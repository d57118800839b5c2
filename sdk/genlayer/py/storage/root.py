"""The record at the root slot, known to the VM and to nodes (spec sdk/02 §1)."""

__all__ = ("Root",)

import itertools
import typing

from ..types import Address, u8, u256
from ._internal.core import ROOT_SLOT_ID, InmemManager, Manager, Slot, TypeDesc
from ._internal.desc_record import RecordDesc, field_property
from ._internal.generate import _known_descs, _storage_build
from .vec import VLA, Indirection

# of contracts with many fields, so that making an image costs no more than a call
_FIELDS_DERIVED = 64


class Root:
    """View of the root record. ``MANAGER`` is the contract's storage once ``genlayer.gl`` is imported."""

    MANAGER: typing.ClassVar[Manager] = InmemManager()

    contract_instance: Indirection[None]
    code: Indirection[VLA[u8]]
    locked_slots: Indirection[VLA[u256]]
    upgraders: Indirection[VLA[Address]]

    _storage_slot: Slot

    @staticmethod
    def get() -> "Root":
        root: Root = _DESC.get(Root.MANAGER.get_store_slot(ROOT_SLOT_ID), 0)
        return root

    def slot(self) -> Slot:
        return self._storage_slot

    def get_contract_instance[C](self, cls: type[C], /) -> C:
        """View of the contract, no ``__init__`` run."""
        desc = _known_descs.get(cls)
        if desc is None:
            built = _storage_build(cls, {})
            assert isinstance(built, TypeDesc)
            desc = built
        instance: C = desc.get(self.contract_instance.slot(), 0)
        return instance

    def _derive_slots(self, cls: type, /) -> None:
        """Derive the slots of the fields of the contract now: it is done once, and no view of it asks again."""
        desc, slot = _known_descs[cls], self.contract_instance.slot()
        assert isinstance(desc, RecordDesc)
        for field, off in itertools.islice(desc.props.values(), _FIELDS_DERIVED):
            for below in field.below:
                slot.indirect(off + below)

    def lock_default(self) -> None:
        """Lock root, code, locked_slots and upgraders, from the next transaction on (four appends)."""
        locked = self.locked_slots.get()
        for slot in (self.slot(), self.code.slot(), self.locked_slots.slot(), self.upgraders.slot()):
            locked.append(slot.as_int())


def _field(annotation: typing.Any) -> TypeDesc:
    desc = _storage_build(annotation, {})
    assert isinstance(desc, TypeDesc)
    return desc


# Written out: evaluating the annotations costs more at import.
_DESC = RecordDesc(
    Root,
    {
        "contract_instance": _field(Indirection[None]),
        "code": _field(Indirection[VLA[u8]]),
        "locked_slots": _field(Indirection[VLA[u256]]),
        "upgraders": _field(Indirection[VLA[Address]]),
    },
)
for _name, (_desc, _off) in _DESC.props.items():
    setattr(Root, _name, field_property(_name, _desc, _off))
_known_descs[Root] = _DESC
