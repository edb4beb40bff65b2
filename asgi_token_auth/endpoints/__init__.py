"""The account endpoints: JSON in, one call into accounts, JSON out."""

from asgi_token_auth.endpoints.about import AboutEndpoints
from asgi_token_auth.endpoints.account import AccountEndpoints
from asgi_token_auth.endpoints.operations import OperationsEndpoints
from asgi_token_auth.endpoints.passwords import PasswordEndpoints
from asgi_token_auth.endpoints.sessions import SessionEndpoints
from asgi_token_auth.endpoints.token import TokenEndpoints
from asgi_token_auth.endpoints.users import UserEndpoints


class Endpoints(
    UserEndpoints,
    SessionEndpoints,
    TokenEndpoints,
    PasswordEndpoints,
    AccountEndpoints,
    OperationsEndpoints,
    AboutEndpoints,
):
    """Every endpoint by its name, each fit for an own `Route`."""
