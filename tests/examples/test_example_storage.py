"""storage.py: the smallest contract, and the smallest test."""

from __future__ import annotations

from pygenvm.pytest_plugin import DirectVM
from tests.support.paths import EXAMPLES


def test_keeps_the_last_text(direct_vm: DirectVM) -> None:
    contract = direct_vm.deploy(EXAMPLES / "storage.py", "hello")
    assert contract.get_storage() == "hello"
    contract.update_storage("world")
    assert contract.get_storage() == "world"
    assert direct_vm.storage(contract) == {"text": "world"}
