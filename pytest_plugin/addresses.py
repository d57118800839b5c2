"""The accounts of tests: addresses that follow from a name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from pygenvm.executor.primitives.address import Address

#: pytest shows the line of the test, not those in here.
__tracebackhide__ = True

#: The account that sends everything until a test says otherwise.
OWNER = "default_sender"
_TEST_ACCOUNTS = 10


if TYPE_CHECKING:

    class DirectAddress(Address, bytes):  # type: ignore[misc]  # what they do alike has other types
        """20 bytes that are an address as well."""

        def __init__(self, val: str | bytes | bytearray | memoryview | Address) -> None: ...

else:

    class DirectAddress(bytes):
        """20 bytes that are an :class:`Address` as well.

        As bytes it has a length, ``hex()``, slices, and can be hashed and written; as an address it prints, converts
        and compares like one, also with one, and goes into calldata as one. ``isinstance`` finds it to be both, the
        second as mocks do it: no class can inherit from the two.
        """

        def __new__(cls, val: str | bytes | bytearray | memoryview | Address) -> DirectAddress:
            return bytes.__new__(cls, val.as_bytes if isinstance(val, Address) else Address(val).as_bytes)

        __class__ = property(lambda self: Address)

        @property
        def as_bytes(self) -> bytes:
            """The 20 bytes, as nothing but bytes."""
            return bytes(self)

        #: What the methods of an address look at when it is compared with this one.
        _as_bytes = as_bytes

        @property
        def as_hex(self) -> str:
            """``0x`` and 40 hex digits, with the letter case of EIP-55."""
            return Address(self.as_bytes).as_hex

        @property
        def as_b64(self) -> str:
            """28 characters of standard base64."""
            return Address(self.as_bytes).as_b64

        @property
        def as_int(self) -> int:
            """The bytes as an unsigned little-endian number."""
            return Address(self.as_bytes).as_int

        def __str__(self) -> str:
            return self.as_hex

        def __repr__(self) -> str:
            return repr(Address(self.as_bytes))

        def __format__(self, spec: str) -> str:
            return format(Address(self.as_bytes), spec)

        def __copy__(self) -> DirectAddress:
            return self

        def __deepcopy__(self, memo: dict[int, Any]) -> DirectAddress:
            return self

        def __reduce__(self) -> tuple[type[DirectAddress], tuple[bytes]]:
            return DirectAddress, (self.as_bytes,)


def create_address(name: str) -> DirectAddress:
    """The account of this name: the first 20 bytes of its SHA-256."""
    return DirectAddress(hashlib.sha256(name.encode()).digest()[: Address.SIZE])


def create_test_addresses(count: int = _TEST_ACCOUNTS) -> list[DirectAddress]:
    """Accounts without a name of their own."""
    return [create_address(f"test_address_{number}") for number in range(count)]


def plain(address: Address) -> Address:
    """The address and nothing else."""
    return Address(address.as_bytes)
