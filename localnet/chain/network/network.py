"""A network that lives as long as a server: transactions go through consensus, are accepted, and become final.

One process has the file at a time. Everything that is acknowledged is on the disk, and what a killed process had begun
is begun again by the next one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain.model import AccountInfo, ContractInfo, Receipt
from pygenvm.localnet.chain.network.types import (
    Block,
    Model,
    NetworkEvent,
    NetworkOptions,
    NetworkTransaction,
    NodeReceipt,
    Provider,
    Submission,
    TimeState,
    Trace,
    TxStatus,
    Validator,
    Variant,
    VirtualValidator,
)
from pygenvm.localnet.chain.runs import VIEW_PERMISSIONS
from pygenvm.localnet.chain.state import StateDump
from pygenvm.localnet.executors.base import Executor
from pygenvm.localnet.schema import SchemaDocument


class Network:
    """The network in the file ``path``, for any number of coroutines of one event loop. ::

    async with Network("local.db", executor=executor) as network:
        id = await network.submit(Submission(TxKind.DEPLOY, sender, code=code))
        transaction = await network.wait(id)
    """

    def __init__(
        self,
        path: Path | str,
        *,
        executor: Executor,
        options: NetworkOptions = NetworkOptions(),
        clock: Callable[[], datetime] | None = None,
        on_error: Callable[[str], None] = lambda _: None,
    ) -> None:
        """
        :param executor: runs contracts; it is not closed by the network.
        :param clock: the wall clock.
        :param on_error: told of what goes wrong inside, for a log.
        """

    async def start(self) -> None:
        """Opens the file, or makes one, and goes on with what is not finished.

        :raises DatabaseError: another process has it, or it is not a network's.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Ends all runs; what they were for is begun again by the next :meth:`start`."""
        raise NotImplementedError

    async def __aenter__(self) -> Network:
        await self.start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def chain_id(self) -> int:
        """What contracts are told, and addresses are made with."""
        raise NotImplementedError

    # --- transactions -----------------------------------------------------------------------------

    async def submit(self, submission: Submission) -> bytes:
        """Takes a transaction, and gives its id once it is on the disk. The same id again changes nothing.

        A transfer to an account has happened when this returns; all else is executed in the order of its contract.

        :raises InsufficientFunds, NonceTooLow, TooLarge, QueueFull, BadValue: it is refused; nothing was stored.
        """
        raise NotImplementedError

    async def transaction(self, id: bytes) -> NetworkTransaction:
        """:raises TransactionNotFound: there is none."""
        raise NotImplementedError

    async def transactions_of(self, address: Address, count: int = 100) -> list[NetworkTransaction]:
        """Of which it is sender or recipient, newest first."""
        raise NotImplementedError

    async def recent(self, count: int = 50, before: int | None = None) -> list[NetworkTransaction]:
        """The newest first; ``before`` is the ``seq`` of the last one seen."""
        raise NotImplementedError

    async def wait(
        self, id: bytes, *, status: TxStatus | None = None, timeout: float | None = None
    ) -> NetworkTransaction:
        """The transaction once it is decided, or has ``status``.

        :raises TransactionNotFound: there is none.
        :raises TimeoutError: not within so many seconds.
        """
        raise NotImplementedError

    async def appeal(self, id: bytes) -> bool:
        """Asks for another opinion; the status has changed when this returns. False: it cannot be appealed now.

        :raises TransactionNotFound: there is none.
        """
        raise NotImplementedError

    async def finalize(self, id: bytes) -> bool:
        """Ends its finality window now, and those before it of its contract. False: it is not decided, or final already.

        :raises TransactionNotFound: there is none.
        """
        raise NotImplementedError

    async def cancel(self, id: bytes) -> None:
        """Takes back what nobody has begun to execute; its value goes back to the sender.

        :raises TransactionNotFound: there is none.
        :raises WrongStatus: it is not PENDING.
        """
        raise NotImplementedError

    async def set_status(self, id: bytes, status: TxStatus) -> NetworkTransaction:
        """What ``sim_updateTransactionStatus`` asks for: FINALIZED ends the window, CANCELED cancels, PENDING executes
        once more what is not final.

        :raises TransactionNotFound: there is none.
        :raises WrongStatus: nothing leads from its status to that one.
        """
        raise NotImplementedError

    async def trace(self, id: bytes, round: int = 0) -> Trace | None:
        """What nodes printed and logged in a round; None: it has no such round (yet).

        :raises TransactionNotFound: there is none.
        """
        raise NotImplementedError

    async def settlement_receipt(self, intent_id: bytes) -> bytes | None:
        """The document of a settled round, for ``genvm receipt verify``; None: it is not settled."""
        raise NotImplementedError

    # --- accounts ---------------------------------------------------------------------------------

    async def nonce(self, address: Address) -> int:
        """The next nonce of an account: pending transactions count."""
        raise NotImplementedError

    async def received(self, address: Address) -> int:
        """How many transactions to a contract there are (``gen_getContractNonce``)."""
        raise NotImplementedError

    async def balance(self, address: Address) -> int:
        """What it may spend: values of its pending transactions are gone already."""
        raise NotImplementedError

    async def fund(self, address: Address, amount: int) -> bytes:
        """Makes value out of nothing; the id of a transaction that is there and final.

        :raises BadValue: all balances together would not fit 256 bits.
        """
        raise NotImplementedError

    async def accounts(self) -> list[AccountInfo]:
        """The named accounts, contracts, and every other address with a balance."""
        raise NotImplementedError

    # --- blocks -----------------------------------------------------------------------------------

    async def block_number(self) -> int:
        """The newest block's; it moves with every submission, every decision and every second."""
        raise NotImplementedError

    async def block(self, which: int | bytes | None = None) -> Block | None:
        """By number or hash, the newest by default; None: there is none. A transaction's id gives its block."""
        raise NotImplementedError

    # --- contracts --------------------------------------------------------------------------------

    async def read(
        self,
        contract: Address,
        calldata: bytes,
        *,
        sender: Address = Address(bytes(20)),
        origin: Address | None = None,
        variant: Variant = Variant.ACCEPTED,
        datetime: datetime | None = None,
        virtual: Sequence[VirtualValidator] = (),
        permissions: str = VIEW_PERMISSIONS,
        sync: bool = False,
    ) -> Receipt:
        """Calls a contract without effect.

        :raises ContractNotFound: there is none.
        """
        raise NotImplementedError

    async def simulate(
        self,
        submission: Submission,
        *,
        variant: Variant = Variant.ACCEPTED,
    ) -> NodeReceipt:
        """What a leader would find in a transaction now; nothing is kept. The sender need not have the value.

        :raises ContractNotFound: there is none.
        """
        raise NotImplementedError

    async def schema(self, contract: Address) -> SchemaDocument:
        """:raises ContractNotFound: there is none. :raises NoSchema: it gives none."""
        raise NotImplementedError

    async def schema_of_code(self, code: bytes) -> SchemaDocument:
        """:raises NoSchema: it gives none."""
        raise NotImplementedError

    async def contract(self, address: Address) -> ContractInfo | None:
        """The contract at an address, once it is accepted."""
        raise NotImplementedError

    async def contracts(self) -> list[ContractInfo]:
        """All contracts in order of deployment."""
        raise NotImplementedError

    async def code(self, contract: Address) -> bytes:
        """:raises ContractNotFound: there is none."""
        raise NotImplementedError

    async def state(self, contract: Address, variant: Variant = Variant.ACCEPTED) -> StateDump:
        """The storage of a contract, decoded.

        :raises ContractNotFound: there is none.
        """
        raise NotImplementedError

    async def slots(self, contract: Address, variant: Variant = Variant.ACCEPTED) -> dict[bytes, bytes]:
        """Written slots, raw and bounded (``contract_state`` of receipts).

        :raises ContractNotFound: there is none.
        """
        raise NotImplementedError

    async def upgrade(self, contract: Address, code: bytes, *, sender: Address | None = None) -> bytes:
        """Replaces the code in the order of the contract's transactions; the id of the transaction that does it.

        :param sender: the contract's deployer by default.
        :raises ContractNotFound: there is none.
        """
        raise NotImplementedError

    async def deployer(self, contract: Address) -> Address | None:
        """The sender of its deployment, whose signature an upgrade needs; None: unknown."""
        raise NotImplementedError

    # --- validators and models --------------------------------------------------------------------

    async def validators(self) -> list[Validator]:
        """In order of creation."""
        raise NotImplementedError

    async def validator(self, address: Address) -> Validator:
        """:raises ValidatorNotFound: there is none."""
        raise NotImplementedError

    async def create_validator(self, stake: int, model: Model) -> Validator:
        """:raises BadValue: impossible stake or model, or too many validators."""
        raise NotImplementedError

    async def create_random_validators(
        self,
        count: int,
        min_stake: int,
        max_stake: int,
        providers: Sequence[str] = (),
        models: Sequence[str] = (),
    ) -> list[Validator]:
        """Of available models, restricted to ``providers`` and ``models`` where any are given.

        :raises BadValue: impossible numbers, or no such model.
        """
        raise NotImplementedError

    async def update_validator(self, address: Address, stake: int, model: Model) -> Validator:
        """:raises ValidatorNotFound: there is none."""
        raise NotImplementedError

    async def delete_validator(self, address: Address) -> None:
        """:raises ValidatorNotFound: there is none."""
        raise NotImplementedError

    async def delete_all_validators(self) -> None:
        """Transactions wait until there are some again."""
        raise NotImplementedError

    async def providers(self) -> list[Provider]:
        """Models that validators may be made with."""
        raise NotImplementedError

    async def add_provider(self, model: Model) -> int:
        """Its number."""
        raise NotImplementedError

    async def update_provider(self, number: int, model: Model) -> None:
        """:raises ValidatorNotFound: there is none."""
        raise NotImplementedError

    async def delete_provider(self, number: int) -> None:
        """:raises ValidatorNotFound: there is none."""
        raise NotImplementedError

    async def reset_providers(self) -> None:
        """As in a new network."""
        raise NotImplementedError

    async def install_mocks(self, llm: Any, web: Any, *, strict: bool = False) -> tuple[int, int]:
        """Answers of all models and of the web (``sim_installMocks``), until others are installed; how many of each.

        :param llm: pattern to answer, as ``llm`` of a mock file (:mod:`modules.mocks`).
        :raises BadValue: they cannot be used.
        """
        raise NotImplementedError

    async def mocks(self) -> tuple[Any, Any, bool]:
        """What was installed: llm, web, strict."""
        raise NotImplementedError

    # --- time, snapshots, the file ----------------------------------------------------------------

    async def finality_window(self) -> float:
        """Seconds."""
        raise NotImplementedError

    async def set_finality_window(self, seconds: float) -> None:
        """For all that is not final yet."""
        raise NotImplementedError

    async def time(self) -> TimeState:
        """The clock of the network."""
        raise NotImplementedError

    async def increase_time(self, seconds: float) -> TimeState:
        """Puts the clock forward; finality windows run by it too.

        :raises BadValue: not a number of seconds that leads to a date.
        """
        raise NotImplementedError

    async def set_time(self, now: datetime | None) -> TimeState:
        """Sets the clock, from where it goes on; None: the wall clock again."""
        raise NotImplementedError

    async def create_snapshot(self) -> int:
        """Its number."""
        raise NotImplementedError

    async def restore_snapshot(self, number: int) -> bool:
        """Storage, balances, nonces and transactions are as they were. Validators, models, clock and snapshots stay.

        False: there is none.
        """
        raise NotImplementedError

    async def delete_snapshot(self, number: int) -> bool:
        """False: there is none."""
        raise NotImplementedError

    async def delete_all_snapshots(self) -> int:
        """How many there were."""
        raise NotImplementedError

    async def snapshots(self) -> list[int]:
        """Numbers, oldest first."""
        raise NotImplementedError

    async def clear(self, tables: Sequence[str] = ()) -> None:
        """As new: ``current_state`` (contracts and balances) and ``transactions``, which go together."""
        raise NotImplementedError

    async def export(self) -> bytes:
        """The file of this network, as of now, for ``--fork`` and :meth:`load`."""
        raise NotImplementedError

    async def load(self, file: bytes) -> None:
        """Goes on with the state of an exported file; validators and models of the file too.

        :raises DatabaseError: it is none.
        """
        raise NotImplementedError

    async def check(self) -> None:
        """:raises DatabaseError: value has appeared or vanished."""
        raise NotImplementedError

    def events(self) -> AsyncIterator[NetworkEvent]:
        """What happens from now on. A listener that is too slow is ended with :class:`SlowListener`."""
        raise NotImplementedError
