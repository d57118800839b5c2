"""journal.py: events."""

from __future__ import annotations

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.pytest_plugin import DirectContract, DirectVM
from tests.support.paths import EXAMPLES


@pytest.fixture
def journal(direct_vm: DirectVM) -> DirectContract:
    return direct_vm.deploy(EXAMPLES / "journal.py")


def test_an_event_has_indexed_and_other_fields(
    direct_vm: DirectVM, journal: DirectContract, direct_owner: Address
) -> None:
    journal.write("bees", "they hum")
    (event,) = direct_vm.events()
    assert event.is_called("Written(author,topic)")
    assert event.fields == {"author": direct_owner, "topic": "bees", "text": "they hum", "number": 1}
    # Indexed: the calldata of the value, filled up to 32 bytes.
    assert event.topics[1] == (b"\x18" + direct_owner.as_bytes).ljust(32, b"\0")
    assert event.topics[2] == b"\x24bees".ljust(32, b"\0")


def test_nothing_is_written_after_the_seal(direct_vm: DirectVM, journal: DirectContract) -> None:
    journal.write("bees", "they hum")
    journal.seal()
    assert [event.fields for event in direct_vm.events("Sealed")] == [{"length": 1}]
    assert direct_vm.events("Written") == []
    with direct_vm.expect_revert("sealed"):
        journal.write("bees", "they sting")


def test_a_raw_event(direct_vm: DirectVM, journal: DirectContract) -> None:
    journal.signal(7)
    (event,) = direct_vm.events()
    assert (event.topics, event.fields) == (((7).to_bytes(32, "big"),), {"code": 7})
