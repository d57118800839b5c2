"""``genvm receipt``: verify, show and export receipts of settlement."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygenvm.executor.terminal_text import one_line

if TYPE_CHECKING:
    from pygenvm.settlement.types.words import Hash
    from pygenvm.settlement.verifier.document import Document

_FAILS = 1
_UNUSABLE = 3

_EPILOG = """\
examples:
  genvm receipt export settlement.db --intent 0x… > receipt.json
  genvm receipt export http://127.0.0.1:4100 --intent 0x… > receipt.json
  genvm receipt verify receipt.json --root 0x…
  genvm receipt show receipt.json

exit codes: 0 everything that could be checked holds; 1 something does not hold; 2 bad command line;
            3 a file or state cannot be used
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "receipt",
        help="verify, show and export receipts of settlement",
        description="A receipt says on what output operators with stake agreed. Everything is done offline.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", prog=parser.prog)
    verify = actions.add_parser("verify", help="say what holds and what could not be checked", allow_abbrev=False)
    verify.add_argument("file", type=Path, metavar="FILE", help="a receipt with what belongs to it")
    verify.add_argument("--root", type=_hash, metavar="HEX", help="receipt root of a block that you trust")
    verify.add_argument("--record", type=Path, metavar="FILE", help="record of an operator's run (genvm run --record)")
    verify.add_argument("--block", type=int, metavar="N", help="nondet block of the record (default: all)")
    show = actions.add_parser("show", help="print the fields of a receipt as JSON", allow_abbrev=False)
    show.add_argument("file", type=Path, metavar="FILE", help="a receipt with what belongs to it")
    export = actions.add_parser("export", help="print the file of a receipt from a state", allow_abbrev=False)
    export.add_argument(
        "state", metavar="STATE", help="an SQLite file, postgresql://…, or a service: http://…, unix:///…"
    )
    export.add_argument("--token-file", type=Path, metavar="PATH", help="bearer token of the service")
    export.add_argument("--intent", type=_hash, required=True, metavar="HEX", help="id of the intent")


def run(options: argparse.Namespace) -> int:
    from pygenvm.executor.record.format import RecordError
    from pygenvm.settlement.bridge.transcripts import TranscriptError
    from pygenvm.settlement.operator.client import ServiceError
    from pygenvm.settlement.state.store import StoreError
    from pygenvm.settlement.types.errors import QuorumError
    from pygenvm.settlement.verifier.document import DocumentError

    try:
        if options.action == "verify":
            return _verify(options)
        return _show(options) if options.action == "show" else _export(options)
    except (DocumentError, RecordError, TranscriptError, OSError, ServiceError, StoreError, QuorumError) as error:
        print(f"Error: {one_line(str(error))}", file=sys.stderr)
        return _UNUSABLE


def _verify(options: argparse.Namespace) -> int:
    from pygenvm.settlement.verifier.checks import Verdict, check

    exchanges = None
    if options.record is not None:
        from pygenvm.executor.record.reading import read_record
        from pygenvm.settlement.bridge.transcripts import transcript, whole_transcript

        record = read_record(options.record)
        exchanges = whole_transcript(record) if options.block is None else transcript(record, options.block)
    findings = check(_document(options.file), options.root, exchanges)
    marks = {Verdict.HOLDS: "holds    ", Verdict.FAILS: "FAILS    ", Verdict.UNKNOWN: "unchecked"}
    for finding in findings:
        print(f"{marks[finding.verdict]}  {finding.sentence}")
    failed = sum(finding.verdict is Verdict.FAILS for finding in findings)
    unknown = sum(finding.verdict is Verdict.UNKNOWN for finding in findings)
    print()
    print(_summary(failed, unknown))
    return _FAILS if failed else 0


def _summary(failed: int, unknown: int) -> str:
    if failed:
        return f"This receipt is not good: {failed} of what it says does not hold."
    left = f" {unknown} could not be checked." if unknown else ""
    return f"Everything that was checked holds.{left}"


def _show(options: argparse.Namespace) -> int:
    import json

    document = _document(options.file)
    print(json.dumps({**document.receipt.to_json(), "hash": "0x" + document.receipt.hash().hex()}, indent=2))
    return 0


def _export(options: argparse.Namespace) -> int:
    from pygenvm.settlement.blocks.view import ChainView
    from pygenvm.settlement.state.opening import open_store
    from pygenvm.settlement.verifier.export import export

    if options.state.startswith(("http://", "https://", "unix:///")):
        print(_exported_by_service(options), end="")
        return 0
    store = open_store(options.state, create=False)
    try:
        print(export(ChainView(store), options.intent).to_json(), end="")
    finally:
        store.close()
    return 0


def _exported_by_service(options: argparse.Namespace) -> str:
    import asyncio
    import json

    from pygenvm.settlement.operator.client import Client
    from pygenvm.settlement.operator.keys import token_in
    from pygenvm.settlement.verifier.document import read

    async def asked() -> dict[str, Any]:
        client = Client(options.state, token_in(options.token_file))
        try:
            return await client.get(f"/receipts/0x{options.intent.hex()}/document")
        finally:
            await client.close()

    # What it gives is written as one of ours, or not at all.
    return read(json.dumps(asyncio.run(asked()))).to_json()


def _document(file: Path) -> Document:
    from pygenvm.settlement.verifier.document import CHARS_MAX, DocumentError, read

    with file.open("rb") as opened:
        data = opened.read(CHARS_MAX + 1)
    try:
        return read(data.decode())
    except UnicodeDecodeError as error:
        raise DocumentError("the file is no UTF-8 text") from error


def _hash(text: str) -> Hash:
    from pygenvm.settlement.types.words import Hash

    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        data = b""
    if len(data) != 32:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not 32 bytes in hexadecimal")
    return Hash(data)
