"""What is kept of values that may be made again."""

from __future__ import annotations

from pygenvm.executor.bounded_cache import BoundedCache


def kept(cache: BoundedCache[str], names: str) -> str:
    return "".join(name for name in names if cache.get(name) is not None)


def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    cache = BoundedCache[str](10)
    cache.put("a", "A", 4)
    cache.put("b", "B", 4)
    assert cache.get("a") == "A"
    cache.put("c", "C", 2)
    assert kept(cache, "abc") == "abc"
    cache.put("d", "D", 5)
    assert kept(cache, "abcd") == "cd"


def test_a_value_that_is_too_big_is_not_kept_and_does_not_push_others_out_for_long() -> None:
    cache = BoundedCache[str](10)
    cache.put("a", "A", 3)
    cache.put("b", "B", 11)
    assert kept(cache, "ab") == ""
    cache.put("c", "C", 10)
    assert kept(cache, "c") == "c"


def test_a_key_counts_once() -> None:
    cache = BoundedCache[str](10)
    for _ in range(5):
        cache.put("a", "A", 6)
    cache.put("b", "B", 4)
    assert kept(cache, "ab") == "ab"
    cache.put("a", "A again", 1)
    cache.put("c", "C", 5)
    assert (cache.get("a"), kept(cache, "bc")) == ("A again", "bc")
