"""The sub-app: each path of the wire contract, and JSON for every path that is none."""

from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asgi_token_auth.endpoints.errors import base_error
from asgi_token_auth.exceptions import SettingsError

if TYPE_CHECKING:
    from asgi_token_auth.endpoints import Endpoints

Endpoint = Callable[[Request], Awaitable[Response]]


class ContractRoute(Route):
    """A path of the wire contract; `by_method` are its endpoints."""

    def __init__(self, path: str, dispatch: Endpoint, by_method: dict[str, Endpoint]) -> None:
        self.by_method = by_method
        super().__init__(path, dispatch, methods=list(by_method))


def build_app(endpoints: "Endpoints", disabled: Collection[str] = ()) -> Starlette:
    """A Starlette application to be mounted where the account endpoints shall be.

    Raises:
        SettingsError: a name in `disabled` is no endpoint's.
    """
    routes = build_routes(endpoints, disabled)
    app = Starlette(routes=routes, exception_handlers={HTTPException: _http_error})
    # A redirect would send a password on to wherever the Host header says.
    app.router.redirect_slashes = False
    return app


def build_routes(endpoints: "Endpoints", disabled: Collection[str] = ()) -> list[ContractRoute]:
    """The routes, relative to the mount, but for endpoints of those names. One route a path, so
    that 405 can name all its methods.

    Raises:
        SettingsError: there is no such endpoint.
    """
    routes = _all_routes(endpoints)
    names = {each.__name__ for route in routes for each in route.by_method.values()}
    if unknown := sorted({*disabled} - names):
        raise SettingsError(f"disabled_endpoints are unknown: {', '.join(unknown)}")
    enabled = [(route.path, _without(disabled, route.by_method)) for route in routes]
    return [_route(path, by_method) for path, by_method in enabled if by_method]


def _without(disabled: Collection[str], by_method: dict[str, Endpoint]) -> dict[str, Endpoint]:
    return {
        method: endpoint
        for method, endpoint in by_method.items()
        if endpoint.__name__ not in disabled
    }


def _all_routes(endpoints: "Endpoints") -> list[ContractRoute]:
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
        _route("/token", {"POST": endpoints.token}),
        _route("/password_resets", {"POST": endpoints.request_password_reset}),
        _route("/password_resets/reset", {"POST": endpoints.reset_password}),
        _route("/account", account),
        _route("/.well-known/jwks.json", {"GET": endpoints.jwks}),
        _route("/account/events", {"GET": endpoints.list_events}),
        _route("/openapi.json", {"GET": endpoints.openapi}),
        _route("/docs", {"GET": endpoints.docs}),
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
