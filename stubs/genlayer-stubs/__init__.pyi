# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Star-import surface of a contract: ``from genlayer import *`` (spec sdk/01 §2)."""
__all__ = ('Address', 'Array', 'DynArray', 'Keccak256', 'TreeMap', 'allow_storage', 'bigint', 'gl', 'i8', 'i16', 'i24', 'i32', 'i40', 'i48', 'i56', 'i64', 'i72', 'i80', 'i88', 'i96', 'i104', 'i112', 'i120', 'i128', 'i136', 'i144', 'i152', 'i160', 'i168', 'i176', 'i184', 'i192', 'i200', 'i208', 'i216', 'i224', 'i232', 'i240', 'i248', 'i256', 'u8', 'u16', 'u24', 'u32', 'u40', 'u48', 'u56', 'u64', 'u72', 'u80', 'u88', 'u96', 'u104', 'u112', 'u120', 'u128', 'u136', 'u144', 'u152', 'u160', 'u168', 'u176', 'u184', 'u192', 'u200', 'u208', 'u216', 'u224', 'u232', 'u240', 'u248', 'u256')
import typing
from .py.storage import Array, DynArray, TreeMap, allow_storage
from .py.types import Address, Keccak256, bigint, i8, i16, i24, i32, i40, i48, i56, i64, i72, i80, i88, i96, i104, i112, i120, i128, i136, i144, i152, i160, i168, i176, i184, i192, i200, i208, i216, i224, i232, i240, i248, i256, u8, u16, u24, u32, u40, u48, u56, u64, u72, u80, u88, u96, u104, u112, u120, u128, u136, u144, u152, u160, u168, u176, u184, u192, u200, u208, u216, u224, u232, u240, u248, u256
from . import gl
