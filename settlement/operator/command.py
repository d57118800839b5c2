"""``genvm operator``: the command line of an operator."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pygenvm.settlement.blocks.signatures import Secp256k1Key

_EPILOG = """\
The command after -- is given the prompt of a task on standard input and writes the output to standard output, byte for
byte as the others do that agree. GENVM_TASK, GENVM_MODEL_SPEC and GENVM_PROMPT_HASH are in its environment.

examples:
  genvm operator run --rpc http://127.0.0.1:4100 --key-file key --state ~/.genvm/operator -- ./answer.sh

exit codes: 0 told to end; 1 a file or folder cannot be used; 2 bad command line
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "operator",
        help="take part in settlement: answer tasks, commit and reveal",
        description="An operator of settlement. It has to be registered, with stake.",
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", prog=parser.prog)
    run = actions.add_parser(
        "run",
        help="watch tasks, answer those that the operator was drawn for, commit and reveal",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    run.add_argument("--rpc", type=_rpc, required=True, metavar="URL", help="the service: http://…, or unix:///path")
    run.add_argument(
        "--key-file", type=Path, required=True, metavar="FILE", help="private key: 32 bytes in hexadecimal"
    )
    run.add_argument("--state", type=Path, required=True, metavar="DIR", help="where votes are kept until they settle")
    run.add_argument("--token-file", type=Path, metavar="PATH", help="bearer token of the service")
    run.add_argument("--poll-seconds", type=_seconds, default=5.0, metavar="N", help="without events (default: 5)")
    run.add_argument(
        "--answer-seconds", type=_seconds, default=600.0, metavar="N", help="for one answer (default: 600)"
    )
    run.add_argument("--at-once", type=_count, default=4, metavar="N", help="answers looked for at a time (default: 4)")
    run.add_argument("answer", nargs="+", metavar="COMMAND", help="after --: finds the answer to a prompt")


def run(options: argparse.Namespace) -> int:
    from pygenvm.modules.log import Logger
    from pygenvm.settlement.operator.votes import Votes, VotesError

    log = Logger(fd=1, level=options.log_level or "info")
    try:
        key = _key(options.key_file)
        token = None if options.token_file is None else options.token_file.read_text(encoding="ascii").strip()
        votes = Votes(options.state)
    except (OSError, ValueError, VotesError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    log.secrets.add(key.secret.hex())
    if token is not None:
        log.secrets.add(token)
    try:
        asyncio.run(_work(options, key, token, votes, log))
    finally:
        votes.close()
        log.flush()
    return 0


async def _work(options: argparse.Namespace, key: Secp256k1Key, token: str | None, votes: Any, log: Any) -> None:
    from pygenvm.settlement.operator.answering import Command
    from pygenvm.settlement.operator.client import Client
    from pygenvm.settlement.operator.worker import Worker

    client = Client(options.rpc, token)
    answering = Command(options.answer, options.answer_seconds)
    worker = Worker(
        client,
        key,
        votes,
        answering,
        log,
        poll_seconds=options.poll_seconds,
        answers_at_once=options.at_once,
    )
    working = asyncio.create_task(worker.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    log.info("operator starts", operator="0x" + key.address.hex(), rpc=options.rpc)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await working
    finally:
        await client.close()
    log.info("operator ended")


def _key(file: Path) -> Secp256k1Key:
    """:raises ValueError: it is none, or others may read it."""
    from pygenvm.settlement.blocks.signatures import Secp256k1Key

    if file.stat().st_mode & 0o077:
        raise ValueError(f"{file} can be read by others; chmod 600 {file}")
    with file.open("rb") as opened:
        text = opened.read(200)
    try:
        return Secp256k1Key(bytes.fromhex(text.decode("ascii").strip().removeprefix("0x")))
    except ValueError:
        # Without what is in it.
        raise ValueError(f"{file} holds no private key: 32 bytes in hexadecimal") from None


def _rpc(text: str) -> str:
    if not text.startswith(("http://", "https://", "unix:///")):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} begins with none of http://, https:// and unix:///")
    return text


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.01 <= seconds <= 86400:
        raise ValueError
    return seconds


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= 1000:
        raise ValueError
    return count
