"""For machines beside the service: the keys that verify its tokens, and whether it is ready."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asgi_token_auth.accounts.readiness import readiness
from asgi_token_auth.endpoints.endpoint import EndpointGroup, endpoint, ok
from asgi_token_auth.exceptions import DatabaseUnavailable, HashingOverloaded

# Short: a new key is published before it signs, by one deployment (docs/key_rotation.md).
JWKS_HEADERS = {"Cache-Control": "public, max-age=300"}


class OperationsEndpoints(EndpointGroup):
    """What others ask about the service itself."""

    @endpoint
    async def jwks(self, request: Request) -> Response:
        """GET /.well-known/jwks.json: the public keys (RFC 7517, section 5)."""
        return JSONResponse({"keys": self._parts.signer.published_keys()}, headers=JWKS_HEADERS)

    @endpoint
    async def ready(self, request: Request) -> Response:
        """Whether to send requests here. It asks the database, so it is in no route by itself."""
        state = await readiness(self._parts)
        if not state.database:
            raise DatabaseUnavailable
        if not state.hashing:
            raise HashingOverloaded
        return ok()
