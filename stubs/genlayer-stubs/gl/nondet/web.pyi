# Generated from the SDK by `python -m runners.stubs`.
"""Web requests and page rendering (spec sdk/01 §3.6)."""
__all__ = ('Response', 'delete', 'get', 'head', 'patch', 'post', 'render', 'request')
import dataclasses
import typing
from collections.abc import Mapping
from ...py.types import Lazy
from .._internal.gl_call import gl_call_lazy, lazy_api
from ._answer import Image, decode_answer
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

@lazy_api
def request(url: str, *, method: Method, body: Body=..., headers: Headers=...) -> Lazy[Response]:
    """Send a request. Text in body and header values is UTF-8 encoded."""

@lazy_api
def get(url: str, *, headers: Headers=...) -> Lazy[Response]:
    ...

@lazy_api
def post(url: str, *, body: Body=..., headers: Headers=...) -> Lazy[Response]:
    ...

@lazy_api
def delete(url: str, *, body: Body=..., headers: Headers=...) -> Lazy[Response]:
    ...

@lazy_api
def head(url: str, *, body: Body=..., headers: Headers=...) -> Lazy[Response]:
    ...

@lazy_api
def patch(url: str, *, body: Body=..., headers: Headers=...) -> Lazy[Response]:
    ...

@lazy_api
def render(url: str, *, mode: typing.Literal['html', 'text', 'screenshot']=..., wait_after_loaded: str | None=...) -> Lazy[typing.Any]:
    """Load a page in a browser: its text or HTML as str, or an Image. ``wait_after_loaded``: ``<n>ms`` or ``<n>s``."""
