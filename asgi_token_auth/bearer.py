"""Bearer tokens on the wire (RFC 6750): reading them, and refusing."""

from collections.abc import Iterable, Sequence

from asgi_token_auth.exceptions import MalformedCredentials, MissingToken, TokenRefused

REALM = "api"
AUTHORIZATION = b"authorization"
SUBPROTOCOL = "bearer"


def read_authorization(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The one Authorization header.

    Raises:
        MissingToken: there is none.
        MalformedCredentials: there are several.
    """
    found = None
    for name, value in headers:
        if name == AUTHORIZATION:  # ASGI has all names in lower case
            if found is not None:
                # Which one counts, a proxy in front may see otherwise than we do.
                raise MalformedCredentials("More than one Authorization header")
            found = value
    if found is None:
        raise MissingToken
    return found


def parse_bearer(header: bytes) -> bytes:
    """The token of an Authorization header; the scheme in any case (RFC 9110, 11.1).

    Raises:
        MissingToken: it is of another scheme.
        MalformedCredentials: it is not `Bearer` and one token.
    """
    scheme, _, token = header.strip(b" \t").partition(b" ")
    if scheme.lower() != b"bearer":
        raise MissingToken
    token = token.strip(b" ")
    if not token or not token.isascii() or b" " in token:
        raise MalformedCredentials
    return token


def take_subprotocol(offered: Sequence[str]) -> tuple[bytes | None, list[str]]:
    """The token among the subprotocols that a browser offers, and those that are left.

    Browsers can't set headers on a WebSocket: they offer `bearer`, and then the token.

    Raises:
        MalformedCredentials: nothing comes after `bearer`.
    """
    if SUBPROTOCOL not in offered:
        return None, list(offered)
    place = list(offered).index(SUBPROTOCOL)
    if place + 1 == len(offered):
        raise MalformedCredentials("No token after the subprotocol bearer")
    rest = [*offered[:place], *offered[place + 2 :]]
    return offered[place + 1].encode("ascii", "replace"), rest


def challenge(refusal: TokenRefused) -> str:
    """The WWW-Authenticate header for a refusal (RFC 6750, section 3).

    A request with no credentials is told no error code, only how to authenticate.
    """
    if isinstance(refusal, MissingToken):
        return f'Bearer realm="{REALM}"'
    error = "invalid_request" if isinstance(refusal, MalformedCredentials) else "invalid_token"
    return f'Bearer realm="{REALM}", error="{error}", error_description="{refusal}"'
