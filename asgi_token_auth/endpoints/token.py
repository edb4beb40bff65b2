"""Logging in with a form, as OAuth 2 clients do: /token."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asgi_token_auth.accounts.fields import normalised_email
from asgi_token_auth.accounts.log_in import log_in
from asgi_token_auth.endpoints.bodies import BadBody, read_form
from asgi_token_auth.endpoints.endpoint import EndpointGroup, refusing_by, token_reply
from asgi_token_auth.endpoints.errors import NO_STORE, Refused, error_response
from asgi_token_auth.exceptions import InvalidFields, LoginRefused

NO_CACHE = {"Pragma": "no-cache"}  # RFC 6749, section 5.1, wants it beside Cache-Control
# Not on a request to another origin that no preflight has admitted. Authorization may be: browsers
# add the Basic credentials that they remember of an origin, such as those before a site that is not
# open yet, also to a form of another site (Fetch standard, HTTP-network-or-cache fetch).
PREFLIGHTED = "x-requested-with"


class BadGrant(BadBody):
    """A request that RFC 6749, section 5.2, has a code for: `error`."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(400, message)
        self.error = error


def refuse_grant(error: Refused) -> Response:
    """The answers of RFC 6749, section 5.2, where it has one; else those of every endpoint."""
    described = _described(error)
    if described is None:
        return error_response(error)
    content = {"error": described[0], "error_description": described[1]}
    return JSONResponse(content, 400, {**NO_STORE, **NO_CACHE})


class TokenEndpoints(EndpointGroup):
    """OAuth 2's way to a token."""

    @refusing_by(refuse_grant)
    async def token(self, request: Request) -> Response:
        """POST /token: the password grant of RFC 6749, section 4.3, for tools of one's own that
        know no other login, such as the Authorize of Swagger UI.

        RFC 9700, section 2.4, and OAuth 2.1 drop this grant, as it hands the password to the
        client; a client of one's own is handed it anyway. For third parties there is nothing here.
        `disabled_endpoints={"token"}` leaves it out.

        It is the login of POST /sessions: its limits, its events, its time. Clients are public:
        an id or a secret is not looked at, in the form or as `Basic`.
        """
        _refuse_other_sites(request)
        form = await read_form(request, self._parts.settings.maximum_body_bytes)
        credentials = self._credentials(form)
        reply = token_reply(await log_in(self._parts, credentials, self._client(request)))
        reply.headers.update(NO_CACHE)
        return reply

    def _credentials(self, form: dict[str, str]) -> dict[str, str]:
        missing = [name for name in ("grant_type", "username", "password") if name not in form]
        if missing:
            raise BadGrant("invalid_request", f"{', '.join(missing)} can't be blank")
        if form["grant_type"] != "password":
            raise BadGrant("unsupported_grant_type", "The only grant_type is password")
        if "scope" in form:
            # Without a word, the client would take its token for one that has the scope.
            raise BadGrant("invalid_scope", "There are no scopes")
        return {self._name_of(form["username"]): form["username"], "password": form["password"]}

    def _name_of(self, login: str) -> str:
        """What the one field for the login holds; a username may have an @ in it, too."""
        users = self._parts.users
        if not users.has_username:
            return "email"
        is_email = users.has_email and normalised_email(login) is not None
        return "email" if is_email else "username"


def _refuse_other_sites(request: Request) -> None:
    """A form needs no preflight, so any page could have its visitors' browsers guess passwords
    here, each from an address that has its attempts left, or use up the attempts of their networks.
    JSON endpoints are spared that by their content type. So what a browser sends here of another
    origin is taken only if the application's CORS policy has admitted it, by a header that is not
    sent before. (There is no login CSRF: the answer sets no cookie.)

    Sec-Fetch-Site is sent over TLS and from localhost only, hence Origin.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        is_own = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if not is_own and PREFLIGHTED not in request.headers:
        raise BadGrant("invalid_request", "A form of another origin is not taken")


def _described(error: Refused) -> tuple[str, str] | None:
    """The code and the words of RFC 6749, section 5.2; None: it has none."""
    if isinstance(error, BadGrant):
        return error.error, error.message
    if isinstance(error, BadBody):
        return ("invalid_request", error.message) if error.status == 400 else None
    if isinstance(error, InvalidFields):
        named = {"email": "username"}  # by which it came
        faults = [f"{named.get(name, name)} {fault}" for name, fault in error.errors.items()]
        return "invalid_request", ", ".join(faults)
    return ("invalid_grant", str(error)) if isinstance(error, LoginRefused) else None
