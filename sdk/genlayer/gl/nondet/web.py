"""Web requests and page rendering (spec sdk/01 §3.6)."""

__all__ = ("Response", "delete", "get", "head", "patch", "post", "render", "request")

import dataclasses
import typing
from collections.abc import Mapping

from ...py.types import Lazy
from .._internal.gl_call import gl_call_generic, lazy_api
from ._answer import Image, _decode_nondet

type Method = typing.Literal["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"]
type Body = str | bytes | None
type Headers = Mapping[str, str | bytes]

_NO_HEADERS: Headers = {}


@dataclasses.dataclass
class Response:
    """Answer of a web server."""

    status: int
    headers: dict[str, bytes]
    body: bytes | None


def _encoded[T](value: str | T) -> bytes | T:
    return value.encode("utf-8") if isinstance(value, str) else value


def _decode_response(data: bytes) -> Response:
    response = _decode_nondet(data)["response"]
    return Response(status=response["status"], headers=response["headers"], body=response["body"])


@lazy_api
def request(url: str, *, method: Method, body: Body = None, headers: Headers = _NO_HEADERS) -> Lazy[Response]:
    """Send a request. Text in body and header values is UTF-8 encoded."""
    return gl_call_generic(
        {
            "WebRequest": {
                "url": url,
                "method": method,
                "headers": {name: _encoded(value) for name, value in headers.items()},
                "body": _encoded(body),
            }
        },
        _decode_response,
    )


@lazy_api
def get(url: str, *, headers: Headers = _NO_HEADERS) -> Lazy[Response]:
    return request.lazy(url, method="GET", headers=headers)


@lazy_api
def post(url: str, *, body: Body = None, headers: Headers = _NO_HEADERS) -> Lazy[Response]:
    return request.lazy(url, method="POST", body=body, headers=headers)


@lazy_api
def delete(url: str, *, body: Body = None, headers: Headers = _NO_HEADERS) -> Lazy[Response]:
    return request.lazy(url, method="DELETE", body=body, headers=headers)


@lazy_api
def head(url: str, *, body: Body = None, headers: Headers = _NO_HEADERS) -> Lazy[Response]:
    return request.lazy(url, method="HEAD", body=body, headers=headers)


@lazy_api
def patch(url: str, *, body: Body = None, headers: Headers = _NO_HEADERS) -> Lazy[Response]:
    return request.lazy(url, method="PATCH", body=body, headers=headers)


def _decode_render(data: bytes) -> typing.Any:
    content = _decode_nondet(data)
    if "image" not in content:
        return content["text"]
    import io

    import PIL.Image

    raw: bytes = content["image"]
    return Image(raw=raw, pil=PIL.Image.open(io.BytesIO(raw)))


@typing.overload
def render(
    url: str, *, mode: typing.Literal["html", "text"] = "text", wait_after_loaded: str | None = None
) -> Lazy[str]: ...
@typing.overload
def render(
    url: str, *, mode: typing.Literal["screenshot"], wait_after_loaded: str | None = None
) -> Lazy[Image]: ...
@lazy_api
def render(
    url: str,
    *,
    mode: typing.Literal["html", "text", "screenshot"] = "text",
    wait_after_loaded: str | None = None,
) -> Lazy[typing.Any]:
    """Load a page in a browser: its text or HTML as str, or an Image. ``wait_after_loaded``: ``<n>ms`` or ``<n>s``."""
    return gl_call_generic(
        {"WebRender": {"url": url, "mode": mode, "wait_after_loaded": wait_after_loaded or "0ms"}}, _decode_render
    )
