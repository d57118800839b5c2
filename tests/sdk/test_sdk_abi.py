"""The ABI encoding of ``gl.evm`` in the sandbox against the package eth-abi (spec sdk/04 §8)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eth_abi import abi as eth_abi

from pygenvm.executor.primitives.address import Address
from pygenvm.runners.registry import BuiltRunners
from tests.sdk.sdk_sandbox import value_of
from tests.support.hosts import InMemoryHost

SANDBOXED = Path(__file__).parent / "sandboxed"
SAMPLES = 150

#: Gives the types, values and encodings of random argument lists; uses the generators of the SDK's own cases.
CONTRACT_TEXT = """\
# {{ "Depends": "py-genlayer:{runner}" }}
import random, sys, types, typing
from genlayer import *
from genlayer.py import evm

class Sink(types.ModuleType):
    def __getattr__(self, name): return None

sys.modules["harness"] = Sink("harness")
group = types.ModuleType("group")
exec(compile({source!r}, "group", "exec"), vars(group))

class Samples(gl.Contract):
    @gl.public.view
    def take(self, count: int):
        rng = random.Random(count)
        return [self.sample(rng) for _ in range(count)]

    def sample(self, rng):
        args = [group._random_type(rng, 3) for _ in range(rng.randrange(1, 5))]
        values = [group._random_value(rng, arg) for arg in args]
        data = evm.encode(tuple[(evm.InplaceTuple, *args)], values)
        return [[evm.type_name_of(arg) for arg in args], values, data]
"""


def _plain(value: Any) -> Any:
    """As eth-abi has it."""
    if isinstance(value, Address):
        return value.as_hex.lower()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def test_same_bytes_as_eth_abi(built_runners: BuiltRunners) -> None:
    source = (SANDBOXED / "group_evm.py").read_text(encoding="utf-8")
    host = InMemoryHost()
    host.put_code(CONTRACT_TEXT.format(runner=built_runners.latest["py-genlayer"], source=source).encode())
    samples = value_of(host, {"method": "take", "args": [SAMPLES]})
    for names, values, data in samples:
        assert eth_abi.encode(names, _plain(values)).hex() == data.hex(), names
        assert _plain(eth_abi.decode(names, data)) == _plain(values), names
    assert len(samples) == SAMPLES
    everything = " ".join(name for names, _, _ in samples for name in names)
    for kind in ("[]", "[2]", "(", "uint8", "int256", "bool", "address", "bytes4", "bytes,", "string"):
        assert kind in everything
