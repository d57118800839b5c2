"""A deployed contract whose methods are called like those of a Python object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.calldata import CalldataEncodable
from pygenvm.pytest_plugin.addresses import DirectAddress, plain

if TYPE_CHECKING:
    from pygenvm.pytest_plugin.direct import DirectVM

#: pytest shows the line of the test, not those in here.
__tracebackhide__ = True


class DirectContract(CalldataEncodable):
    """``contract.method(…)`` is a view or a transaction, as the contract's schema says; ``contract.field`` is what the
    contract has in storage.

    As an argument of another call it stands for its address.
    """

    def __init__(self, vm: DirectVM, address: Address, methods: dict[str, Any] | None, name: str = "") -> None:
        self._vm = vm
        self._name = name
        self._methods = methods
        self._address = DirectAddress(address)

    @property
    def address(self) -> DirectAddress:
        """The contract's address."""
        return self._address

    @property
    def balance(self) -> int:
        """The contract's native value."""
        return self._vm.balance(self)

    def signature(self, method: str) -> dict[str, Any]:
        """The parameters of a method, as far as they are known."""
        found: dict[str, Any] = (self._methods or {}).get(method, {})
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"{self!r} has no attribute {name!r}")
        if self._methods is None:
            raise AttributeError(
                f"{self!r} has no schema, so {name!r} may be anything: use direct_vm.view(contract, {name!r}, …)"
                f" or direct_vm.call(contract, {name!r}, …)"
            )
        if name not in self._methods:
            try:
                fields = self._vm.storage(self)
            except RuntimeError:
                fields = {}
            if name in fields:
                return fields[name]
            known = ", ".join([*self._methods, *fields]) or "none"
            raise AttributeError(f"{self!r} has no public method and no field {name!r}; it has {known}")
        readonly = self._methods[name]["readonly"]

        def method(*args: Any, **kwargs: Any) -> Any:
            send = self._vm.view if readonly else self._vm.call
            return send(self, name, *args, **kwargs)

        method.__name__ = name
        return method

    if not TYPE_CHECKING:  # or else no type checker would see such an assignment either

        def __setattr__(self, name: str, value: Any) -> None:
            if name not in ("_vm", "_name", "_methods", "_address"):
                way = "use direct_vm.deal(contract, amount)" if name == "balance" else "call a method that changes it"
                raise AttributeError(f"{name!r} of {self!r} cannot be assigned: a test cannot write storage, {way}")
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(self._methods or ())]

    def __repr__(self) -> str:
        return f"<contract {f'{self._name} {self.address.as_hex}'.lstrip()}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DirectContract) and other.address == self.address

    def __hash__(self) -> int:
        return hash(self.address)

    def __to_calldata__(self) -> Address:
        return plain(self.address)
