"""Every limit of the executor, in one place. Protocol limits cite their section; the others are ours.

A limit is never a literal in the middle of the code.
"""

from __future__ import annotations

# --- sub-VM ---------------------------------------------------------------------------------------

#: RAM pool of each mode, shared by all its live VMs (spec executor/08).
RAM_POOL_BYTES = 4_294_967_295
#: Higher exit statuses of contracts become this one (spec executor/05).
EXIT_STATUS_MAX = 125
#: Limits per VM (spec executor/07 "Linking").
INSTANCES_PER_VM = 1000
TABLES_PER_VM = 100
MEMORIES_PER_VM = 100
#: Native stack of one VM: address space, of which code touches far less (see WASM_DEPTH_BYTES).
WASM_STACK_BYTES = 24 << 20
#: Sub-VMs inside each other. RAM ends a Python contract's nesting earlier; this bounds the native stack.
VM_DEPTH = 64
#: Native stack that the host side of one nesting level may use.
HOST_STACK_PER_LEVEL = 256 << 10
#: Native stack of a thread that runs VMs: one level of nesting may use the whole wasm stack.
VM_THREAD_STACK_BYTES = (WASM_STACK_BYTES + HOST_STACK_PER_LEVEL) * (VM_DEPTH + 2)
#: Stack for signals of such a thread; the engine wants as much.
SIGNAL_STACK_BYTES = 256 << 10
#: Seconds until a thread that was started must have begun.
THREAD_BEGIN_SECONDS = 10.0
#: Native stack of a thread that only writes something.
SIDE_THREAD_STACK_BYTES = 1 << 20
#: Memory that is kept back for the end of a run whose host function found none.
RESERVE_BYTES = 16 << 20
#: Memory that must be left when the engine is to make something, and beside the stack of a new thread.
SPARE_BYTES = 8 << 20
#: Time and memory for compiling one module, in a child process.
COMPILE_SECONDS = 120
COMPILE_MEMORY_BYTES = 4 << 30
#: Threads of the compiler, on every machine: each compiles a function, so its memory grows with their number.
COMPILER_THREADS = 4
#: Largest artefact.
COMPILED_BYTES = 1 << 30
#: Compiled modules of contracts that are kept on disk: files, bytes of all, and of one, for each byte of the module and
#: besides. (C code becomes about 5 bytes for each.)
CONTRACT_ARTEFACTS_MAX = 10_000
CONTRACT_ARTEFACT_BYTES = 1 << 30
CONTRACT_ARTEFACT_BYTES_PER_BYTE = 64
CONTRACT_ARTEFACT_BASE_BYTES = 1 << 20
#: How often to look whether another process has finished compiling the same module.
COMPILE_LOCK_POLL_SECONDS = 0.02
#: When a file that is being written into a cache folder has been forgotten.
UNFINISHED_FILE_SECONDS = 3600
#: Most that a MapDerived action may add to a VM: contents and paths. Files of such results that are kept on disk.
DERIVED_BYTES_MAX = 64 << 20
DERIVED_FILES_MAX = 10_000
DERIVED_FILES_BYTES = 1 << 30
#: Most of a contract's memory that an image of it may have; pages of this size belong to it as a whole, and pieces of
#: the other size are looked at first. Contracts that need more have no image.
IMAGE_BYTES_MAX = 8 << 20
IMAGE_PAGE_BYTES = 4096
IMAGE_LOOK_BYTES = 1 << 16
#: Pages of an image between which there is at most so much are mapped together: a mapping costs as much as two or three
#: pages that are copied, and what lies between costs a process no more than its size.
IMAGE_GAP_BYTES = 1 << 18
#: Images that are kept on disk, and in a process with what is mapped of them; and how many may be mapped there, each of
#: which takes a descriptor.
IMAGES_MAX = 1_000
IMAGES_BYTES = 1 << 30
IMAGES_KEPT_BYTES = 128 << 20
IMAGES_JOINED_MAX = 16
#: What archives of runners hold is kept on disk: a hundred kilobytes for those that have a thousand files.
LISTINGS_MAX = 100
LISTINGS_BYTES = 64 << 20
#: Data that a runner's module brings, if it is at least so much, is mapped into the memories of its instances, with
#: what is between it, if that is at most so much.
MEMORY_CONTENT_BYTES = 1 << 20
MEMORY_CONTENT_GAP_BYTES = 16 << 20
#: Memories that VMs have left and others will have: kinds of them, how many of each, how much of one may have been
#: written to (more is quicker made anew), how much of all; and the size of all that nobody has looked at yet.
MEMORY_KINDS = 12
MEMORIES_SPARE = 4
MEMORY_RESTORED_BYTES = 8 << 20
MEMORIES_RESTORED_BYTES = 32 << 20
MEMORIES_LEFT_BYTES = 256 << 20
#: RAM of a VM that sees nothing but its files. It is a pool of its own, beside those of the run.
CLOSED_RAM_BYTES = 1 << 30
#: How much of the compiler's stderr is kept.
COMPILER_TEXT_BYTES = 2000
#: How much is kept of what a program prints that sees nothing but its files.
CLOSED_OUTPUT_BYTES = 2000
#: Largest module that is handed to the compiler.
WASM_MODULE_BYTES = 64 << 20

#: Upgraders of a contract that are looked at when a run begins, each with a request to the host.
UPGRADERS_MAX = 10_000
#: Largest request of gl_call, and data of one storage_write: what a contract can give us at once for the host.
GL_CALL_REQUEST_BYTES = 256 << 20
STORAGE_WRITE_BYTES = 256 << 20
#: Copies out of a guest from this size on let other threads run.
GUEST_COPY_BYTES = 1 << 20

# --- host protocol --------------------------------------------------------------------------------

#: So many lengths of zeros at the beginning of memories have the state of their hash kept, 2 KB each.
HASHES_OF_ZEROS = 16
#: Largest slice that a host may send (calldata, leader result, eth_call result). The format allows 2**32 - 1.
HOST_REPLY_SLICE_BYTES = 256 << 20
#: Characters of an internal error that are sent.
INTERNAL_ERROR_CHARS = 4 << 20
#: Largest request that a node accepts from an executor, all fields together. None that we send is larger: beside what a
#: contract gave, the longest is a fingerprint, which has the names of all modules of a VM.
HOST_REQUEST_BYTES = max(GL_CALL_REQUEST_BYTES, STORAGE_WRITE_BYTES) + (128 << 20)
#: What one read of a socket may bring; a buffer never grows by more at a time, whatever the other side announces.
HOST_READ_BYTES = 256 << 10
#: Longer data goes to the host from where it lies: a copy takes time in which the process cannot do anything else.
HOST_COPY_BYTES = 1 << 20
#: Seconds until a connection to the host must stand.
HOST_CONNECT_SECONDS = 30.0

# --- archives and runner.json ---------------------------------------------------------------------

#: Archives and contract code have a 32-bit length (spec executor/08).
ARCHIVE_BYTES_MAX = (1 << 32) - 1
#: Files of one archive; as many as a zip without zip64 can list.
ARCHIVE_FILES_MAX = 65_534
#: Bytes of one file name of an archive.
ARCHIVE_NAME_BYTES_MAX = 4096
#: runner.json, and the comment header of a text contract that holds it.
RUNNER_JSON_BYTES_MAX = 1 << 20
#: Arrays and objects inside each other in runner.json.
RUNNER_JSON_DEPTH_MAX = 127
#: Environment and argument list of one VM, counted as `name=value` and `argument` with one byte of end each.
ENVIRONMENT_BYTES_MAX = 1 << 20
ARGUMENTS_BYTES_MAX = 1 << 20
#: Target of one MapFile, in bytes of UTF-8, and names of all targets of one VM (`/a/b.py` has two).
MAPPED_PATH_BYTES_MAX = 4096
MAPPED_PATH_NAMES_MAX = 1 << 20
#: all.json and latest.json.
REGISTRY_JSON_BYTES_MAX = 16 << 20
#: Texts that a process remembers to be ids of runners.
IDS_KNOWN = 256
REGISTRY_JSON_DEPTH_MAX = 4
#: How long the last change of all.json must be past when a process remembers what is in it.
REGISTRY_SETTLED_NS = 2_000_000_000
#: Sections of a wasm module that are walked to find a custom section.
WASM_SECTIONS_MAX = 10_000

# --- wasm modules (ours; none is above the engine's own) ------------------------------------------

WASM_CUSTOM_SECTIONS_MAX = 1_000
#: Bytes of an import, export or section name.
WASM_NAME_BYTES_MAX = 100_000
WASM_TYPES_MAX = 10_000
#: Parameters, or results, of one function type.
WASM_TYPE_VALUES_MAX = 1_000
#: Imported and defined.
WASM_FUNCTIONS_MAX = 100_000
WASM_IMPORTS_MAX = 10_000
WASM_EXPORTS_MAX = 100_000
WASM_GLOBALS_MAX = 100_000
#: Data segments, or element segments.
WASM_SEGMENTS_MAX = 100_000
#: Function indices of one element segment.
WASM_ELEMENTS_MAX = 10_000_000
#: Locals of one function, without parameters.
WASM_LOCALS_MAX = 40_000
WASM_FUNCTION_BODY_BYTES_MAX = 1 << 20
#: Labels of one br_table.
WASM_BR_TABLE_MAX = 65_536
#: Blocks, loops and ifs of one function; compile time grows with the square of their number.
WASM_BLOCKS_MAX = 10_000
#: The same times the locals of the function; compile time and memory grow with that (CPython's largest: 60 thousand).
WASM_BLOCKS_TIMES_LOCALS_MAX = 5_000_000
#: Values that calls, typed blocks and branches of one function, and of one module, may name: so many for each byte of
#: its code, and so many more. Blocks of one function: the compiler's memory grows with the square of their values.
WASM_VALUES_PER_BYTE = 4
WASM_FUNCTION_VALUES = 10_000
WASM_MODULE_VALUES = 100_000
WASM_BLOCK_VALUES_MAX = 20_000
#: Branches of one function times its locals: so many for each byte of its code, and so many more, up to a most. A
#: branch may bring a value for each local, of 16 bytes and half a microsecond in the compiler.
WASM_BRANCH_LOCALS_PER_BYTE = 128
WASM_BRANCH_LOCALS = 1_000_000
WASM_BRANCH_LOCALS_MAX = 10_000_000
#: Size of the code with what we write into it: so many bytes for each byte of the module, and so many more.
WASM_EDITED_BYTES_PER_BYTE = 8
WASM_EDITED_BYTES = 1 << 20
#: Estimated stack bytes of the functions that may be active at once, all modules of a VM together; a runner's take one
#: part of so many of their estimate. CPython's own recursion limits are reached first. The function that exceeds the
#: sum has its frame already: all parts of the sum and the largest frames fit into WASM_STACK_BYTES.
WASM_DEPTH_BYTES = 7 << 20
WASM_RUNNER_FRAME_PARTS = 3
#: Values of instructions that the estimate of one frame assumes to be alive at once, at most.
WASM_FRAME_VALUES_MAX = 1024
#: Functions that call nothing are not counted up to this estimate, in runners chains of functions that lead to no
#: recursion.
WASM_UNCOUNTED_FRAME_BYTES_MAX = 64 << 10
#: Estimate of functions of a runner that call each other without being counted between two that are.
WASM_UNCOUNTED_CHAIN_BYTES_MAX = 1000
#: Validator tasks that may wait, and that have begun (spec executor/04 names the first).
VALIDATOR_QUEUE = 100
VALIDATOR_WORKERS = 4
#: Messages of validator tasks that have not ended, together; a larger one waits until it is the only one.
VALIDATOR_MESSAGE_BYTES = 64 << 20
#: What the nondet VMs of one block may hold at most while others compute: RAM, and modules, each of which may have a
#: memory of its own.
LENT_RAM_BYTES = 192 << 20
LENT_INSTANCES = 300
#: Compiled modules of contracts, and files that runners derive, which a process keeps in memory.
CONTRACT_MODULES_KEPT_BYTES = 64 << 20
DERIVED_KEPT_BYTES = 64 << 20

# --- WASI preview 1 -------------------------------------------------------------------------------

#: Longest path that a guest may ask for; no longer one exists (spec executor/06 "Virtual file system").
WASI_PATH_BYTES = 1 << 20
#: Directories in one VM's file tree. Files are charged to the RAM budget, directories are not.
MAPPED_DIRECTORIES = 1 << 16
#: Pieces in which random bytes are made and output is copied out of a guest; random pieces are whole words.
RANDOM_CHUNK_BYTES = 1 << 16
OUTPUT_CHUNK_BYTES = 1 << 16
#: How long a termination waits for a host request that is under way, until it gives up sending the result.
HOST_DRAIN_SECONDS = 10.0

# --- files of authors ------------------------------------------------------------------------------

#: Code of a contract, or a folder of it when it is packed.
CONTRACT_FILE_BYTES = 64 << 20

# --- message, configuration, log ------------------------------------------------------------------

#: JSON text of --message, and arrays and objects inside each other in it.
MESSAGE_JSON_CHARS_MAX = 1 << 20
MESSAGE_JSON_DEPTH_MAX = 64
#: JSON text of --host-data, which travels on to the modules, and arrays and objects inside each other in it.
HOST_DATA_JSON_CHARS_MAX = 1 << 20
HOST_DATA_JSON_DEPTH_MAX = 64
#: The configuration file; aliases cannot make it bigger, they are refused.
CONFIG_BYTES_MAX = 1 << 20
CONFIG_DEPTH_MAX = 32
#: Characters of a value in it that is no text: numbers take time with the square of their length.
CONFIG_NUMBER_CHARS_MAX = 64
#: Bytes of a byte string in a log record that are shown (spec executor/10 "Log").
LOG_BYTES_SHOWN = 128
#: Characters of one log line's text values, and containers inside each other in one record.
LOG_TEXT_CHARS_MAX = 1 << 16
LOG_DEPTH_MAX = 16
#: Elements of one container in a log record.
LOG_ITEMS_MAX = 1000
#: Bytes of the log of one run: for what its contracts trace and for their output that is lost, for `--trace`, and for
#: what libraries and the parts below the supervisor remark.
LOG_CONTRACT_BYTES = 16 << 20
LOG_TRACING_BYTES = 64 << 20
LOG_LIBRARY_BYTES = 16 << 20

# --- modules (LLM and web services) ---------------------------------------------------------------

#: Largest frame in either direction.
MODULE_MESSAGE_BYTES = 64 << 20
#: Connections to one module: nondet VMs that may ask it at the same time, all validators and the leader's.
MODULE_CONNECTIONS = VALIDATOR_WORKERS + 1
#: Seconds until a connection must stand, until the module must have taken some more of a request, and until it must
#: have answered. Services bound their own work below the last one.
MODULE_CONNECT_SECONDS = 10.0
MODULE_SEND_SECONDS = 30.0
MODULE_ANSWER_SECONDS = 1200.0
#: Seconds for the statistics of one module, and for the farewell of one connection: the result waits for them.
MODULE_STATS_SECONDS = 1.0
MODULE_CLOSE_SECONDS = 0.1
#: Characters of a FatalError that are kept.
MODULE_FATAL_TEXT_CHARS = 1 << 20

# --- end of a run ---------------------------------------------------------------------------------

#: After a termination signal: how long we wait for the connection to the host, and for a result that is being sent.
TERMINATION_SECONDS = 1.0
#: How long the result waits until what `--print` asked for has been read, normally and after a termination signal.
PRINT_SECONDS = 0.5
LAST_PRINT_SECONDS = 0.05
#: Bytes or characters of a result that are made printable at a time.
PRINT_PIECE = 1 << 18
#: What `--print stderr-full` can show.
STDERR_KEPT_BYTES = 1 << 20

# --- pool of executors ----------------------------------------------------------------------------

#: Executors that wait for jobs, unless the client wants another number, and the most that it may want.
POOL_IDLE = 2
POOL_IDLE_MAX = 64
#: Those besides that wait for commands which have runs themselves, once there has been one. Nobody types faster.
POOL_IDLE_COMMANDS = 2
#: Calls that a template plays before it forks. Python makes code quick that has run eight times, and some of it is run
#: only once in a call.
POOL_REHEARSALS = 12
#: How long an executor has been idle when it plays one, and how long it waits at most to look at a busy machine again.
POOL_REHEARSE_SECONDS = 0.02
POOL_REHEARSE_SECONDS_MAX = 10.0
#: How long a template has nothing to do when it forks executors in place of those that have got a job; it does not wait
#: while none is idle.
POOL_REFILL_SECONDS = 0.005
#: How old a command that has runs itself is before that: most have ended by then, and nobody types faster.
POOL_REFILL_COMMAND_SECONDS = 0.05
#: Executors of one pool that have a job; each takes a descriptor of the template.
POOL_JOBS_MAX = 500
#: A job: message and host data at most, as UTF-8.
POOL_FRAME_BYTES = 16 << 20
POOL_READ_BYTES = 256 << 10
#: Descriptors that one read of a socket may bring; the kernel passes no more at a time.
POOL_DESCRIPTORS_AT_ONCE = 253
#: A command line with its variables that a run hands over to a pool; the kernel's default for a packet is a bit more.
HANDOVER_REQUEST_BYTES = 160 << 10
#: Seconds until an executor of the pool must be willing.
HANDOVER_SECONDS = 2.0
#: How long an executor that has told its client of the end waits for it to end first.
HANDOVER_END_SECONDS = 0.05
#: Seconds without a visit after which a pool ends that a command has left behind, at most; and those in which no other
#: command tries to leave one.
POOL_UNTIL_IDLE_SECONDS = 600.0
POOL_UNTIL_IDLE_SECONDS_MAX = 7 * 24 * 3600.0
POOL_RETRY_SECONDS = 60.0
#: Seconds in which it must have made room for one that somebody has asked for.
POOL_WAY_SECONDS = 10.0
#: Seconds that a pool waits when it cannot accept a connection.
POOL_PAUSE_SECONDS = 0.01
#: Seconds until a template must be ready. It may have to compile interpreters first.
POOL_READY_SECONDS = 4.0 * COMPILE_SECONDS
#: Seconds that a template which was told to end, or whose channel broke, may take for that.
POOL_END_SECONDS = 5.0
#: Bytes at the end of a template's stderr that are looked at for why it has ended.
POOL_STDERR_BYTES = 4096
#: Bytes kept from the start and from the end of each output stream of a run, where nothing else is asked for; what is
#: between is counted and dropped.
OUTPUT_HEAD_BYTES = 64 << 10
OUTPUT_TAIL_BYTES = 64 << 10
#: What one read of an output pipe may bring.
OUTPUT_READ_BYTES = 64 << 10
#: An executor that dies idle at less than this age is only replaced when the next job comes.
POOL_IDLE_SECONDS_MIN = 1.0

# --- executors that carry out several runs --------------------------------------------------------

#: A frame between such an executor and its client: a request to the host at most.
SERIES_FRAME_BYTES = HOST_REQUEST_BYTES + (1 << 20)
#: Of the end of a run, so much is kept until the result is sent.
SERIES_LATE_BYTES = 64 << 10
#: Seconds until an executor is ready for a run, from its start or the end of the run before.
SERIES_READY_SECONDS = 20.0
#: Pages of a contract's storage that are lent to an executor together with the run.
SERIES_PAGES_LENT = 512
#: Pages of one contract that an executor remembers beside those, in a run.
SERIES_PAGES_KEPT = 8192
#: Runs of one executor, and what its memory may have grown by, until another one takes its place.
SERIES_RUNS = 10_000
SERIES_GROWTH_BYTES = 512 << 20
#: Seconds until the threads of a run have ended behind it; seconds of a processor that the process has at least had
#: meanwhile, for a machine that stands still for a while gives them none; and seconds between two looks.
SERIES_SETTLE_SECONDS = 0.3
SERIES_SETTLE_CPU_SECONDS = 0.02
SERIES_SETTLE_POLL_SECONDS = 0.00005
#: What a client keeps of runs in case that there is the same again: of one, and of all.
KNOWN_RUN_BYTES = 1 << 20
KNOWN_RUNS_BYTES = 32 << 20

# --- records of executions ------------------------------------------------------------------------

RECORD_BYTES = 256 << 20
RECORD_EVENTS = 1_000_000
#: Streams: the VM thread, and each nondet block with a validator.
RECORD_STREAMS = 10_000
#: References to runners.
RECORD_RUNNERS = 10_000
#: Elements of one array or map in a record, the topics of an event are the most; and of all those of one object.
RECORD_ELEMENTS = 255
RECORD_OBJECT_ELEMENTS = 1000
#: A text. Those of the command line are the longest.
RECORD_TEXT_BYTES = 16 << 20
