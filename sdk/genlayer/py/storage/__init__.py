"""Storage types and their memory (spec sdk/02)."""

__all__ = (
    "ROOT_SLOT_ID",
    "VLA",
    "Array",
    "DynArray",
    "Indirection",
    "Manager",
    "Root",
    "Slot",
    "TreeMap",
    "allow_storage",
    "inmem_allocate",
)

from ._internal.core import ROOT_SLOT_ID, Manager, Slot
from ._internal.core import InmemManager as InmemManager
from ._internal.detach import copy_to_memory as copy_to_memory
from ._internal.generate import generate_storage as generate_storage
from ._internal.generate import inmem_allocate
from .annotations import allow_storage
from .root import Root
from .tree_map import TreeMap
from .vec import VLA, Array, DynArray, Indirection
