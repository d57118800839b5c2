# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""The record at the root slot, known to the VM and to nodes (spec sdk/02 §1)."""
__all__ = ('Root',)
import itertools
import typing
from ..types import Address, u8, u256
from ._internal.core import ROOT_SLOT_ID, InmemManager, Manager, Slot, TypeDesc
from ._internal.desc_record import RecordDesc, field_property
from ._internal.generate import _known_descs, _storage_build
from .vec import VLA, Indirection
import typing_extensions
_C = typing_extensions.TypeVar('_C')

class Root:
    """View of the root record. ``MANAGER`` is the contract's storage once ``genlayer.gl`` is imported."""
    MANAGER: typing.ClassVar[Manager]
    contract_instance: Indirection[None]
    code: Indirection[VLA[u8]]
    locked_slots: Indirection[VLA[u256]]
    upgraders: Indirection[VLA[Address]]

    @staticmethod
    def get() -> Root:
        ...

    def slot(self) -> Slot:
        ...

    def get_contract_instance(self, cls: type[_C], /) -> _C:
        """View of the contract, no ``__init__`` run."""

    def lock_default(self) -> None:
        """Lock root, code, locked_slots and upgraders, from the next transaction on (four appends)."""
