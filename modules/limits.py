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
