"""The HTTP application: errors as JSON, who may ask, and what was asked (spec modules/04 §2)."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from pygenvm.manager import limits
from pygenvm.manager.core import Manager
from pygenvm.manager.errors import RequestError
from pygenvm.manager.requests import BODIES, Bodies, answer
from pygenvm.manager.routes import contracts, operations, page, runs
from pygenvm.modules.listening import authority, names_loopback

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOG_TARGET = "genvm_modules::manager"
_MANAGER = web.AppKey("manager", Manager)
#: Without a token: whether the process lives is no secret, and neither are the page's own files, which ask for it.
_OPEN = frozenset({"/health/live", "/", "/docs", "/openapi.json"})
_OPEN_FOLDERS = ("/page/", "/pages/")


def make_app(manager: Manager, *, token: str | None = None, loopback: bool = True) -> web.Application:
    """
    :param token: what ``Authorization: Bearer`` must hold; None: everybody who reaches the socket may ask.
    :param loopback: the socket is on a loopback address, so ``Host`` must be one too: a web page that has its own
        name point here (DNS rebinding) is refused.
    """
    app = web.Application(client_max_size=limits.BODY_BYTES, middlewares=[_middleware(manager, token, loopback)])
    app[_MANAGER] = manager
    app[BODIES] = Bodies()
    for part in (runs, contracts, operations, page):
        part.add_routes(app, manager)
    return app


def _middleware(manager: Manager, token: str | None, loopback: bool) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = _refusal(request, token, loopback)
        response = refusal if refusal is not None else await _answer(manager, request, handler)
        route = request.match_info.route.resource
        manager.metrics.answered(route.canonical if route is not None else "other", response.status)
        return response

    return middleware


async def _answer(manager: Manager, request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestError as error:
        return answer({"error": str(error)}, 500)
    except web.HTTPNotFound:
        return answer({"error": "Not Found"}, 404)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return answer({"error": f"method {request.method} is not for this path; {allowed} is"}, 500)
    except web.HTTPException as error:
        return answer({"error": error.reason}, error.status)
    except Exception as error:
        manager.log.error("request failed", path=request.path, method=request.method, error=error)
        return answer({"error": f"internal error of the manager: {type(error).__name__}"}, 500)
    finally:
        request.app[BODIES].release(request)


def _refusal(request: web.Request, token: str | None, loopback: bool) -> web.Response | None:
    """Why this request is not answered, if it is not."""
    host = request.headers.get("Host", "")
    if loopback and not names_loopback(host):
        return answer({"error": f"the manager is not called {host[:80]!r}; use a loopback address"}, 403)
    is_open = request.path in _OPEN or request.path.startswith(_OPEN_FOLDERS)
    origin = request.headers.get("Origin")
    # Images and links of pages send no Origin, but reading a status removes it.
    site = request.headers.get("Sec-Fetch-Site", "none")
    if (origin is not None and authority(origin) != host) or (site not in ("none", "same-origin") and not is_open):
        return answer({"error": "web pages from elsewhere may not use the manager"}, 403)
    if token is not None and not is_open:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
            return web.Response(
                body=b'{"error":"a bearer token is needed"}',
                status=401,
                content_type="application/json",
                headers={"WWW-Authenticate": "Bearer"},
            )
    return None


def quiet_access_log() -> None:
    """What clients do wrong below HTTP is no affair of the log."""
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
