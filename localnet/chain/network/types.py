"""What a network tells of itself: transactions with their rounds, validators, blocks, events. Data only.

Words and numbers are those that clients know (spec localnet-rpc/02 §3.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from pygenvm.executor.outcome import Outcome, Return
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.spawn.output import Captured
from pygenvm.localnet import limits
from pygenvm.localnet.chain.model import Event, Posted

ZERO_ADDRESS = Address(bytes(20))
DEFAULT_VALIDATORS = 5
DEFAULT_ROTATIONS = 3


class TxKind(IntEnum):
    """Why there is a transaction."""

    TRANSFER = 0
    DEPLOY = 1
    CALL = 2
    UPGRADE = 3


class TxMode(StrEnum):
    """Who executes; the last two are final as soon as they are accepted."""

    NORMAL = "NORMAL"
    LEADER_ONLY = "LEADER_ONLY"
    LEADER_SELF_VALIDATOR = "LEADER_SELF_VALIDATOR"


class TxStatus(StrEnum):
    """Where a transaction is."""

    PENDING = "PENDING"
    PROPOSING = "PROPOSING"
    COMMITTING = "COMMITTING"
    REVEALING = "REVEALING"
    ACCEPTED = "ACCEPTED"
    UNDETERMINED = "UNDETERMINED"
    FINALIZED = "FINALIZED"
    CANCELED = "CANCELED"
    VALIDATORS_TIMEOUT = "VALIDATORS_TIMEOUT"
    LEADER_TIMEOUT = "LEADER_TIMEOUT"

    @property
    def number(self) -> int:
        """Its number for clients."""
        return _STATUS_NUMBERS[self]

    @property
    def decided(self) -> bool:
        """Consensus is over, at least for now."""
        return self in _DECIDED

    @property
    def appealable(self) -> bool:
        """Decided, and not for good."""
        return self in APPEALABLE


_STATUS_NUMBERS = dict(zip(TxStatus, (1, 2, 3, 4, 5, 6, 7, 8, 12, 13), strict=True))
APPEALABLE = frozenset({TxStatus.ACCEPTED, TxStatus.UNDETERMINED, TxStatus.LEADER_TIMEOUT, TxStatus.VALIDATORS_TIMEOUT})
#: Of what does not change any more.
OVER = frozenset({TxStatus.FINALIZED, TxStatus.CANCELED})
_DECIDED = APPEALABLE | OVER


class VoteWord(StrEnum):
    """What one validator says."""

    NOT_VOTED = "not_voted"
    AGREE = "agree"
    DISAGREE = "disagree"
    TIMEOUT = "timeout"
    DETERMINISTIC_VIOLATION = "deterministic_violation"
    IDLE = "idle"

    @property
    def number(self) -> int:
        """Its number for clients."""
        return list(VoteWord).index(self)


class RoundResult(IntEnum):
    """What all votes of a round come to; the names are those of ``result_name``."""

    IDLE = 0
    AGREE = 1
    DISAGREE = 2
    TIMEOUT = 3
    DETERMINISTIC_VIOLATION = 4
    NO_MAJORITY = 5
    MAJORITY_AGREE = 6
    MAJORITY_DISAGREE = 7


class RoundLabel(StrEnum):
    """How a round ended, in the words of ``consensus_history``."""

    ACCEPTED = "Accepted"
    LEADER_ROTATION = "Leader Rotation"
    UNDETERMINED = "Undetermined"
    LEADER_TIMEOUT = "Leader Timeout"
    VALIDATORS_TIMEOUT = "Validators Timeout"
    LEADER_ROTATION_APPEAL = "Leader Rotation Appeal"
    VALIDATOR_APPEAL_SUCCESSFUL = "Validator Appeal Successful"
    VALIDATOR_APPEAL_FAILED = "Validator Appeal Failed"
    LEADER_APPEAL_SUCCESSFUL = "Leader Appeal Successful"
    LEADER_APPEAL_FAILED = "Leader Appeal Failed"
    LEADER_TIMEOUT_APPEAL_SUCCESSFUL = "Leader Timeout Appeal Successful"
    LEADER_TIMEOUT_APPEAL_FAILED = "Leader Timeout Appeal Failed"
    VALIDATORS_TIMEOUT_APPEAL_SUCCESSFUL = "Validator Timeout Appeal Successful"
    VALIDATORS_TIMEOUT_APPEAL_FAILED = "Validators Timeout Appeal Failed"
    CODE_UPGRADE = "Code Upgrade"


class Variant(StrEnum):
    """Which state is read."""

    ACCEPTED = "latest-nonfinal"
    FINALIZED = "latest-final"


# --- validators -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Model:
    """What a validator asks: a provider's model, or the mocks in ``plugin_config``."""

    provider: str
    model: str
    config: Mapping[str, Any] = field(default_factory=dict)
    plugin: str = ""
    plugin_config: Mapping[str, Any] = field(default_factory=dict)
    """``mock_response`` and ``mock_web_response`` as of spec localnet-rpc/01 §5; else what the plugin needs."""


@dataclass(frozen=True, slots=True)
class Validator:
    """A validator of the network; ``number`` is 0 for a virtual one, which is there for one transaction."""

    number: int
    address: Address
    stake: int
    model: Model
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Provider:
    """A model that validators may be made with."""

    number: int
    model: Model
    is_available: bool
    is_model_available: bool
    is_default: bool


@dataclass(frozen=True, slots=True)
class VirtualValidator:
    """A validator of one transaction only (``sim_config``); what is None is filled in."""

    stake: int | None = None
    provider: str | None = None
    model: str | None = None
    config: Mapping[str, Any] | None = None
    plugin: str | None = None
    plugin_config: Mapping[str, Any] | None = None


# --- transactions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RawFields:
    """Of the Ethereum transaction that carried it; all None for what came in another way."""

    r: int | None = None
    s: int | None = None
    v: int | None = None
    gas: int | None = None
    gas_price: int | None = None
    envelope: int = 0
    """0 legacy, else the type of EIP-2718."""
    chain_id: int | None = None
    to: Address | None = None
    """``to`` of the envelope, usually ConsensusMain."""
    data: bytes = b""
    """``data`` of the envelope."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What somebody asks for. ``code`` is the new contract's, or the new code of an upgraded one."""

    kind: TxKind
    sender: Address
    recipient: Address = ZERO_ADDRESS
    """Ignored for a deployment."""
    value: int = 0
    calldata: bytes = b"\x06"
    code: bytes = b""
    id: bytes | None = None
    """keccak256 of the raw transaction; made up where there was none."""
    nonce: int | None = None
    """None: the next one."""
    mode: TxMode = TxMode.NORMAL
    validators: int = DEFAULT_VALIDATORS
    rotations: int = DEFAULT_ROTATIONS
    salt: int = 0
    """Of a deployment: not 0 makes the address depend on sender and salt alone."""
    datetime: datetime | None = None
    """Overrides the clock of the network, for this transaction and those that it triggers."""
    virtual: tuple[VirtualValidator, ...] = ()
    """Validators of this transaction only; none: the network's own."""
    name: str = ""
    """Of a deployment: what ``genvm local`` calls the contract."""
    raw: RawFields = RawFields()


class NodeMode(StrEnum):
    """What a node did in a round."""

    LEADER = "leader"
    VALIDATOR = "validator"


@dataclass(frozen=True, slots=True)
class NodeReceipt:
    """What one node found in one round."""

    validator: Validator
    mode: NodeMode
    vote: VoteWord | None
    """None for the leader."""
    outcome: Outcome | None
    """None where nothing was executed, as in a transfer."""
    calldata: bytes
    nondet_results: tuple[bytes, ...] = ()
    """Code byte and payload of each nondet block; the leader's only."""
    messages: tuple[Posted, ...] = ()
    events: tuple[Event, ...] = ()
    pages: Mapping[tuple[bytes, int], bytes] = field(default_factory=dict)
    """What the leader of a simulation wrote: (slot, page of 4096 bytes) to content without trailing zeros."""
    slots_written: int = 0
    bytes_written: int = 0
    stdout: Captured = field(default_factory=Captured)
    stderr: Captured = field(default_factory=Captured)
    log: Captured = field(default_factory=Captured)
    seconds: float = 0.0
    disagreement: int | None = None
    """Number of the nondet block whose leader's result it rejects."""
    reason: str = ""
    """Why it does not agree, in words."""
    datetime: str = ""
    """The time that the contract was told."""

    @property
    def succeeded(self) -> bool:
        """``execution_result`` is SUCCESS."""
        return self.outcome is None or isinstance(self.outcome, Return)


@dataclass(frozen=True, slots=True)
class StatusChange:
    """When a transaction came to a status."""

    status: TxStatus
    at: datetime


@dataclass(frozen=True, slots=True)
class Round:
    """A leader and its validators, or the validators of an appeal."""

    number: int
    label: RoundLabel
    leader: NodeReceipt | None
    """None in an appeal of validators, which judge what the last leader found."""
    validators: tuple[NodeReceipt, ...]
    """Without the leader."""
    result: RoundResult
    status_changes: tuple[StatusChange, ...] = ()
    intent_id: bytes | None = None
    """Of its settlement, once it is settled: for :meth:`Network.settlement_receipt`. Operators in their order of
    selection are the leader, if there is one, and the validators."""

    @property
    def votes(self) -> dict[Address, VoteWord]:
        """Of everybody who has one; the leader is for what it found."""
        leader = self.leader
        mine = {} if leader is None else {leader.validator.address: leader.vote or _own_vote(leader, self.label)}
        return mine | {node.validator.address: node.vote or VoteWord.NOT_VOTED for node in self.validators}


def _own_vote(leader: NodeReceipt, label: RoundLabel) -> VoteWord:
    return VoteWord.TIMEOUT if label is RoundLabel.LEADER_TIMEOUT else VoteWord.AGREE


@dataclass(frozen=True, slots=True)
class Appeals:
    """The book-keeping of appeals."""

    appealed: bool = False
    """One is under way."""
    failed: int = 0
    """How many have failed."""
    undetermined: bool = False
    leader_timeout: bool = False
    validators_timeout: bool = False
    appealed_at: datetime | None = None
    processing_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class NetworkTransaction:
    """A transaction of the network, at the moment when it was asked for."""

    seq: int
    """Its place in the order of arrival."""
    id: bytes
    kind: TxKind
    status: TxStatus
    sender: Address
    recipient: Address
    """The contract, or the account of a transfer; the new contract of a deployment."""
    origin: Address
    nonce: int
    value: int
    calldata: bytes
    code: bytes
    mode: TxMode
    validators: int
    rotations: int
    datetime_override: datetime | None
    virtual: tuple[VirtualValidator, ...]
    raw: RawFields
    created_at: datetime
    block: int
    """Number of the block that it came in with."""
    triggered_by: bytes | None
    triggered_on: str
    """``accepted`` or ``finalized`` for what a contract sent, else empty."""
    triggered: tuple[bytes, ...]
    """Ids of what it has sent so far."""
    rounds: tuple[Round, ...]
    status_changes: tuple[StatusChange, ...]
    """Since it was last PENDING; the ones before are in the rounds."""
    result: RoundResult
    rotation_count: int
    appeals: Appeals
    decided_at: datetime | None
    finalized_at: datetime | None
    credited: bool
    """Its value is the contract's."""

    @property
    def last_round(self) -> Round | None:
        """The last one."""
        return self.rounds[-1] if self.rounds else None

    @property
    def leader(self) -> NodeReceipt | None:
        """What the last leader found."""
        return next((round_.leader for round_ in reversed(self.rounds) if round_.leader), None)


@dataclass(frozen=True, slots=True)
class Digest:
    """What lists show of all rounds of a transaction."""

    rounds: int = 0
    votes: tuple[VoteWord, ...] = ()
    """Of the last round."""
    failed: bool = False
    """What the last leader found is a failure."""
    history: tuple[StatusChange, ...] = ()

    def with_round(self, round_: Round) -> Digest:
        """And one more."""
        leader = round_.leader
        return Digest(
            self.rounds + 1,
            tuple(round_.votes.values()),
            self.failed if leader is None else not leader.succeeded,
            changes_of(self.history, round_.status_changes),
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """A transaction without its rounds, its code, and what else may be large; for lists."""

    seq: int
    id: bytes
    kind: TxKind
    status: TxStatus
    sender: Address
    recipient: Address
    value: int
    calldata: bytes | None
    """None: it has more than ``limits.SUMMARY_CALLDATA_BYTES``."""
    calldata_bytes: int
    created_at: datetime
    triggered_by: bytes | None
    appealed: bool
    digest: Digest
    history: tuple[StatusChange, ...]
    """All changes of its status, those of the digest among them."""


def changes_of(*stages: Sequence[StatusChange]) -> tuple[StatusChange, ...]:
    """Changes of status, each once."""
    return tuple(dict.fromkeys(change for stage in stages for change in stage))


def summary_of(transaction: NetworkTransaction) -> Summary:
    """The summary of a transaction that is known as a whole."""
    digest = Digest()
    for round_ in transaction.rounds:
        digest = digest.with_round(round_)
    size = len(transaction.calldata)
    return Summary(
        transaction.seq,
        transaction.id,
        transaction.kind,
        transaction.status,
        transaction.sender,
        transaction.recipient,
        transaction.value,
        transaction.calldata if size <= limits.SUMMARY_CALLDATA_BYTES else None,
        size,
        transaction.created_at,
        transaction.triggered_by,
        transaction.appeals.appealed,
        digest,
        changes_of(digest.history, transaction.status_changes),
    )


# --- the rest -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """A block: of what was submitted together with it, or of a second in which nothing was."""

    number: int
    hash: bytes
    parent: bytes
    timestamp: int
    transactions: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TimeState:
    """The clock of the network."""

    offset_seconds: float
    now: datetime


@dataclass(frozen=True, slots=True)
class NodeTrace:
    """What is known of one run; texts are bounded (:mod:`localnet.limits`)."""

    validator: Address
    mode: NodeMode
    vote: VoteWord | None
    outcome: Outcome | None
    stdout: str
    stderr: str
    log: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Trace:
    """One round of a transaction; the leader's run comes first."""

    id: bytes
    round: int
    label: RoundLabel
    nodes: tuple[NodeTrace, ...]


class EventKind(StrEnum):
    """What has happened."""

    TRANSACTION = "transaction"
    """A new status; ``id`` and ``status`` say of what."""
    ROUND = "round"
    """A round has ended; ``data`` has its number, label and votes."""
    VOTE = "vote"
    """A node has found something, in the middle of a round."""
    SETTLED = "settled"
    """A round was settled; ``data`` has its number and ``intent``."""
    BLOCK = "block"
    CONTRACT = "contract"
    """A contract was deployed, upgraded, or its state has changed (``address``)."""
    BALANCE = "balance"
    VALIDATORS = "validators"
    PROVIDERS = "providers"
    CLOCK = "clock"
    SNAPSHOTS = "snapshots"
    RESET = "reset"
    """All that was known of transactions and contracts may be wrong: a snapshot was restored, tables were cleared."""


@dataclass(frozen=True, slots=True)
class NetworkEvent:
    """Something happened. ``number`` counts up by one within one run of the network."""

    number: int
    kind: EventKind
    at: datetime
    id: bytes | None = None
    address: Address | None = None
    status: TxStatus | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """How a network is; what is stored in its file goes before what is asked for here."""

    chain_id: int = 61999
    validators: int = DEFAULT_VALIDATORS
    """Of a new network."""
    finality_window: float = 2.0
    """Seconds, of a new network."""
    timeout: float = 60.0
    """Seconds of wall time for one run."""
    settle: bool = True
    """Decisions are settled by the settlement engine."""
    strict_nonces: bool = True
    """A nonce that was used is refused. Gaps never are, nor what fills them later."""
    durable: bool = True
    """What is acknowledged survives a power cut."""
    lock_seconds: float = 5.0
    """How long to wait for another process that has the file."""
