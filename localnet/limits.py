"""Every limit of the local network, in one place. All of them are ours."""

from __future__ import annotations

# --- a run ----------------------------------------------------------------------------------------

#: Wall time of one run before the executor is asked to end with the VM error ``timeout``.
RUN_SECONDS = 60.0
#: Seconds between that request and the kill of an executor that does not end.
RUN_GRACE_SECONDS = 5.0

#: Executors that wait for the next of a series of runs.
REUSED_EXECUTORS = 5

#: Nodes of one transaction, the leader among them; and validators that run at the same time.
NODES = 100
VALIDATORS_AT_ONCE = 5

# --- a network that lives as long as a server -----------------------------------------------------

#: Calldata of a transaction that a client sends.
CALLDATA_BYTES = 16 << 20
#: Transactions that may wait at one contract, and of one sender.
PENDING_PER_CONTRACT = 1_000
PENDING_PER_SENDER = 2_000
#: Validators of one transaction, of the network, and rotations of the leader.
NETWORK_VALIDATORS = 1_000
ROTATIONS = 20
#: Runs at the same time, and how often one is repeated because what it had read has changed, before others wait for it.
RUNS_AT_ONCE = 64
REPEATS = 3
#: Writes that reach the disk together.
BATCH = 500
#: Events that a listener may be behind.
EVENTS_BEHIND = 2_000
#: Seconds between looks for what has become final, and between two clearings of history.
FINALITY_POLL_SECONDS = 0.2
HISTORY_SECONDS = 2.0
#: Seconds until something that could not be settled is tried again.
SETTLEMENT_PAUSE_SECONDS = 10.0
#: Seconds of the longest finality window, and the furthest that the clock may be put.
FINALITY_WINDOW_SECONDS = 365 * 24 * 3600.0
CLOCK_OFFSET_SECONDS = 1000 * 365 * 24 * 3600.0
#: Snapshots that are kept, and providers.
SNAPSHOTS = 1_000
PROVIDERS = 1_000
#: Calldata that a list of transactions shows the arguments of, and what is read of its other members as it is.
SUMMARY_CALLDATA_BYTES = 16 << 10
SUMMARY_DETAILS_CHARACTERS = 64 << 10
#: JSON text of a model's configuration.
MODEL_CHARACTERS = 1 << 20

# --- modules --------------------------------------------------------------------------------------

#: Random bytes of the path of a service; connections that may wait until it is listened to.
TOKEN_BYTES = 24
MODULE_BACKLOG = 128
#: Seconds for a service until it is ready, for a connection to one that is, and for the end of one that is ending.
MODULE_READY_SECONDS = 60.0
MODULE_CONNECT_SECONDS = 10.0
MODULE_END_SECONDS = 10.0
#: What its sessions get of that.
MODULE_GRACE_SECONDS = 5.0
MODULE_POLL_SECONDS = 0.05
#: Attempts to find one that does not end just then.
MODULE_ATTEMPTS = 3
#: Seconds without a session after which a service ends, and the most that may be asked for.
MODULE_IDLE_SECONDS = 600.0
MODULE_IDLE_SECONDS_MAX = 7 * 24 * 3600.0
#: Bytes of the configuration and of the message of a service that has started, or not.
MODULE_DOCUMENT_BYTES = 8 << 20
MODULE_NOTE_BYTES = 64 << 10
#: Bytes of a service's log; then it begins anew.
MODULE_LOG_BYTES = 64 << 20

# --- a settlement service -------------------------------------------------------------------------

#: Seconds between two looks at a task, that a service may be away, and that it may make no block.
SERVICE_POLL_SECONDS = 0.5
SERVICE_AWAY_SECONDS = 60.0
SERVICE_STALLED_SECONDS = 600.0

# --- effects of one transaction -------------------------------------------------------------------

#: Pages of storage (``paged.PAGE_BYTES``) that one transaction may write to; more is ``out_of_storage_gas``.
STORAGE_PAGES_WRITTEN = 32_768
#: Bytes of one storage read; more is answered with ``forbidden``.
STORAGE_READ_BYTES = 64 << 20
#: Messages, deployments and transfers of one transaction, and the bytes of their calldata and code.
MESSAGES = 1_000
MESSAGE_BYTES = 64 << 20
#: Events of one transaction, and the bytes of their blobs.
EVENTS = 10_000
EVENT_BYTES = 64 << 20
#: Results of nondet blocks of one transaction, all bytes together.
NONDET_BYTES = 64 << 20
#: Messages that are delivered after one command; the rest is returned to its senders.
DELIVERIES = 100

# --- input ----------------------------------------------------------------------------------------

#: ``--args`` and ``--kwargs``, arrays and objects inside each other in them, and these and commas together.
ARGUMENT_TEXT_BYTES = 16 << 20
ARGUMENT_DEPTH = 100
ARGUMENT_VALUES = 1_000_000
#: A schema, and arrays and objects inside each other in it.
SCHEMA_CHARACTERS = 16 << 20
SCHEMA_DEPTH = 50
#: Value of a message, and of all balances together, so that none can be more than a message carries.
VALUE_MAX = (1 << 256) - 1
#: Name of a contract.
NAME_CHARACTERS = 64

# --- database -------------------------------------------------------------------------------------

#: Seconds that a command waits for another one that uses the same database.
LOCK_SECONDS = 120.0
LOCK_POLL_SECONDS = 0.1
#: Addresses in text whose checksums are remembered: one is a hash, in Python.
ADDRESSES_READ = 1024
#: More than so many bytes of storage are moved in a thread; it takes about a millisecond.
INLINE_BYTES = 1 << 20
#: Time of one statement, and after how many steps of SQLite's machine that is looked at. A damaged file can be endless.
STATEMENT_SECONDS = 30.0
STATEMENT_STEPS = 100_000
#: Rows, and bytes of them all, that one question brings; and bytes of one value.
ANSWER_ROWS = 1 << 20
ANSWER_BYTES = 1 << 30
DATABASE_VALUE_BYTES = 1 << 29

#: So many of the last contracts are searched for the one whose traceback is shown.
SEARCHED_CONTRACTS = 50
#: Code of more bytes is not given to the linter when it fails.
LINTED_BYTES = 1 << 20
#: Failed commands that are kept for the log, the last ones.
LOG_FAILURES = 200

# --- output ---------------------------------------------------------------------------------------

#: Integers of more bits are printed as ``{"$int": "0x…"}``; decimal conversion of huge numbers is quadratic.
PLAIN_INTEGER_BITS = 4096
#: Values that ``state`` decodes before it marks the rest as truncated; bytes of each text or byte string, and of all.
STATE_VALUES = 20_000
STATE_TEXT_BYTES = 64 << 10
STATE_ALL_TEXT_BYTES = 4 << 20
#: Records and containers inside each other that ``state`` follows.
STATE_DEPTH = 50
#: JSON text of all that: a value is at most six characters per byte, and some for names and brackets.
STATE_JSON_CHARACTERS = 64 << 20
#: A record or map takes up to three levels of JSON.
STATE_JSON_DEPTH = 3 * STATE_DEPTH + 10
#: Slots that ``state`` shows undecoded, and bytes of each.
STATE_RAW_SLOTS = 1_000
STATE_RAW_BYTES = 1_024
#: Transactions that ``log`` shows unless asked for another number.
LOG_TRANSACTIONS = 20

# --- JSON-RPC -------------------------------------------------------------------------------------

#: Body of a request, which may bring a contract in hex, twice encoded; and those of all that are under way.
RPC_BODY_BYTES = 160 << 20
#: Of an exported state, which is read into memory.
STATE_FILE_BYTES = 1 << 30
RPC_BODIES_BYTES = 640 << 20
#: One that takes longer than a moment to read is for a thread.
RPC_THREAD_BYTES = 64 << 10
#: Arrays and objects inside each other; and these, and commas, of a whole body: values of two characters each would
#: take more time and memory than anything that somebody means.
RPC_DEPTH = 64
RPC_VALUES = 250_000
#: Connections that wait until they are accepted; where there are more, the system refuses them.
RPC_BACKLOG = 1_024
#: Requests in one batch.
RPC_BATCH = 100
#: Seconds for a body to arrive, for a connection without a request, and for requests when the server ends.
RPC_BODY_SECONDS = 60.0
RPC_KEEP_ALIVE_SECONDS = 75.0
RPC_SHUTDOWN_SECONDS = 2.0
#: Runs for questions (reads, simulations, schemas) at a time, those that may wait for one, and what the rest is told.
RPC_RUNS_WAITING = 1_000
RPC_RETRY_SECONDS = 1.0
#: Characters of each output stream in a receipt.
RPC_STREAM_CHARACTERS = 5_000
#: Transactions in one answer, and what they have in the database: more than that begins no other one.
RPC_TRANSACTIONS = 1_000
RPC_TRANSACTIONS_BYTES = 16 << 20
#: Listeners of events, channels of each, bytes of a message of one, and seconds between signs of life.
RPC_LISTENERS = 1_000
RPC_CHANNELS = 1_000
RPC_MESSAGE_BYTES = 256 << 10
RPC_HEARTBEAT_SECONDS = 15.0
RPC_WRITE_SECONDS = 10.0
#: Appeals and the like that are remembered so that the same bytes again do nothing.
RPC_REMEMBERED = 10_000
#: Seconds that `genvm local` waits for the decision on a transaction that it gave to a server.
REMOTE_SECONDS = 600.0
#: Validators of one transaction (``sim_config``).
RPC_VIRTUAL_VALIDATORS = 100
#: Characters of a text that an error quotes.
RPC_QUOTED = 80
