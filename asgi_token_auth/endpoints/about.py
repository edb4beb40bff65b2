"""What the endpoints are: /openapi.json."""

import functools
import json
from typing import TYPE_CHECKING, cast

from starlette.requests import Request
from starlette.responses import Response

from asgi_token_auth.endpoints.endpoint import EndpointGroup, endpoint
from asgi_token_auth.endpoints.errors import NO_STORE
from asgi_token_auth.endpoints.openapi import build_document
from asgi_token_auth.endpoints.routes import build_routes

if TYPE_CHECKING:
    from asgi_token_auth.endpoints import Endpoints


class AboutEndpoints(EndpointGroup):
    """What clients read before they ask for anything."""

    @endpoint
    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json"""
        return Response(self._document, media_type="application/json", headers=NO_STORE)

    @functools.cached_property
    def _document(self) -> bytes:
        routes = build_routes(cast("Endpoints", self))  # of which this class is a part
        return json.dumps(build_document(routes, self._parts)).encode()
