"""Whatever is sent to the service, its answer is no internal error, and its chain stays as it is."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from pygenvm.settlement.blocks.transactions import Register, sign
from tests.settlement.chains import ETHER, OPERATOR_KEYS
from tests.settlement.engines import A_CHAIN, SPEC
from tests.settlement.service import document, live
from tests.settlement.test_core_service import LOCAL, software
from tests.settlement.vectors import word

VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1 << 64,
    1 << 300,
    1.5,
    "",
    "0x",
    "0x" + "ff" * 32,
    "\x00",
    "ä" * 50,
    "\ud800",
    [],
    {},
]
NAMES = ["transaction", "prompt", "count", "id", "type", "model", "input", "fee", "task_id", "provider_id", "output"]
NAMES += ["compute_time_ms", "proof", "error", "gpus", "gpu_attestation", "wallet_address", "endpoint"]
GOOD = sign(OPERATOR_KEYS[0], A_CHAIN, 0, Register(2 * ETHER, SPEC, word(1))).encode()


def value(chance: random.Random, depth: int = 3) -> Any:
    match chance.randrange(8):
        case 0 if depth:
            return [value(chance, depth - 1) for _ in range(chance.randrange(4))]
        case 1 if depth:
            return {chance.choice([*NAMES, *LOCAL]): value(chance, depth - 1) for _ in range(chance.randrange(4))}
        case 2:
            return {**chance.choice([LOCAL, software()]), chance.choice([*LOCAL]): value(chance, 0)}
        case 3:
            data = bytearray(GOOD)
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            return "0x" + data.hex()
    return chance.choice(VALUES)


def path(chance: random.Random, pattern: str) -> str:
    for name in ("address", "intent", "task", "height", "block", "transaction"):
        texts = ["0x" + "00" * 20, "0x" + "ff" * 32, "0x", "latest", "0", "-1", "%00", "%ff", "1e5", "..", "ä"]
        pattern = pattern.replace("{" + name + "}", chance.choice(texts))
    query = chance.choice(
        ["", "?operator=0x" + "00" * 20, "?from=%00", "?modelSpec=%ff", "?id=%00", "?provider_id=%ff"]
    )
    return pattern.replace("{chain}", "0x" + A_CHAIN.hex()) + query


@pytest.mark.slow
async def test_no_internal_errors(tmp_path: Path) -> None:
    chance = random.Random(14)
    routes = [
        (method.upper(), pattern)
        for pattern, methods in document()["paths"].items()
        for method in methods
        # The stream has no end, and blocks would be made.
        if not pattern.endswith(("/events", "/settlement/blocks"))
    ]
    async with live(tmp_path) as net:
        for _ in range(1500):
            method, pattern = chance.choice(routes)
            body = None
            if method == "POST":
                members = {chance.choice(NAMES): value(chance) for _ in range(chance.randrange(6))}
                body = json.dumps(members).encode()
                if chance.random() < 0.1:
                    body = body[: chance.randrange(len(body) + 1)]
            asked = path(chance, pattern)
            status, text = await net.ask(method, asked, data=body)
            assert status in (200, 202, 400, 404, 405, 409, 413), (method, asked, body, text)
        chain = await net.engine("/chain")
        assert (chain["height"], chain["waiting"]) == (0, 0)
