"""``genvm settlement serve``: the command line of the service."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

_EPILOG = """\
examples:
  genvm settlement serve --genesis genesis.json --state settlement.db --commitments signed
  genvm settlement serve --genesis genesis.json --socket /run/genvm/settlement.sock --block-seconds 0

exit codes: 0 told to end; 1 cannot listen, or the state or configuration cannot be used; 2 bad command line
"""


def add_parser(actions: Any) -> None:
    parser = actions.add_parser(
        "serve",
        help="serve settlement over HTTP, and make its blocks",
        description="Serve settlement over HTTP: reads as JSON, writes as signed transactions, blocks by one writer.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--genesis", type=Path, required=True, metavar="FILE", help="what the chain starts from (JSON)")
    parser.add_argument(
        "--state", metavar="FILE", help="SQLite file or postgresql://… (default: gone with the process)"
    )
    parser.add_argument(
        "--prompts", type=Path, metavar="DIR", help="what tasks ask (default: the state's name.prompts)"
    )
    parser.add_argument(
        "--commitments",
        choices=["none", "signed"],
        default="none",
        help="which intents count as committed: none (the default), or all that their callers have signed",
    )
    parser.add_argument(
        "--block-seconds", type=_seconds, default=1.0, metavar="N", help="0: a block when asked for (default: 1)"
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="IP", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=4100, metavar="N", help="TCP port, 0 for any (default: 4100)")
    parser.add_argument("--socket", type=Path, metavar="PATH", help="listen at a Unix socket instead")
    parser.add_argument("--token-file", type=Path, metavar="PATH", help="requests must carry this bearer token")


def run(options: argparse.Namespace) -> int:
    import ipaddress

    from pygenvm.modules.listening import Address, ListenError
    from pygenvm.modules.log import Logger
    from pygenvm.modules.process import allow_descriptors
    from pygenvm.settlement.blocks.signatures import MissingLibrary, require_library
    from pygenvm.settlement.engine.tasks import admit_nothing
    from pygenvm.settlement.service.genesis import GenesisError, read_genesis
    from pygenvm.settlement.service.node import signed_is_committed
    from pygenvm.settlement.service.serve import Options, serve
    from pygenvm.settlement.state.store import StoreError
    from pygenvm.settlement.types.block_errors import BlockError

    try:
        ipaddress.ip_address(options.host)
    except ValueError:
        print(f"Error: --host must be an IP address, not {options.host[:80]!r}", file=sys.stderr)
        return 2
    if options.prompts is None and "://" in (options.state or ""):
        print("Error: a database needs --prompts, a folder for what tasks ask", file=sys.stderr)
        return 2
    log = Logger(fd=1, level=options.log_level or "info")
    try:
        require_library()
        token = None if options.token_file is None else _token(options.token_file)
        if token is not None:
            log.secrets.add(token)
        chosen = Options(
            genesis=read_genesis(options.genesis),
            verifier=signed_is_committed if options.commitments == "signed" else admit_nothing,
            state=options.state,
            prompts=options.prompts,
            block_seconds=options.block_seconds,
            token=token,
        )
        address = Address(options.host, options.port) if options.socket is None else Address(path=options.socket)
        allow_descriptors()
        asyncio.run(serve(chosen, address, log))
    except (GenesisError, ListenError, MissingLibrary, StoreError, BlockError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    finally:
        log.flush()
    return 0


def _token(file: Path) -> str:
    from pygenvm.modules.listening import ListenError

    token = file.read_text(encoding="utf-8", errors="replace").strip()
    if len(token) < 16 or not token.isascii():
        raise ListenError(f"{file}: a token has at least 16 ASCII characters")
    return token


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (seconds == 0 or 0.01 <= seconds <= 3600):
        raise ValueError
    return seconds


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 1 << 16:
        raise ValueError
    return number
