"""Named bounds of the manager."""

from __future__ import annotations

# --- requests -------------------------------------------------------------------------------------

#: Bodies of requests; contract code travels to two routes.
BODY_BYTES = 64 << 20
#: Those of all requests that are under way; further ones are refused.
BODIES_BYTES = 512 << 20
#: A body that is JSON. One that takes longer than a moment to read or write is for a thread.
JSON_BYTES = 16 << 20
JSON_THREAD_BYTES = 64 << 10
#: Nesting of JSON bodies.
JSON_DEPTH = 64
#: What the command line of one executor may take (the operating system allows 128 KiB for one argument).
ARGUMENT_BYTES = 128 << 10
ARGUMENTS_MAX = 64
#: What ``POST /env`` may set: every process gets it, and with the command line it must fit into 2 MiB.
VARIABLES_MAX = 128
VARIABLES_BYTES = 64 << 10
#: What all words of one command line may take together.
COMMAND_LINE_BYTES = 512 << 10
#: Requests that wait for permits at a time; further ones are refused at once.
WAITING_RUNS = 10_000
#: Targets of the log that may have a level of their own.
LOG_TARGETS = 64
LOG_TARGET_CHARS = 200
#: What ``POST /permits`` accepts at most.
PERMITS_MAX = 100_000
#: Time for the body of a request to arrive.
REQUEST_SECONDS = 60.0
#: How long a connection is kept without a request.
KEEP_ALIVE_SECONDS = 75.0

# --- runs -----------------------------------------------------------------------------------------

#: Deadline of a run that names none, and the longest that counts.
EXECUTION_MINUTES = 50
EXECUTION_MINUTES_MAX = 7 * 24 * 60
#: Between SIGTERM and SIGKILL when the deadline has passed.
DEADLINE_GRACE_SECONDS = 5.0
#: ``DELETE /genvm/{id}``: what it waits when it does not say, and at least: known clients ask for 20 ms right after
#: the result, and count a run without its result line as failed.
DELETE_WAIT_MS = 30_000
#: Before it asks the executor to end, which has delivered its result, mostly, and is about to end by itself.
DELETE_PATIENCE_SECONDS = 0.05
DELETE_WAIT_MIN_MS = 1_000
DELETE_WAIT_MAX_MS = 600_000
#: How long after its end a run that nobody asked for is kept.
RETENTION_SECONDS = 60.0
#: Between two looks for such runs.
HOUSEKEEPING_SECONDS = 5.0
#: How many ended runs are kept, the oldest forgotten first, and what their output may take together.
RECORDS_MAX = 20_000
RECORDS_BYTES = 256 << 20
#: Of each output stream: kept from its start and from its end.
OUTPUT_HEAD_BYTES = 8 << 20
OUTPUT_TAIL_BYTES = 1 << 20
#: After a change of the environment, until executors with the new one are made; others may follow at once.
POOL_RENEWAL_SECONDS = 0.2
#: After its start, until what it writes is read as it comes.
PIPE_WATCH_SECONDS = 0.05
#: Read at a time, and what is read at most of a pipe once its executor is gone (Linux has 64 KiB in one).
PIPE_READ_BYTES = 64 << 10
PIPE_BYTES = 1 << 20
#: Of the log of one run: what is passed on, each line counted with so many bytes more, and after it only the end.
LOG_RUN_BYTES = 8 << 20
LOG_LINE_COST = 200
LOG_END_BYTES = 16 << 10
#: One line of it, and what is read at a time: each line costs some time.
LOG_LINE_BYTES = 64 << 10
LOG_READ_BYTES = 8 << 10

# --- versions -------------------------------------------------------------------------------------

MANIFEST_BYTES = 1 << 20
MANIFEST_ENTRIES = 10_000
#: ``genvm parse-version-pattern`` of an installed executor.
PROBE_SECONDS = 20.0
#: At a time.
PROBES = 4
PROBE_OUTPUT_BYTES = 4096

# --- modules --------------------------------------------------------------------------------------

#: From the start of a module's process until it listens, and from SIGTERM until SIGKILL.
MODULE_START_SECONDS = 30.0
MODULE_STOP_SECONDS = 30.0
#: A module that has said that it cannot start is left so long to end by itself.
MODULE_END_SECONDS = 2.0
#: What its answer of that is cut to.
MODULE_ERROR_CHARS = 2000
#: A module that ends by itself is started again, after a pause that doubles from the first to the second.
MODULE_RESTART_SECONDS = 0.5
MODULE_RESTART_SECONDS_MAX = 60.0
#: A module that has run so long starts over with the shortest pause.
MODULE_STEADY_SECONDS = 60.0

# --- shutdown -------------------------------------------------------------------------------------

#: How long running executions may take to end after SIGTERM, and requests that are being answered.
SHUTDOWN_RUN_SECONDS = 5.0
SHUTDOWN_REQUEST_SECONDS = 5.0

# --- the page -------------------------------------------------------------------------------------

#: What the page knows of the past.
RECENT_RUNS = 200
RECENT_LOG_LINES = 500
RATE_SECONDS = 600

# --- the process ----------------------------------------------------------------------------------

#: Between two looks whether the parent process is still there.
PARENT_SECONDS = 1.0
