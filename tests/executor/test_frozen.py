"""Records that cost little to define (executor/frozen.py)."""

from __future__ import annotations

import copy
import pickle
from typing import ClassVar

import pytest

from pygenvm.executor.frozen import Frozen, fresh, replaced, uncompared, unshown


class Point(metaclass=Frozen):
    """Docstring."""

    kind: ClassVar = "point"
    x: int
    y: int = 2
    note: str = uncompared(default="n")

    def total(self) -> int:
        return self.x + self.y


class Other(metaclass=Frozen):
    x: int
    y: int
    note: str


class Account(metaclass=Frozen):
    name: str
    secret: bytes = unshown()
    token: str | None = unshown(default=None)


def test_what_nobody_is_to_see() -> None:
    account = Account("a", b"s", "t")
    assert repr(account) == "Account(name='a')"
    assert (account.secret, account.token, Account("a", b"s").token) == (b"s", "t", None)
    assert account != Account("a", b"s")
    with pytest.raises(TypeError, match="secret"):
        Account("a")  # type: ignore[call-arg]


def test_construction() -> None:
    assert repr(Point(1)) == "Point(x=1, y=2, note='n')"
    assert Point(1, note="m").note == "m"
    assert Point(x=3, y=4).total() == 7
    assert (Point.__doc__, Point.kind) == ("Docstring.", "point")
    for arguments, named in (((), {}), ((1, 2, "n", 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1})):
        with pytest.raises(TypeError, match="Point"):
            Point(*arguments, **named)  # type: ignore[arg-type]


def test_equality_and_hash() -> None:
    assert Point(1) == Point(1, 2, "another")
    assert hash(Point(1)) == hash(Point(1, 2, "another"))
    assert Point(1) != Point(2)
    others: list[object] = [Other(1, 2, "n"), (1, 2)]
    for other in others:
        assert Point(1, 2, "n") != other


def test_nothing_can_be_changed_or_added() -> None:
    point = Point(1)
    for name in ("x", "z"):
        with pytest.raises(AttributeError):
            setattr(point, name, 1)
    with pytest.raises(AttributeError):
        del point.x
    assert not hasattr(point, "__dict__")


def test_copies() -> None:
    assert replaced(Point(1, note="m"), y=5) == Point(1, 5)
    assert replaced(Point(1, note="m"), y=5).note == "m"
    with pytest.raises(TypeError, match="no field 'z'"):
        replaced(Point(1), z=1)
    assert copy.deepcopy(Point(1, 3, "m")).note == "m"
    assert pickle.loads(pickle.dumps(Point(1, 3, "m"))).note == "m"


def test_defaults_that_are_made_anew() -> None:
    class Bag(metaclass=Frozen):
        items: list[int] = fresh(factory=list)

    first = Bag()
    first.items.append(1)
    assert (first.items, Bag().items, Bag([2]).items) == ([1], [], [2])


def test_patterns() -> None:
    match Point(1, 3):
        case Point(x, y=3):
            assert x == 1
        case _:
            raise AssertionError
