"""storage.py: the smallest contract, and the smallest test."""

from __future__ import annotations

from contract_files import CONTRACTS

from pytest_genvm import DirectVM


def test_keeps_the_last_text(direct_vm: DirectVM) -> None:
    contract = direct_vm.deploy(CONTRACTS / "storage.py", "hello")
    assert contract.get_storage() == "hello"
    contract.update_storage("world")
    assert contract.get_storage() == "world"
    assert direct_vm.storage(contract) == {"text": "world"}
