"""Values that a test gets from a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

#: pytest shows the line of the test, not those in here.
__tracebackhide__ = True


class Record(dict[str, Any]):
    """A record or a map with text keys: a dict whose entries are attributes too, ``item.title`` for ``item["title"]``.

    Where a dict has an attribute of that name, such as ``items``, it is the dict's.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            known = ", ".join(map(str, self)) or "nothing"
            raise AttributeError(f"there is no {name!r} in it, only {known}") from None

    if not TYPE_CHECKING:  # or else no type checker would see such an assignment either

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(f"{name!r} cannot be assigned: this is a copy of what the contract has")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(key for key in self if isinstance(key, str))]


def with_records(value: Any) -> Any:
    """The value with every dict inside as a :class:`Record`."""
    if isinstance(value, dict):
        return Record({key: with_records(item) for key, item in value.items()})
    if isinstance(value, list):
        return [with_records(item) for item in value]
    return value
