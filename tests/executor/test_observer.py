"""Several observers as one."""

from __future__ import annotations

import inspect
from typing import Any

from pygenvm.executor.observer import NOBODY, Observer, combined

#: Every event, and as many arguments as it has.
EVENTS = {
    name: len(inspect.signature(function).parameters) - 1
    for name, function in inspect.getmembers(Observer, inspect.isfunction)
}


def noting(name: str, seen: list[tuple[Any, ...]]) -> Observer:
    """An observer that notes each event with its own name."""

    def method(event: str) -> Any:
        return lambda _self, *told: seen.append((name, event, *told))

    kind: Any = type("Noting", (Observer,), {event: method(event) for event in EVENTS})
    observer: Observer = kind()
    return observer


def test_nobody_and_one() -> None:
    one = Observer()
    assert combined([]) is NOBODY
    assert combined([one]) is one


def test_each_event_reaches_all_in_order() -> None:
    seen: list[tuple[Any, ...]] = []
    both = combined([noting("a", seen), noting("b", seen)])
    expected: list[tuple[Any, ...]] = []
    for event, count in EVENTS.items():
        told = tuple(range(count))
        getattr(both, event)(*told)
        expected += [("a", event, *told), ("b", event, *told)]
    assert len(EVENTS) == 11
    assert seen == expected
