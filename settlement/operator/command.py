"""``genvm operator``: the command line of an operator."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pygenvm.modules.log import Logger
    from pygenvm.settlement.blocks.signatures import Secp256k1Key
    from pygenvm.settlement.operator.answering import Answering
    from pygenvm.settlement.operator.client import Client
    from pygenvm.settlement.types.words import Address, Hash

Executing: TypeAlias = "Callable[[argparse.Namespace, Address, Logger], contextlib.AbstractContextManager[Answering]]"

_EPILOG = """\
Without a command executors answer: the prompt of a task is a transaction with the state that it reads and what a leader
found (`genvm local call … --service URL`). The operator executes it as a validator in the sandbox, and votes for that
or against it. Its language models and web are those of `genvm local`: live, by --llm-config and --web-config, out of
--mocks, or the modules that `genvm --config FILE operator run` names. With --records a vote can be proven:
      genvm receipt verify receipt.json --record RECORDS/0xTASK/validator-1

A command after -- answers instead. It is given the prompt on standard input and writes the output to standard output,
byte for byte as the others do that agree. GENVM_TASK, GENVM_MODEL_SPEC and GENVM_PROMPT_HASH are in its environment.

examples:
  genvm operator run --rpc http://127.0.0.1:4100 --key-file key --state ~/.genvm/operator
  genvm operator run --rpc http://127.0.0.1:4100 --key-file key --state ~/.genvm/operator -- ./answer.sh

exit codes: 0 told to end; 1 a file or folder cannot be used; 2 bad command line
"""


#: Without a new block; what was sent may still be in the next one.
_STALLED_SECONDS = 60.0
#: What an operator does by hand, and what it says about it.
_BY_HAND = {
    "register": "lock stake, and be drawn for tasks of a model",
    "leave": "be drawn no more; the stake can be withdrawn after the cooldown",
    "withdraw-stake": "have the stake paid out",
    "withdraw-rewards": "have rewards paid out",
}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "operator",
        help="take part in settlement: answer tasks, commit and reveal",
        description="An operator of settlement. It has to be registered, with stake. Whoever asks operators uses"
        " `genvm local call --service`.",
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
    _add_common(run)
    run.add_argument("--state", type=Path, required=True, metavar="DIR", help="where votes are kept until they settle")
    run.add_argument("--poll-seconds", type=_seconds, default=5.0, metavar="N", help="without events (default: 5)")
    run.add_argument(
        "--answer-seconds", type=_seconds, default=600.0, metavar="N", help="for one answer (default: 600)"
    )
    run.add_argument("--at-once", type=_count, default=4, metavar="N", help="answers looked for at a time (default: 4)")
    run.add_argument("--records", type=Path, metavar="DIR", help="keep a record of each executor's run")
    run.add_argument("--mocks", type=Path, metavar="FILE", help="answer language models and the web from a YAML file")
    for name in ("llm", "web"):
        run.add_argument(f"--{name}-config", type=Path, metavar="FILE", help=f"configuration of the {name} module")
    run.add_argument("answer", nargs="*", metavar="COMMAND", help="after --: finds answers instead of executors")
    for name, text in _BY_HAND.items():
        by_hand = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        _add_common(by_hand)
        if name == "register":
            by_hand.add_argument("--stake", type=int, required=True, metavar="N", help="at least 1000000000000000000")
            by_hand.add_argument(
                "--model-spec", type=_hash, required=True, metavar="HEX", help="hash of the model spec"
            )
            by_hand.add_argument("--endpoint", type=_hash, default=bytes(32), metavar="HEX", help="hash of an endpoint")
    key = actions.add_parser("new-key", help="make a private key, and print its address", allow_abbrev=False)
    key.add_argument("file", type=Path, metavar="FILE", help="must not be there yet")


def _add_common(action: argparse.ArgumentParser) -> None:
    action.add_argument("--rpc", type=_rpc, required=True, metavar="URL", help="service: http://…, or unix:///path")
    action.add_argument("--key-file", type=Path, required=True, metavar="FILE", help="private key, 32 bytes in hex")
    action.add_argument("--token-file", type=Path, metavar="PATH", help="bearer token of the service")


def run(options: argparse.Namespace, executing: Executing) -> int:
    """:param executing: what answers where there is no command; ``OSError`` or ``ValueError`` if it cannot."""
    from pygenvm.modules.log import Logger
    from pygenvm.settlement.operator.answering import Command
    from pygenvm.settlement.operator.keys import key_in, token_in
    from pygenvm.settlement.operator.votes import Votes, VotesError

    if options.action == "new-key":
        return _new_key(options.file)
    if options.action in _BY_HAND:
        return _by_hand(options)
    for name in ("records", "mocks", "llm_config", "web_config"):
        if options.answer and getattr(options, name) is not None:
            print(f"Error: --{name.replace('_', '-')} is for executors, and a command answers", file=sys.stderr)
            return 2
    log = Logger(fd=1, level=options.log_level or "info")
    try:
        key = key_in(options.key_file)
        token = token_in(options.token_file)
        votes = Votes(options.state)
    except (OSError, ValueError, VotesError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    log.secrets.add(key.secret.hex())
    if token is not None:
        log.secrets.add(token)
    try:
        with (
            contextlib.nullcontext(Command(options.answer, options.answer_seconds))
            if options.answer
            else executing(options, key.address, log) as answering
        ):
            asyncio.run(_work(options, key, token, votes, answering, log))
    except (OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    finally:
        votes.close()
        log.flush()
    return 0


async def _work(
    options: argparse.Namespace, key: Secp256k1Key, token: str | None, votes: Any, answering: Answering, log: Any
) -> None:
    from pygenvm.settlement.operator.client import Client
    from pygenvm.settlement.operator.worker import Worker

    client = Client(options.rpc, token)
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


def _by_hand(options: argparse.Namespace) -> int:
    from pygenvm.settlement.blocks.transactions import Call, Deregister, Register, WithdrawRewards, WithdrawStake
    from pygenvm.settlement.operator.client import ServiceError
    from pygenvm.settlement.operator.keys import key_in, token_in

    try:
        key = key_in(options.key_file)
        token = token_in(options.token_file)
        call: Call
        match options.action:
            case "register":
                call = Register(options.stake, options.model_spec, options.endpoint)
            case "leave":
                call = Deregister()
            case "withdraw-stake":
                call = WithdrawStake()
            case _:
                call = WithdrawRewards()
        height = asyncio.run(_sent(options.rpc, token, key, call))
    except (OSError, ValueError, ServiceError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"0x{key.address.hex()}: done in block {height}")
    return 0


async def _sent(rpc: str, token: str | None, key: Secp256k1Key, call: Any) -> int:
    """The height of the block that has it.

    :raises ServiceError: it is refused, or the service is away or makes no blocks.
    """
    from pygenvm.settlement.blocks.transactions import WithdrawStake, sign
    from pygenvm.settlement.operator.client import Client, ServiceError, hash_in, number_in

    client = Client(rpc, token)
    try:
        chain = hash_in(await client.get("/chain"), "aChainId")
        if isinstance(call, WithdrawStake):
            await _check_cooldown(client, key.address)
        nonce = number_in(await client.get(f"/accounts/0x{key.address.hex()}"), "nextNonce")
        transaction = sign(key, chain, nonce, call)
        await client.submit(transaction.encode())
        loop = asyncio.get_running_loop()
        height, since = -1, loop.time()
        while (outcome := await client.get(f"/transactions/0x{transaction.id.hex()}")).get("status") == "waiting":
            tip = number_in(await client.get("/chain"), "height")
            if tip != height:
                height, since = tip, loop.time()
            elif loop.time() - since > _STALLED_SECONDS:
                raise ServiceError(f"the service has stood at block {tip} for {_STALLED_SECONDS:g} s; it has been sent")
            await asyncio.sleep(0.2)
        if outcome.get("status") != "included":
            raise ServiceError(str(outcome.get("error")))
        return number_in(outcome, "height")
    finally:
        await client.close()


async def _check_cooldown(client: Client, operator: Address) -> None:
    """A withdrawal that came too early would wait, and all commits and reveals of the operator behind it.

    :raises ServiceError: it is too early.
    """
    from pygenvm.settlement.operator.client import ServiceError, number_in

    chain, found = await client.get("/chain"), await client.get(f"/operators/0x{operator.hex()}")
    if found.get("unbonding") is True:
        first = number_in(found, "unbondHeight") + number_in(chain, "cooldown")
        if number_in(chain, "height") + 1 < first:
            raise ServiceError(f"the stake can be withdrawn from block {first} on")


def _new_key(file: Path) -> int:
    import os
    import secrets

    from pygenvm.settlement.blocks.signatures import MissingLibrary, Secp256k1Key

    try:
        key = Secp256k1Key(secrets.token_bytes(32))
    except MissingLibrary as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as opened:
            opened.write(key.secret.hex() + "\n")
    except OSError as error:
        print(f"Error: {file}: {error.strerror}", file=sys.stderr)
        return 1
    print("0x" + key.address.hex())
    return 0


def _rpc(text: str) -> str:
    if not text.startswith(("http://", "https://", "unix:///")):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} begins with none of http://, https:// and unix:///")
    return text


def _hash(text: str) -> Hash:
    from pygenvm.settlement.types.words import Hash

    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        data = b""
    if len(data) != 32:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not 32 bytes in hexadecimal")
    return Hash(data)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.01 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number of seconds from 0.01 to 86400")
    return seconds


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= 1000:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number from 1 to 1000")
    return count
