"""Named bounds of the services: nothing that a client, a script, a model or a page does is without one."""

from __future__ import annotations

# --- HTTP client (modules/http.py) ----------------------------------------------------------------

#: A connection, with its TLS handshake, is given up after this long, however long the whole request may take.
HTTP_CONNECT_SECONDS = 20.0
#: Connections of one client at a time; further requests wait for one.
HTTP_CONNECTIONS = 512
#: Status line or one header field of an answer, and the number of fields.
HTTP_HEADER_BYTES = 64 * 1024
HTTP_HEADER_FIELDS = 256
#: Redirects followed, as of the reference (spec modules/03 §5).
HTTP_REDIRECTS = 10
#: Bytes of bodies that one client receives at a time, for all its requests together.
HTTP_BODIES_BYTES = 512 << 20
#: Parts of a gzip body; each costs time, however small it is.
HTTP_GZIP_MEMBERS = 1024
#: A URL that a contract or script gives; browsers stop at 2 MB, servers mostly at 8 kB.
URL_BYTES = 64 * 1024

# --- mocks ----------------------------------------------------------------------------------------

#: Largest mock file, and most entries of one of its parts.
MOCK_FILE_BYTES = 8 << 20
MOCKS_MAX = 10_000
#: Longest delay that a mock may ask for.
MOCK_DELAY_SECONDS = 3600

# --- service frame --------------------------------------------------------------------------------

#: Seconds that a request may take, unless the configuration says otherwise; the executor waits
#: :data:`executor.limits.MODULE_ANSWER_SECONDS`.
REQUEST_SECONDS = 600.0
#: Connections of a service at a time; further ones are refused.
SESSIONS = 1000
#: Seconds until a new connection must have sent its HTTP request, and then its hello.
HANDSHAKE_SECONDS = 10.0
HELLO_SECONDS = 10.0
#: Seconds between the requests of a session: a run may compute for as long as its manager lets it.
SESSION_IDLE_SECONDS = 3600.0
#: Seconds for the client to take an answer, and for the farewell of a connection.
SEND_SECONDS = 30.0
FAREWELL_SECONDS = 1.0
#: Seconds for a session to begin, and to give back what it has.
SESSION_OPEN_SECONDS = 30.0
SESSION_CLOSE_SECONDS = 10.0
#: Seconds that the sessions of a service that is being stopped have to finish.
GRACE_SECONDS = 30.0
#: Frames of this size and more are encoded and decoded in a thread, others where they come in: other sessions wait.
FRAME_INLINE_BYTES = 64 << 10
#: Characters of a FatalError that are sent, and of an error's text in a log record.
FATAL_TEXT_CHARS = 256 << 10
LOGGED_ERROR_CHARS = 4096
#: Exceptions that caused each other in an error's text.
CAUSES = 16
#: Characters of a cookie in log records.
COOKIE_CHARS = 256
#: Bytes of log that a service writes per minute; what is above that is counted.
LOG_BYTES_PER_MINUTE = 64 << 20
#: Bytes of log that one session may cause.
LOG_SESSION_BYTES = 8 << 20
#: Bytes of log that wait for a reader of stdout which is slow.
LOG_WAITING_BYTES = 4 << 20
#: Bytes of log that libraries may cause.
LOG_LIBRARY_BYTES = 16 << 20
#: Descriptors that a process of a service may have open, if the system allows it.
DESCRIPTORS = 16384
#: A secret is hidden wherever it stands if it has so many characters: shorter ones are `x` and `none`.
SECRET_CHARS_MIN = 8
#: Script VMs of one service.
SCRIPT_VMS = 64
#: Seconds between two looks at whether the parent process still lives (spec modules/01 §3).
PARENT_SECONDS = 5.0
#: Seconds for the check at start, and bytes of the page that a rendering service shows for `genvm modules check`.
CHECK_SECONDS = 30.0
CHECK_BODY_BYTES = 1 << 20

# --- rendering service (modules/webdriver) ----------------------------------------------------------

#: Renders at a time for each core of the machine: more only adds latency.
RENDERS_PER_CORE = 2
#: Renders that wait for a place, and for how long.
RENDERS_WAITING = 64
RENDER_QUEUE_SECONDS = 60.0
#: Clamps of ``loadTimeout`` and ``waitAfterLoaded``.
RENDER_LOAD_SECONDS = 60.0
RENDER_WAIT_SECONDS = 60.0
#: Reading what a loaded page shows.
RENDER_EXTRACT_SECONDS = 10.0
#: Making a fresh context, and closing it; a browser that takes longer is replaced.
RENDER_CONTEXT_SECONDS = 15.0
#: Bytes of text or HTML of a page, of all that a page sends and loads, and connections that it opens.
RENDER_TEXT_BYTES = 8 << 20
RENDER_PAGE_BYTES = 64 << 20
RENDER_CONNECTIONS = 4096
#: Renders of one browser before a new one takes over.
RENDERS_PER_BROWSER = 100
#: Seconds for a browser to start, and to go when asked kindly.
BROWSER_START_SECONDS = 30.0
BROWSER_CLOSE_SECONDS = 5.0
#: Data segment of each process of the browser (RLIMIT_DATA), heap of a page's scripts, memory of all processes together.
BROWSER_PROCESS_BYTES = 1200 << 20
BROWSER_HEAP_MEGABYTES = 256
BROWSER_MEMORY_BYTES = 2 << 30
#: Seconds between two looks at the memory of the browser.
BROWSER_WATCH_SECONDS = 1.0
#: Head of a request of the browser and of an answer to it.
PROXY_HEAD_BYTES = 256 << 10
#: Buffer of one direction of a connection.
PROXY_CHUNK_BYTES = 64 << 10
#: Request line and head of a request to the service: a URL is three times as long in a query.
RENDER_REQUEST_HEAD_BYTES = 256 << 10

# --- the door to the network (modules/web/egress.py) ----------------------------------------------

#: A name that is not resolved by then does not exist for us; look-ups under way at a time.
DNS_SECONDS = 15.0
DNS_THREADS = 64
#: Addresses of one name that are tried.
ADDRESSES_TRIED = 8

# --- LLM module -----------------------------------------------------------------------------------

#: Seconds that one call of a provider may take, and that it may wait for its turn, unless the configuration says more.
LLM_CALL_SECONDS = 120.0
LLM_QUEUE_SECONDS = 60.0
#: Seconds in which the host of a backend must answer when the service starts.
LLM_REACH_SECONDS = 10.0
#: Calls of one model at a time, and most that a configuration may allow.
LLM_CONCURRENCY = 64
LLM_CONCURRENCY_MAX = 10_000
#: Requests per minute that a configuration may name: each is remembered for a minute.
LLM_RATE = 1_000_000
#: Attempts with one backend, and most that a configuration may ask for.
LLM_ATTEMPTS = 3
LLM_ATTEMPTS_MAX = 20
LLM_WEIGHT = 1e9
#: Largest answer of a provider.
LLM_ANSWER_BYTES = 32 << 20
#: Levels of lists and maps in a JSON answer.
LLM_ANSWER_DEPTH = 64
#: Digits of a whole number in one; longer ones go as text.
LLM_NUMBER_CHARS = 1000
#: Of a prompt as scripts give it: tokens of the answer, and images.
LLM_TOKENS = (1 << 32) - 1
LLM_IMAGES = 64
#: Characters of an answer or error that a log record or an error shows.
LLM_SHOWN_CHARS = 500
KEY_FILE_BYTES = 64 << 10
#: Context of a local model, unless the configuration says otherwise.
LOCAL_CONTEXT_TOKENS = 4096
#: Prompts and configurations of one check (spec modules/04 §9).
LLM_CHECK_PAIRS = 1000

# --- scripts --------------------------------------------------------------------------------------

#: Instructions of Lua that one call of a script may take, all its slices together (half a second to two).
SCRIPT_INSTRUCTIONS = 200_000_000
#: Memory of the values of one script VM, and what its process may use besides.
SCRIPT_MEMORY_BYTES = 256 << 20
SCRIPT_PROCESS_EXTRA_BYTES = 768 << 20
#: Time between two waits of a script. Then its process is killed: functions in C cannot be stopped otherwise.
SCRIPT_SLICE_SECONDS = 10.0
#: Largest value, as encoded, between a script and the service; largest frame, and how deep tables may be in each other.
SCRIPT_VALUE_BYTES = 96 << 20
SCRIPT_FRAME_BYTES = SCRIPT_VALUE_BYTES + (1 << 20)
SCRIPT_VALUE_DEPTH = 128
#: Calls that one script VM has at a time, and host functions that wait which one call may use.
SCRIPT_CALLS_MAX = 1000
SCRIPT_HOST_CALLS_MAX = 10_000
#: What the records of one call may have, as encoded, and each of them.
SCRIPT_LOG_BYTES = 256 << 10
SCRIPT_LOG_RECORD_BYTES = 32 << 10
#: Largest source file.
SCRIPT_SOURCE_BYTES = 4 << 20
#: Largest range of ``table.move``, ``insert`` and ``remove``.
SCRIPT_RANGE_MAX = 10_000_000
#: Time in which a script must be loaded, and that a call waits for a VM which is being started anew.
SCRIPT_LOAD_SECONDS = 30.0
SCRIPT_READY_SECONDS = 15.0
#: Pauses between attempts to start a VM anew.
SCRIPT_RESTART_SECONDS_MIN = 0.1
SCRIPT_RESTART_SECONDS_MAX = 30.0
#: Characters of an error text of a script.
SCRIPT_TEXT_CHARS = 4000
#: Pixels of an image that filters of scripts take.
FILTER_PIXELS_MAX = 16 << 20
#: Longest ``rs.sleep_seconds``, and longest request of ``rs.request``.
SCRIPT_SLEEP_SECONDS = 3600.0
SCRIPT_REQUEST_SECONDS = 300.0
SCRIPT_BODY_BYTES = 64 << 20
#: How much of an answer's body an error shows.
SCRIPT_ERROR_BODY_BYTES = 256 << 10

# --- signing (modules/web/signing.py) -------------------------------------------------------------

SIGNER_SECONDS = 30.0
SIGNATURE_BYTES = 16 * 1024

# --- web module -----------------------------------------------------------------------------------

#: Seconds that a request of a contract may take, with its redirects.
FETCH_SECONDS = 300.0
#: Largest body of an answer, unless the configuration says otherwise, and at most: it must fit the executor's frames.
RESPONSE_BYTES = 32 << 20
RESPONSE_BYTES_MAX = 60 << 20
#: Seconds that the rendering service has for a page, its own waiting line included.
RENDER_SECONDS = 200.0
#: Seconds until the module's own rendering service must be up, and that it has to end.
WEBDRIVER_START_SECONDS = 30.0
WEBDRIVER_STOP_SECONDS = 5.0
#: Seconds until the end of its process is noticed.
WEBDRIVER_NOTICE_SECONDS = 0.2
#: Pause after a rendering service that did not start, before it is tried again.
WEBDRIVER_RETRY_SECONDS = 5.0
