"""What the local network knows: accounts, contracts, transactions and their effects. Data only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pygenvm.executor.frozen import Frozen, uncompared, unshown
from pygenvm.executor.outcome import InternalError, Outcome, Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostErrorCode, ResultCode
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.spawn.output import Captured

# What failures mean is loaded with the first one.
if TYPE_CHECKING:
    from pathlib import Path

    from pygenvm.localnet.chain.hints import Explanation
    from pygenvm.localnet.sources import Source
    from pygenvm.settlement.bridge.committee import Account as OperatorAccount
    from pygenvm.settlement.codec.receipt import Receipt as SettledReceipt

#: What a validator's run ends with that finds no result of the leader (spec sdk/04 §3).
_NO_LEADER_RESULT = VMError(HostErrorCode.ABSENT.name.lower())
#: What a run ends with whose time is over.
TIMEOUT = VMError("timeout")


#: A call of no method, with nothing.
EMPTY_CALL = calldata.encode({})


class Kind(StrEnum):
    """Why a transaction exists."""

    DEPLOY = "deploy"
    CALL = "call"
    TRANSFER = "transfer"
    """Value to an address without a contract; nothing is executed."""
    ERROR = "error"
    """The ``#error`` call that brings the value of a failed message back to its sender (spec sdk/04 §10)."""
    VIEW = "view"
    """A read; never recorded."""


class Status(StrEnum):
    """How a transaction ended, or that it has not."""

    OK = "ok"
    FAILED = "failed"
    UNDELIVERED = "undelivered"
    """A message over the limit of one command; its value went back to the sender, nothing was executed."""
    UNDETERMINED = "undetermined"
    """Most nodes did not agree with what the leader found; nothing of it took effect."""
    PENDING = "pending"
    """At a server: nobody has begun with it."""
    RUNNING = "running"
    """At a server: it is being executed or judged, for the first time or after an appeal."""
    CANCELED = "canceled"
    """At a server: it was taken back before anybody began with it."""


class Event(metaclass=Frozen):
    """An emitted event: topics of 32 bytes each, and the calldata encoding of a map."""

    topics: tuple[bytes, ...]
    blob: bytes


class PostedKind(StrEnum):
    """What a contract sends."""

    MESSAGE = "message"
    DEPLOY = "deploy"
    ETH_SEND = "eth_send"


class Posted(metaclass=Frozen):
    """A message of a contract. ``receiver`` of a deployment is the address of the new contract."""

    kind: PostedKind
    receiver: Address
    value: int
    calldata: bytes
    on: str = ""
    """``accepted`` or ``finalized``; empty for ``eth_send``."""
    code: bytes = b""
    salt: int = 0


class BalanceChange(metaclass=Frozen):
    """Balance of one address before and after a transaction."""

    address: Address
    before: int
    after: int


class Transaction(metaclass=Frozen):
    """What is to be executed. ``code`` is only there for a deployment that has not been executed yet."""

    kind: Kind
    sender: Address
    origin: Address
    contract: Address
    value: int
    calldata: bytes
    code: bytes = b""
    name: str = ""
    kept_at: str = ""
    """Of a deployment: the author's file or folder, from the folder of the database; empty where it is not known."""
    parent: int | None = None
    """Number of the transaction that posted it; None for a command of the user."""
    on: str = ""
    """``accepted`` or ``finalized`` for what a contract posted."""


class Receipt(metaclass=Frozen):
    """What became of a transaction. ``number`` is None for what is not one of the chain: views and failed commands."""

    transaction: Transaction
    status: Status
    outcome: Outcome | None
    """None where nothing was executed."""
    tx_id: bytes
    datetime: str
    number: int | None = None
    events: tuple[Event, ...] = ()
    messages: tuple[Posted, ...] = ()
    balances: tuple[BalanceChange, ...] = ()
    nondet_results: tuple[bytes, ...] = ()
    slots_written: int = 0
    bytes_written: int = 0
    stdout: Captured = Captured()
    stderr: Captured = Captured()
    log: Captured = uncompared(default=Captured())
    """What the executor logged. It is not kept in the database."""
    seconds: float = 0.0
    cause: Explanation | None = None
    """Of a failure: what the local network knows better than :func:`localnet.chain.explain.explain`."""
    source: Source | None = uncompared(default=None)
    """Of a failure: the code that failed, if that is known (:mod:`localnet.failure`)."""
    round: Round | None = None
    """What validators found, if any were asked. It is not kept in the database."""
    settlement: Settlement | None = None
    """What operators decided, where nondet blocks are settled. It is not kept in the database."""

    @property
    def ok(self) -> bool:
        """Whether the transaction took effect."""
        return self.status is Status.OK

    @property
    def value(self) -> Any:
        """The returned value; None for everything but a Return."""
        return calldata.decode(self.outcome.calldata) if isinstance(self.outcome, Return) else None

    @property
    def explanation(self) -> Explanation | None:
        """What a failure means; None for a success."""
        if self.cause or not self.outcome:
            return self.cause
        from pygenvm.localnet.chain.explain import explain

        return explain(self.outcome, self.stderr.text())


class Execution(metaclass=Frozen):
    """A command of the user and everything that followed from it."""

    receipt: Receipt
    delivered: tuple[Receipt, ...] = ()
    """Transactions of messages, in order of delivery."""
    resumed: tuple[Receipt, ...] = ()
    """Messages that an interrupted command had left, delivered first."""


class Verdict(metaclass=Frozen):
    """What a validator finds in a transaction. Nothing of its run is kept."""

    receipt: Receipt
    """The validator's own run."""
    disagreement: int | None
    """Number of the first nondet block whose leader's result the validator rejects."""
    diverged: bool
    """With the same results of nondet blocks the validator came to another result: the rest is not deterministic."""
    differences: tuple[str, ...] = ()
    """Which members of the receipt are others than the leader's."""

    @property
    def reached(self) -> bool:
        """Whether there is a verdict.

        Not after an internal error, nor where the leader gave too few results or the time of this run alone was over.
        """
        outcome = self.receipt.outcome
        if isinstance(outcome, InternalError) or outcome == _NO_LEADER_RESULT:
            return False
        return not (self.diverged and outcome == TIMEOUT)

    @property
    def agrees(self) -> bool:
        """Whether the validator votes for the transaction."""
        return self.reached and self.disagreement is None and not self.diverged


class Node(metaclass=Frozen):
    """Who executes. LLM and web services are told the address, and the name, if there is one, for their mocks."""

    name: str
    address: str


class Vote(metaclass=Frozen):
    """What one validator says."""

    node: Node
    verdict: Verdict


class Round(metaclass=Frozen):
    """A leader and its validators, each with one vote; the leader's is for what it found itself."""

    leader: Node
    votes: tuple[Vote, ...]

    @property
    def nodes(self) -> int:
        """How many have a vote."""
        return 1 + len(self.votes)

    @property
    def agreeing(self) -> int:
        """How many of them agree, the leader among them."""
        return 1 + sum(vote.verdict.agrees for vote in self.votes)

    @property
    def accepted(self) -> bool:
        """Whether more than half of them agree."""
        return 2 * self.agreeing > self.nodes


class Word(StrEnum):
    """What an operator with stake says, and what it may do instead."""

    AGREE = "agree"
    DISAGREE = "disagree"
    OTHER = "other"
    """It revealed an output that stands for neither."""
    WITHHELD = "withheld"
    """It committed and did not reveal, for which it was slashed."""
    NONE = "none"
    """It did not commit."""


class Told(metaclass=Frozen):
    """What is known of an operator whose run is not: a service has its vote, or it keeps that to itself."""

    node: Node
    word: Word


class Service(metaclass=Frozen):
    """A settlement service, and who asks there."""

    rpc: str
    """``http://…``, ``https://…`` or ``unix:///path``."""
    secret: bytes = unshown()
    """Private key of the account that pays fees and rewards."""
    model_spec: bytes
    """Hash of what operators run, by which they are found."""
    token: str | None = unshown(default=None)
    on_task: Callable[[str], None] | None = None
    """Told of each task that is waited for, which takes many blocks."""


class Settling(metaclass=Frozen):
    """How nondet transactions are settled."""

    path: Path
    """File of the settlement state; where there is a service, of nothing."""
    nodes: int
    """Operators that are drawn for each round."""
    threshold: int
    """Votes that decide: more than half of ``nodes``."""
    rotations: int
    """How many more leaders there are after the first."""
    appeals: int = 0
    """How many more, larger committees judge what one has not accepted, before the next leader."""
    records: Path | None = None
    """Folder for the records of all runs, which votes are then bound to."""
    appeal_accepted: bool = False
    """What a committee has accepted is appealed too, and the last one decides."""
    withholding: frozenset[str] = frozenset()
    """Names of nodes that commit and do not reveal."""
    service: Service | None = None
    """Whose operators decide, instead of those of this machine."""


class Decision(StrEnum):
    """What operators with stake say of what a leader found."""

    AGREE = "agree"
    DISAGREE = "disagree"
    NONE = "none"
    """Neither has as many votes as are needed."""


class SettledRound(metaclass=Frozen):
    """One leader's proposal, settled."""

    leader: Node
    found: Receipt
    """What became of the transaction at the leader."""
    votes: tuple[Vote | Told | None, ...]
    """Of the operators that were drawn; None for the leader, who is for what it found."""
    decision: Decision
    intent_id: bytes
    receipt: SettledReceipt
    appeal: int
    """0 for the first committee that judges it, then counted from 1."""


class Settlement(metaclass=Frozen):
    """The rounds of one transaction, the last of which decided."""

    rounds: tuple[SettledRound, ...]
    operators: tuple[tuple[Node, OperatorAccount], ...]
    """What they have after it."""
    state: str
    """Path of the settlement state, or URL of the service, which has the receipts."""


class ContractInfo(metaclass=Frozen):
    """A deployed contract. ``name`` is empty where none was given."""

    address: Address
    name: str
    number: int
    """Contracts are numbered in order of deployment."""
    top_level: bool
    """Deployed by the user, not by a contract."""


class AccountInfo(metaclass=Frozen):
    """An address with a balance, or with a contract."""

    address: Address
    name: str
    balance: int
    nonce: int
    is_contract: bool


def outcome_to_bytes(outcome: Outcome) -> bytes:
    """Code byte and payload; code 3 marks an internal error."""
    if isinstance(outcome, InternalError):
        return bytes([ResultCode.INTERNAL_ERROR]) + outcome.message.encode("utf-8", "backslashreplace")
    return outcome.to_bytes()


def outcome_from_bytes(data: bytes) -> Outcome:
    """Reads :func:`outcome_to_bytes`."""
    code, payload = ResultCode(data[0]), data[1:]
    if code is ResultCode.RETURN:
        return Return(payload)
    kinds: dict[ResultCode, Callable[[str], Outcome]] = {
        ResultCode.USER_ERROR: UserError,
        ResultCode.VM_ERROR: VMError,
        ResultCode.INTERNAL_ERROR: InternalError,
    }
    return kinds[code](payload.decode("utf-8", "surrogatepass"))


def calldata_of_call(method: str | None, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> bytes:
    """Calldata of a call; empty ``args`` and ``kwargs`` are omitted (spec sdk/03 §2).

    :param method: None for a constructor, or for ``__receive__``.
    :raises TypeError: a value of a type that calldata does not have; ``ValueError`` for one that it cannot hold.
    """
    call: dict[str, Any] = {}
    if method is not None:
        call["method"] = method
    if args:
        call["args"] = list(args)
    if kwargs:
        call["kwargs"] = dict(kwargs)
    return calldata.encode(call)
