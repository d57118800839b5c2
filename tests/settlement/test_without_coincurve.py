"""A Python for which there is no library of the curve: all that signs says so, and the rest works."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pygenvm.cli.main import main
from pygenvm.settlement.blocks.signatures import MissingLibrary, Secp256k1Key, check
from pygenvm.settlement.types.words import ZERO, Address
from pygenvm.settlement.verifier.export import export
from tests.settlement.network import GENESIS
from tests.settlement.receipts import ASKED, played

SAID = "signatures need the package coincurve, which this Python does not have; it has wheels for Python 3.11 to 3.13"


@pytest.fixture
def receipt() -> str:
    return export(played().leader, ASKED[0]).to_json()


@pytest.fixture(autouse=True)
def without(receipt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coincurve", None)


def test_keys_and_signatures() -> None:
    with pytest.raises(MissingLibrary, match=SAID):
        Secp256k1Key(bytes(31) + b"\x01")
    with pytest.raises(MissingLibrary, match=SAID):
        check(1, bytes(65), ZERO, Address(bytes(20)))


def test_commands_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("genesis.json").write_text(json.dumps(GENESIS))
    Path("key").touch(mode=0o600)
    Path("key").write_text("11" * 32)
    service = ("--rpc=http://127.0.0.1:9", "--key-file=key")
    for words in (
        ("settlement", "serve", "--genesis=genesis.json", "--port=0"),
        ("operator", "new-key", "new"),
        ("operator", "run", *service, "--state=state"),
        ("operator", "leave", *service),
    ):
        assert main(list(words)) == 1
        assert capsys.readouterr().err == f"Error: {SAID}\n"
    assert not Path("new").exists()
    assert not Path("state").exists()
    settled = ("call", "update", "--validators=3", "--threshold=2", "--json")
    assert main(["local", *settled]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["message"] == f"--threshold: {SAID}"


def test_what_needs_no_signatures(receipt: str, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_text(receipt)
    assert main(["receipt", "verify", str(file)]) == 0
    assert main(["settlement", "simulate", "--operators=300", "--tasks=20", "--json"]) == 0
