"""What the endpoints are: /openapi.json for programs, /docs for people."""

import functools
import json
import re
import secrets
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from asgi_token_auth.endpoints.endpoint import EndpointGroup, endpoint
from asgi_token_auth.endpoints.errors import NO_STORE
from asgi_token_auth.endpoints.openapi import DocumentationPage, build_document, with_token_url
from asgi_token_auth.endpoints.routes import build_routes

if TYPE_CHECKING:
    from asgi_token_auth.endpoints import Endpoints

HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?")


class AboutEndpoints(EndpointGroup):
    """What clients read before they ask for anything."""

    @endpoint
    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json"""
        place, content = self._serialised
        token_url = f"{_path_above(request)}/token".encode()  # quoted: nothing for JSON to escape
        content = content.replace(place, token_url)
        return Response(content, headers=NO_STORE, media_type="application/json")

    @endpoint
    async def docs(self, request: Request) -> Response:
        """GET /docs"""
        path = _path_above(request)
        page = self._page.render(f"{_origin(request)}{path}", path)
        return HTMLResponse(page, headers={**NO_STORE, **self._page.headers})

    @functools.cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document of the endpoints, as it is whatever they are mounted under."""
        endpoints = cast("Endpoints", self)  # of which this class is a part
        routes = build_routes(endpoints, self._parts.settings.disabled_endpoints)
        return build_document(routes, self._parts)

    @functools.cached_property
    def _serialised(self) -> tuple[bytes, bytes]:
        """A place that is to be replaced, and the document's JSON with it for a `tokenUrl`: to
        write all of it takes a millisecond, and anybody may ask for it."""
        place = f"place{secrets.token_hex(16)}"
        document = with_token_url(self.document, place)
        return place.encode(), json.dumps(document, separators=(",", ":")).encode()

    @functools.cached_property
    def _page(self) -> DocumentationPage:
        return DocumentationPage(self.document)


def _path_above(request: Request) -> str:
    """What the request's path is under, root path and mount with it: the server `.` of the
    document. `request.url` has it too, but for queries that are not UTF-8."""
    return quote(request.scope["path"].rpartition("/")[0], errors="replace")


def _origin(request: Request) -> str:
    """Where the reader found the page: by the Host header, which a shell is to read as it stands,
    so whatever can be no host is left out."""
    host = request.headers.get("host", "")
    name = host if HOST.fullmatch(host) else "localhost"
    return f"{request.scope.get('scheme', 'http')}://{name}"
