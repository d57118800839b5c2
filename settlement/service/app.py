"""The HTTP application: errors as JSON, who may ask, and what was asked."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from pygenvm.modules.listening import authority, names_loopback
from pygenvm.modules.log import Logger
from pygenvm.settlement.core.vm import CoreVM
from pygenvm.settlement.service import core_routes, limits, routes
from pygenvm.settlement.service.metrics import Metrics
from pygenvm.settlement.service.node import Node
from pygenvm.settlement.service.requests import RequestError, refused
from pygenvm.settlement.state.store import StoreError
from pygenvm.settlement.types.block_errors import BlockError, BlockRefusal
from pygenvm.settlement.types.errors import QuorumError, Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOG_TARGET: Final = "genvm_settlement::http"
#: Without a token: whether the process lives is no secret.
_OPEN: Final = frozenset({"/health"})
_NOT_FOUND: Final = frozenset(
    {Refusal.ErrTaskUnknown, Refusal.ErrReceiptNotFound, Refusal.ErrProofOutOfRange, Refusal.ErrOperatorUnknown}
)
_CONFLICTS: Final = frozenset({BlockRefusal.ErrTransactionKnown, BlockRefusal.ErrTransactionNonce})


def make_app(
    node: Node, metrics: Metrics, log: Logger, *, on_demand: bool, token: str | None = None, loopback: bool = True
) -> web.Application:
    """
    :param on_demand: clients may ask for blocks.
    :param token: what ``Authorization: Bearer`` must hold; None: everybody who reaches the socket may ask.
    :param loopback: the socket is on a loopback address, so ``Host`` must be one too: a web page that has its own
        name point here (DNS rebinding) is refused.
    """
    app = web.Application(client_max_size=limits.BODY_BYTES, middlewares=[_middleware(metrics, log, token, loopback)])
    routes.add_routes(app, node, metrics, on_demand=on_demand)
    core_routes.add_routes(app, node.chain_id, CoreVM())
    return app


def _middleware(metrics: Metrics, log: Logger, token: str | None, loopback: bool) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = _refusal(request, token, loopback)
        response = refusal if refusal is not None else await _answer(log, request, handler)
        route = request.match_info.route.resource
        metrics.answered(route.canonical if route is not None else "other", response.status)
        return response

    return middleware


async def _answer(log: Logger, request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestError as error:
        return refused(str(error), error.status, error.name)
    except QuorumError as error:
        return refused(str(error), 404 if error.refusal in _NOT_FOUND else 400, error.name)
    except BlockError as error:
        return refused(str(error), _status(error.refusal), error.name)
    except web.HTTPNotFound:
        return refused("Not Found", 404)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return refused(f"method {request.method} is not for this path; {allowed} is", 405)
    except web.HTTPException as error:
        return refused(error.reason, error.status)
    except StoreError as error:
        log.error("the state could not be used", path=request.path, error=error)
        return refused("the state cannot be read or written at the moment", 503)
    except Exception as error:
        log.error("request failed", path=request.path, method=request.method, error=error)
        return refused(f"internal error of the service: {type(error).__name__}", 500)


def _status(refusal: BlockRefusal) -> int:
    if refusal is BlockRefusal.ErrTransactionPoolFull:
        return 503
    return 409 if refusal in _CONFLICTS else 400


def _refusal(request: web.Request, token: str | None, loopback: bool) -> web.Response | None:
    """Why this request is not answered, if it is not."""
    host = request.headers.get("Host", "")
    if loopback and not names_loopback(host):
        return refused(f"the service is not called {host[:80]!r}; use a loopback address", 403)
    origin = request.headers.get("Origin")
    if origin is not None and authority(origin) != host:
        return refused("web pages from elsewhere may not use the service", 403)
    if token is not None and request.path not in _OPEN:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
            response = refused("a bearer token is needed", 401)
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
    return None
