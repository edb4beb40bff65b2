"""Bearer tokens on the wire (RFC 6750): reading the header, and refusing."""

from collections.abc import Iterable

from asgi_token_auth.exceptions import MalformedCredentials, MissingToken, TokenRefused

REALM = "api"


def read_bearer(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The token in the one Authorization header.

    Raises:
        MissingToken: there is no such header, or it is of another scheme.
        MalformedCredentials: there are several, or it is not `Bearer` and one token.
    """
    found = [value for name, value in headers if name.lower() == b"authorization"]
    if not found:
        raise MissingToken
    if len(found) > 1:
        # Which one counts, a proxy in front may see otherwise than we do.
        raise MalformedCredentials("More than one Authorization header")
    scheme, _, token = found[0].strip(b" \t").partition(b" ")
    if scheme.lower() != b"bearer":
        raise MissingToken
    token = token.strip(b" ")
    if not token or not token.isascii() or b" " in token:
        raise MalformedCredentials
    return token.decode("ascii")


def challenge(refusal: TokenRefused) -> str:
    """The WWW-Authenticate header for a refusal (RFC 6750, section 3).

    A request with no credentials is told no error code, only how to authenticate.
    """
    if isinstance(refusal, MissingToken):
        return f'Bearer realm="{REALM}"'
    error = "invalid_request" if isinstance(refusal, MalformedCredentials) else "invalid_token"
    return f'Bearer realm="{REALM}", error="{error}", error_description="{refusal}"'
