"""The rows about settlement: whole lives of tasks on each store, beside the hashes alone; receipts and their proofs."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

from benchmarks.measure import Numbers, Row, interleaved, scaled
from benchmarks.postgres import binaries, running_server
from pygenvm.settlement.codec import keccak, merkle
from pygenvm.settlement.codec.hashes import chain_id, commit_hash
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.engine import receipts
from pygenvm.settlement.engine.engine import Engine
from pygenvm.settlement.state import slots
from pygenvm.settlement.state.memory import MemoryStore
from pygenvm.settlement.state.opening import open_store
from pygenvm.settlement.state.staging import Staging
from pygenvm.settlement.state.state import State
from pygenvm.settlement.state.store import Store
from pygenvm.settlement.types.words import ZERO, Address, Hash, u256

_US = 1e6
_ETHER = 10**18
_C_CHAIN, _A_CHAIN = chain_id("c-chain"), chain_id("a-chain")
_SPEC, _PROMPT, _OUTPUT, _EMBEDDING, _NONCE = map(u256, range(1, 6))
_OPERATORS = [Address(bytes((number,)) * 20) for number in range(1, 8)]
_REQUESTER = Address(b"\xf0" * 20)
_N, _THRESHOLD = 5, 3
#: Tasks of one commit to the store: a block.
_BLOCK = 20
_REPEATED = 3
#: How slots begin that no task has of its own (spec settlement/01 §3), and the bytes of a leaf that is an address.
_OF_NO_TASK = (b"av/op", b"av/mspec.", b"av/cred", b"av/req.nonce")
_ADDRESS = 20
_MANY = 1_000_000
_APPENDS = 200


def _admit(_: Intent) -> None:
    """Everything is committed to."""


class _Lives:
    """Tasks from import to settlement, all operators honest."""

    def __init__(self, store: Store) -> None:
        state = State(Staging(store))
        self.engine = Engine(state, c_chain_id=_C_CHAIN, a_chain_id=_A_CHAIN, verifier=_admit)
        self.engine.fund({_REQUESTER: 10**6 * _ETHER, **dict.fromkeys(_OPERATORS, 2 * _ETHER)})
        for operator in _OPERATORS:
            self.engine.register(operator, 2 * _ETHER, _SPEC, ZERO)
        state.staging.commit()
        self._numbers = itertools.count()
        self.last: Intent

    def intents(self, count: int) -> list[Intent]:
        """Fresh ones: whoever asks makes them."""
        made = []
        for number in itertools.islice(self._numbers, count):
            intent = Intent(
                intent_id=ZERO,
                c_chain_id=_C_CHAIN,
                a_chain_id=_A_CHAIN,
                c_tx_hash=u256(number),
                call_index=0,
                caller=_REQUESTER,
                model_spec_hash=_SPEC,
                prompt_hash=_PROMPT,
                n=_N,
                threshold=_THRESHOLD,
                fee=1,
                reward=7,
            )
            made.append(replace(intent, intent_id=intent.computed_id()))
        return made

    def live(self, intents: list[Intent]) -> float:
        """Seconds of the engine. What operators commit to is their own affair."""
        engine = self.engine
        begun = time.perf_counter()
        tasks = [engine.import_intent(intent, 100) for intent in intents]
        seconds = time.perf_counter() - begun
        votes = [
            (task, operator, commit_hash(task, _SPEC, _PROMPT, _OUTPUT, _EMBEDDING, operator, _NONCE))
            for task in tasks
            for operator in engine.selection(task)
        ]
        begun = time.perf_counter()
        for task, operator, commitment in votes:
            engine.commit(task, operator, commitment, 101)
        for task, operator, _ in votes:
            engine.reveal(task, operator, _OUTPUT, _EMBEDDING, _NONCE, 131)
        for task in tasks:
            engine.settle(task, 161)
        self.last = intents[-1]
        return seconds + time.perf_counter() - begun

    def seconds(self) -> float:
        """Of one task, as part of a block that is committed."""
        seconds = self.live(self.intents(_BLOCK))
        begun = time.perf_counter()
        self.engine.state.staging.commit()
        return (seconds + time.perf_counter() - begun) / _BLOCK


def _needed_hashes() -> list[bytes]:
    """What must be hashed for the tasks of a block, in the life of each task everything once."""
    lives = _Lives(MemoryStore())
    lives.live(lives.intents(1000))
    return [data for intent in lives.intents(_BLOCK) for data in needed_for(lives, intent)]


def needed_for(lives: _Lives, intent: Intent) -> set[bytes]:
    """What must be hashed for one task: no more of keys and leaves that are the same for all tasks of an operator, an
    account or a model, which one remembers."""
    return {data for data in _hashed(lives, intent) if len(data) != _ADDRESS and not data.startswith(_OF_NO_TASK)}


def _hashed(lives: _Lives, intent: Intent) -> dict[bytes, None]:
    """All that is hashed in the life of one task, with no key remembered from another."""
    for remembered in vars(slots).values():
        getattr(remembered, "cache_clear", lambda: None)()
    hashed: dict[bytes, None] = {}
    real = vars(keccak)["keccak_256"]

    def note(data: bytes) -> object:
        hashed[bytes(data)] = None
        return real(data)

    with mock.patch.object(keccak, "keccak_256", note):
        lives.live([intent])
    return hashed


@contextlib.contextmanager
def _stores() -> Iterator[dict[str, Store]]:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        names = {"memory": "memory:", "SQLite": str(Path(folder) / "state.db")}
        if binaries() is not None:
            names["PostgreSQL"] = stack.enter_context(running_server()).database()
        stores = {name: open_store(where) for name, where in names.items()}
        for store in stores.values():
            stack.callback(store.close)
        yield stores


def _repeated(work: Callable[[], object], times: int) -> Callable[[], float]:
    def run() -> float:
        begun = time.perf_counter()
        for _ in range(times):
            work()
        return (time.perf_counter() - begun) / times

    return run


def settlement(rounds: int) -> list[Row]:
    """Settled tasks on each store beside the hashes alone; receipt proofs; the receipt root of a million receipts."""
    return [*_tasks(rounds), _verified(rounds), *_appended(rounds)]


def _tasks(rounds: int) -> list[Row]:
    needed = _needed_hashes()

    def hashes() -> float:
        # About as long as the tasks themselves take: what interrupts one side interrupts the other.
        begun = time.perf_counter()
        for _ in range(_REPEATED):
            for data in needed:
                keccak256(data)
        return (time.perf_counter() - begun) / _REPEATED / _BLOCK

    with _stores() as stores:
        lives = {name: _Lives(store) for name, store in stores.items()}
        contestants = {name: one.seconds for name, one in lives.items()}
        samples = interleaved({**contestants, "hashes": hashes}, rounds)
        used = sum(len(key) + len(value) for key, value in stores["memory"].items(b""))
        count = lives["memory"].engine.receipt_count()
    rows = [
        Row(
            name="settlement",
            title=f"life of a task with {_N} operators, import to receipt, on {name}",
            unit="µs",
            ours=scaled(samples[name], _US),
            yardstick=scaled(samples["hashes"], _US),
            yardstick_is=f"the {len(needed) // _BLOCK} hashes of it alone",
            ratio_at_most=3.33 if name == "memory" else None,
            note=f"{_BLOCK} tasks a commit" + (", its server without fsync" if name == "PostgreSQL" else ""),
        )
        for name in lives
    ]
    per_task = Row(name="settlement", title="state of a settled task", unit="bytes", ours=Numbers.of([used / count]))
    return [*rows, per_task]


def _verified(rounds: int) -> Row:
    state = _with_receipts(_MANY)
    receipt_hash = u256(7)
    root = receipts.append(state, ZERO, receipt_hash)
    proof = receipts.proof(state, _MANY)
    if not merkle.verify_strictly(receipt_hash, proof, root):
        raise AssertionError("the proof is wrong")
    preimage = bytes(64)

    def hashes() -> None:
        keccak256(receipt_hash)
        for _ in proof.siblings:
            keccak256(preimage)

    samples = interleaved(
        {
            "ours": _repeated(lambda: merkle.verify_strictly(receipt_hash, proof, root), _APPENDS),
            "hashes": _repeated(hashes, _APPENDS),
        },
        rounds,
    )
    return Row(
        name="settlement",
        title=f"check of the proof of one of {_MANY:,} receipts",
        unit="µs",
        ours=scaled(samples["ours"], _US),
        yardstick=scaled(samples["hashes"], _US),
        yardstick_is=f"its {len(proof.siblings) + 1} hashes alone",
    )


def _appended(rounds: int) -> list[Row]:
    def one_more(count: int) -> Callable[[], float]:
        state = _with_receipts(count)
        return _repeated(lambda: receipts.append(state, ZERO, u256(7)), _APPENDS)

    few = 1000
    samples = interleaved({"many": one_more(_MANY), "few": one_more(few)}, rounds)
    return [
        Row(
            name="settlement",
            title=f"a receipt more after {_MANY:,}, and the new root",
            unit="µs",
            ours=scaled(samples["many"], _US),
            yardstick=scaled(samples["few"], _US),
            yardstick_is=f"the same after {few:,}",
            ratio_at_most=3.0,
            note="by the depth of the trees twice as long",
        )
    ]


def _with_receipts(count: int) -> State:
    """A tree after ``count`` receipts as far as the next ones need it: its full subtrees at the right edge."""
    state = State(Staging(MemoryStore()))
    state.set_number(slots.RECEIPT_COUNT, count)
    state.set_word(slots.receipt_leaf(count - 1), Hash(u256(count)))
    for level in range(1, count.bit_length()):
        if last := count >> level:
            state.set_merkle_node(level, last - 1, u256(level))
    return state
