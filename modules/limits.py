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
#: Seconds for a session to give back what it has.
SESSION_CLOSE_SECONDS = 10.0
#: Seconds that the sessions of a service that is being stopped have to finish.
GRACE_SECONDS = 30.0
#: Frames of this size and more are encoded and decoded in a thread, others where they come in: other sessions wait.
FRAME_INLINE_BYTES = 64 << 10
#: Characters of a FatalError that are sent, and of an error's text in a log record.
FATAL_TEXT_CHARS = 256 << 10
LOGGED_ERROR_CHARS = 4096
#: Characters of a cookie in log records.
COOKIE_CHARS = 256
#: Bytes of log that a service writes per minute; what is above that is counted.
LOG_BYTES_PER_MINUTE = 64 << 20
#: Bytes of log that one session may cause.
LOG_SESSION_BYTES = 8 << 20
#: Bytes of log that wait for a reader of stdout which is slow.
LOG_WAITING_BYTES = 4 << 20
#: A secret is hidden wherever it stands if it has so many characters: shorter ones are `x` and `none`.
SECRET_CHARS_MIN = 8
#: Script VMs of one service.
SCRIPT_VMS = 64
#: Seconds between two looks at whether the parent process still lives (spec modules/01 §3).
PARENT_SECONDS = 5.0
#: Seconds for the check at start.
CHECK_SECONDS = 30.0

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
