# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Web requests and page rendering (spec sdk/01 §3.6)."""
__all__ = ('Response', 'delete', 'get', 'head', 'patch', 'post', 'render', 'request')
import dataclasses
import typing
from collections.abc import Mapping
from ...py.types import Lazy
from .._internal.gl_call import gl_call_generic, lazy_api
from ._answer import Image, _decode_nondet
import typing_extensions
Method: typing_extensions.TypeAlias = typing.Literal['GET', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH']
Body: typing_extensions.TypeAlias = str | bytes | None
Headers: typing_extensions.TypeAlias = Mapping[str, str | bytes]

@dataclasses.dataclass
class Response:
    """Answer of a web server."""
    status: int
    headers: dict[str, bytes]
    body: bytes | None

class _Request:

    def __call__(self, url: str, *, method: Method, body: Body=..., headers: Headers=...) -> Response:
        """Send a request. Text in body and header values is UTF-8 encoded."""

    def lazy(self, url: str, *, method: Method, body: Body=..., headers: Headers=...) -> Lazy[Response]:
        """Send a request. Text in body and header values is UTF-8 encoded."""
request: _Request

class _Get:

    def __call__(self, url: str, *, headers: Headers=...) -> Response:
        ...

    def lazy(self, url: str, *, headers: Headers=...) -> Lazy[Response]:
        ...
get: _Get

class _Post:

    def __call__(self, url: str, *, body: Body=..., headers: Headers=...) -> Response:
        ...

    def lazy(self, url: str, *, body: Body=..., headers: Headers=...) -> Lazy[Response]:
        ...
post: _Post

class _Delete:

    def __call__(self, url: str, *, body: Body=..., headers: Headers=...) -> Response:
        ...

    def lazy(self, url: str, *, body: Body=..., headers: Headers=...) -> Lazy[Response]:
        ...
delete: _Delete

class _Head:

    def __call__(self, url: str, *, body: Body=..., headers: Headers=...) -> Response:
        ...

    def lazy(self, url: str, *, body: Body=..., headers: Headers=...) -> Lazy[Response]:
        ...
head: _Head

class _Patch:

    def __call__(self, url: str, *, body: Body=..., headers: Headers=...) -> Response:
        ...

    def lazy(self, url: str, *, body: Body=..., headers: Headers=...) -> Lazy[Response]:
        ...
patch: _Patch

class _Render:

    @typing.overload
    def __call__(self, url: str, *, mode: typing.Literal['html', 'text']=..., wait_after_loaded: str | None=...) -> str:
        """Load a page in a browser: its text or HTML as str, or an Image. ``wait_after_loaded``: ``<n>ms`` or ``<n>s``."""

    @typing.overload
    def __call__(self, url: str, *, mode: typing.Literal['screenshot'], wait_after_loaded: str | None=...) -> Image:
        """Load a page in a browser: its text or HTML as str, or an Image. ``wait_after_loaded``: ``<n>ms`` or ``<n>s``."""

    @typing.overload
    def lazy(self, url: str, *, mode: typing.Literal['html', 'text']=..., wait_after_loaded: str | None=...) -> Lazy[str]:
        """Load a page in a browser: its text or HTML as str, or an Image. ``wait_after_loaded``: ``<n>ms`` or ``<n>s``."""

    @typing.overload
    def lazy(self, url: str, *, mode: typing.Literal['screenshot'], wait_after_loaded: str | None=...) -> Lazy[Image]:
        """Load a page in a browser: its text or HTML as str, or an Image. ``wait_after_loaded``: ``<n>ms`` or ``<n>s``."""
render: _Render
