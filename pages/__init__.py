"""What our pages for people have in common: look, building of elements, live data, tables, plots.

======================== ==========================================================================================
file                     what it is
======================== ==========================================================================================
``style.css``            colours, type, forms, tables; dark and light
``dom.js``               elements out of plain values; everything is text, nothing is markup
``said.js``              what has happened, at the foot of the page and read out
``format.js``            durations and times
``live.js``              requests with a token, and a stream of events that is taken up again
``table.js``             rows by key, bounded, drawn at most once per frame
``plot.js``              events per second, stacked
``bars.js``              one stacked bar for each of the latest things
``stream.py``            the server's side of ``live.js``: what changes, as server-sent events
======================== ==========================================================================================

Plain HTML and small modules, served as they are. A server sends :data:`HEADERS` with every file.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

#: Only files of the server itself, and no requests elsewhere.
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_NAME = re.compile(r"[a-z]{1,40}\.(html|css|js)")


class PageFile(NamedTuple):
    """A file as it is served."""

    data: bytes
    content_type: str


@cache
def read(package: str, folder: str, name: str) -> PageFile:
    """``name`` of ``folder`` in ``package``, for example ``("pygenvm.pages", ".", "style.css")``.

    :raises FileNotFoundError: there is none that is served.
    """
    match = _NAME.fullmatch(name)
    if not match:
        raise FileNotFoundError(name)
    return PageFile((files(package) / folder / name).read_bytes(), _TYPES[match[1]])
