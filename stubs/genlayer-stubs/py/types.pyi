# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Types of contract interfaces and storage (spec sdk/01 §4)."""
__all__ = ('Address', 'Keccak256', 'Lazy', 'SizedArray', 'bigint', 'i8', 'i16', 'i24', 'i32', 'i40', 'i48', 'i56', 'i64', 'i72', 'i80', 'i88', 'i96', 'i104', 'i112', 'i120', 'i128', 'i136', 'i144', 'i152', 'i160', 'i168', 'i176', 'i184', 'i192', 'i200', 'i208', 'i216', 'i224', 'i232', 'i240', 'i248', 'i256', 'u8', 'u16', 'u24', 'u32', 'u40', 'u48', 'u56', 'u64', 'u72', 'u80', 'u88', 'u96', 'u104', 'u112', 'u120', 'u128', 'u136', 'u144', 'u152', 'u160', 'u168', 'u176', 'u184', 'u192', 'u200', 'u208', 'u216', 'u224', 'u232', 'u240', 'u248', 'u256')
import typing
from collections.abc import Callable, Iterator
from .address import Address
from .keccak import Keccak256
import typing_extensions
_T = typing_extensions.TypeVar('_T', covariant=True)
_S = typing_extensions.TypeVar('_S', bound=int, covariant=True)

class SizedArray(typing.Protocol[_T, _S]):
    """Fixed-size sequence in EVM signatures: ``SizedArray[u8, typing.Literal[3]]`` is ``uint8[3]``."""

    def __len__(self) -> int:
        ...

    def __getitem__(self, index: int, /) -> _T:
        ...

    def __iter__(self) -> Iterator[_T]:
        ...

class Lazy(typing.Generic[_T]):
    """Value that is computed by the first ``get()``; the result, or the exception, is kept (spec sdk/01 §3.11)."""

    def __init__(self, evaluate: Callable[[], _T], /) -> None:
        ...

    def get(self) -> _T:
        """Return the value, or raise what computing it raised, the same exception every time."""
bigint = typing.NewType('bigint', int)
u8 = typing.NewType('u8', int)
u16 = typing.NewType('u16', int)
u24 = typing.NewType('u24', int)
u32 = typing.NewType('u32', int)
u40 = typing.NewType('u40', int)
u48 = typing.NewType('u48', int)
u56 = typing.NewType('u56', int)
u64 = typing.NewType('u64', int)
u72 = typing.NewType('u72', int)
u80 = typing.NewType('u80', int)
u88 = typing.NewType('u88', int)
u96 = typing.NewType('u96', int)
u104 = typing.NewType('u104', int)
u112 = typing.NewType('u112', int)
u120 = typing.NewType('u120', int)
u128 = typing.NewType('u128', int)
u136 = typing.NewType('u136', int)
u144 = typing.NewType('u144', int)
u152 = typing.NewType('u152', int)
u160 = typing.NewType('u160', int)
u168 = typing.NewType('u168', int)
u176 = typing.NewType('u176', int)
u184 = typing.NewType('u184', int)
u192 = typing.NewType('u192', int)
u200 = typing.NewType('u200', int)
u208 = typing.NewType('u208', int)
u216 = typing.NewType('u216', int)
u224 = typing.NewType('u224', int)
u232 = typing.NewType('u232', int)
u240 = typing.NewType('u240', int)
u248 = typing.NewType('u248', int)
u256 = typing.NewType('u256', int)
i8 = typing.NewType('i8', int)
i16 = typing.NewType('i16', int)
i24 = typing.NewType('i24', int)
i32 = typing.NewType('i32', int)
i40 = typing.NewType('i40', int)
i48 = typing.NewType('i48', int)
i56 = typing.NewType('i56', int)
i64 = typing.NewType('i64', int)
i72 = typing.NewType('i72', int)
i80 = typing.NewType('i80', int)
i88 = typing.NewType('i88', int)
i96 = typing.NewType('i96', int)
i104 = typing.NewType('i104', int)
i112 = typing.NewType('i112', int)
i120 = typing.NewType('i120', int)
i128 = typing.NewType('i128', int)
i136 = typing.NewType('i136', int)
i144 = typing.NewType('i144', int)
i152 = typing.NewType('i152', int)
i160 = typing.NewType('i160', int)
i168 = typing.NewType('i168', int)
i176 = typing.NewType('i176', int)
i184 = typing.NewType('i184', int)
i192 = typing.NewType('i192', int)
i200 = typing.NewType('i200', int)
i208 = typing.NewType('i208', int)
i216 = typing.NewType('i216', int)
i224 = typing.NewType('i224', int)
i232 = typing.NewType('i232', int)
i240 = typing.NewType('i240', int)
i248 = typing.NewType('i248', int)
i256 = typing.NewType('i256', int)
