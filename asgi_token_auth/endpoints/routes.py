"""The sub-app: each path of the wire contract, and JSON for every path that is none."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asgi_token_auth.endpoints.errors import base_error

if TYPE_CHECKING:
    from asgi_token_auth.endpoints import Endpoints

Endpoint = Callable[[Request], Awaitable[Response]]


class ContractRoute(Route):
    """A path of the wire contract; `by_method` are its endpoints."""

    def __init__(self, path: str, dispatch: Endpoint, by_method: dict[str, Endpoint]) -> None:
        self.by_method = by_method
        super().__init__(path, dispatch, methods=list(by_method))


def build_app(endpoints: "Endpoints") -> Starlette:
    """A Starlette application to be mounted where the account endpoints shall be."""
    app = Starlette(routes=build_routes(endpoints), exception_handlers={HTTPException: _http_error})
    # A redirect would send a password on to wherever the Host header says.
    app.router.redirect_slashes = False
    return app


def build_routes(endpoints: "Endpoints") -> list[ContractRoute]:
    """The routes, relative to the mount. One route a path, so that 405 can name all its methods."""
    sessions = {
        "GET": endpoints.list_sessions,
        "POST": endpoints.log_in,
        "DELETE": endpoints.log_out,
    }
    account = {
        "GET": endpoints.show_account,
        "PUT": endpoints.update_account,
        "DELETE": endpoints.delete_account,
    }
    session = {"PUT": endpoints.rename_session, "DELETE": endpoints.revoke_session}
    return [
        _route("/users", {"POST": endpoints.sign_up}),
        _route("/users/{id}/confirm", {"POST": endpoints.confirm}),
        _route("/confirmations", {"POST": endpoints.resend_confirmation}),
        _route("/sessions", sessions),
        _route("/session", sessions),
        _route("/sessions/{token_id}", session),
        _route("/password_resets", {"POST": endpoints.request_password_reset}),
        _route("/password_resets/reset", {"POST": endpoints.reset_password}),
        _route("/account", account),
        _route("/.well-known/jwks.json", {"GET": endpoints.jwks}),
        _route("/account/events", {"GET": endpoints.list_events}),
        _route("/openapi.json", {"GET": endpoints.openapi}),
    ]


def _route(path: str, by_method: dict[str, Endpoint]) -> ContractRoute:
    async def dispatch(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await by_method[method](request)

    return ContractRoute(path, dispatch, by_method)


async def _http_error(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    response = base_error(status, HTTPStatus(status).phrase)
    response.headers.update(getattr(error, "headers", None) or {})
    return response
