"""What each endpoint takes and gives, under the endpoint's name.

`body` and `answer` name schemas of `request_schemas.py` and `answer_schemas.py`. What every
endpoint of its kind can answer (no token, no JSON, too much) is not written here but follows in
`responses.py`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from asgi_token_auth.accounts.account import delete_account, update_account
from asgi_token_auth.accounts.confirm import confirm
from asgi_token_auth.accounts.events import HIGHEST_ID
from asgi_token_auth.accounts.log_in import log_in
from asgi_token_auth.accounts.mail_request import request_password_reset, resend_confirmation
from asgi_token_auth.accounts.reset_password import reset_password
from asgi_token_auth.accounts.sessions import SCOPES
from asgi_token_auth.accounts.sign_up import sign_up
from asgi_token_auth.endpoints.bodies import FORM, JSON

Schema = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation:
    """An endpoint, as its clients see it.

    Args:
        tag: what it is about.
        summary: what it does, in a few words.
        answer: the schema of a 200.
        description: what else a client must know.
        body: the schema of the request's body; None: it has none.
        body_type, answer_type: their media types.
        bearer: whether it needs a token.
        refusals: by status, the answers of `responses.py` that no other endpoint of its kind has.
        path: a schema for each name in the path.
        query: a schema for each parameter of the query, none of which is required.
        does: the operation behind it, where attempts may be counted.
        serves: whether it does work, and so may be asked for too much of it.
        links: what a client may do with the answer (OpenAPI's Link Objects).
        cacheable: whether a 200 is for caches.
    """

    tag: str
    summary: str
    answer: str
    description: str = ""
    body: str | None = None
    body_type: str = JSON
    answer_type: str = JSON
    bearer: bool = False
    refusals: Mapping[int, str] = dataclasses.field(default_factory=dict)
    path: Mapping[str, Schema] = dataclasses.field(default_factory=dict)
    query: Mapping[str, Schema] = dataclasses.field(default_factory=dict)
    does: Callable[..., Any] | None = None
    serves: bool = True
    links: Mapping[str, Schema] = dataclasses.field(default_factory=dict)
    cacheable: bool = False


OPERATIONS: Mapping[str, Operation] = {
    "sign_up": Operation(
        tag="users",
        does=sign_up,
        summary="Create an account",
        description="By e-mail address: the confirmation token is mailed, and there is no login"
        " before it is used. By username alone: confirmed at once.",
        body="SignUp",
        answer="Ok",
    ),
    "confirm": Operation(
        tag="users",
        does=confirm,
        summary="Confirm an e-mail address with its mailed token, and log in",
        description="A new account's address, or the one that an account changes to.",
        path={"id": {"$ref": "#/components/schemas/UserId"}},
        body="Confirmation",
        answer="TokenReply",
    ),
    "resend_confirmation": Operation(
        tag="users",
        does=resend_confirmation,
        summary="Mail the confirmation token again",
        body="Address",
        answer="Ok",
    ),
    "log_in": Operation(
        tag="sessions",
        does=log_in,
        summary="Log in with a password",
        body="Credentials",
        answer="TokenReply",
        refusals={401: "LoginRefused"},
    ),
    "token": Operation(
        tag="sessions",
        does=log_in,
        summary="Log in with a form, as OAuth 2 clients do",
        description="The password grant of RFC 6749, section 4.3, for tools of one's own, such as"
        " the Authorize of Swagger UI. `username` is the e-mail address or the username. A client's"
        " id and secret are not looked at. A browser's form of another origin is refused.",
        body="PasswordGrant",
        body_type=FORM,
        answer="TokenReply",
    ),
    "list_sessions": Operation(
        tag="sessions",
        summary="List one's own live tokens, newest first",
        bearer=True,
        answer="Sessions",
        links={
            "revoke_session": {
                "operationId": "revoke_session",
                "parameters": {"token_id": "$response.body#/sessions/0/id"},
            }
        },
    ),
    "log_out": Operation(
        tag="sessions",
        summary="End the request's token, the others, or all",
        bearer=True,
        query={"scope": {"type": "string", "enum": list(SCOPES), "default": "current"}},
        answer="Ok",
    ),
    "rename_session": Operation(
        tag="sessions",
        summary="Name one of one's own tokens",
        description="So that its owner knows it in the list.",
        bearer=True,
        path={"token_id": {"type": "string", "minLength": 1}},
        body="SessionChange",
        answer="Ok",
    ),
    "revoke_session": Operation(
        tag="sessions",
        summary="End one of one's own tokens",
        description="Named by its id in the list, or by its `token_id` claim.",
        bearer=True,
        path={"token_id": {"type": "string", "minLength": 1}},
        answer="Ok",
    ),
    "request_password_reset": Operation(
        tag="passwords",
        does=request_password_reset,
        summary="Mail a token for choosing a new password",
        body="Address",
        answer="Ok",
    ),
    "reset_password": Operation(
        tag="passwords",
        does=reset_password,
        summary="Choose a new password with the mailed token, and log in",
        description="Confirms the account, and ends every token that it had before.",
        body="PasswordReset",
        answer="TokenReply",
    ),
    "show_account": Operation(
        tag="account",
        summary="Show one's own account",
        bearer=True,
        answer="AccountReply",
    ),
    "update_account": Operation(
        tag="account",
        does=update_account,
        summary="Change one's own account",
        description="What is blank or null among email, username and password stays as it is. A new"
        " e-mail address counts once it is confirmed with the token that is mailed there. A new"
        " password ends all other tokens.",
        bearer=True,
        body="AccountUpdate",
        answer="Ok",
    ),
    "delete_account": Operation(
        tag="account",
        does=delete_account,
        summary="Delete one's own account",
        bearer=True,
        body="PasswordProof",
        answer="Ok",
    ),
    "list_events": Operation(
        tag="account",
        summary="List what happened to one's own account, newest first",
        description="At most 100; with `before`, those earlier than the event of that id.",
        bearer=True,
        query={"before": {"type": "integer", "minimum": 0, "maximum": HIGHEST_ID}},
        answer="Events",
    ),
    "jwks": Operation(
        tag="about",
        summary="The public keys that verify the tokens (RFC 7517)",
        answer="Keys",
        serves=False,
        cacheable=True,
    ),
    "openapi": Operation(
        tag="about",
        summary="This document",
        answer="OpenApi",
        serves=False,
    ),
    "docs": Operation(
        tag="about",
        summary="This document as a page",
        answer="Page",
        answer_type="text/html",
        serves=False,
    ),
}

TAGS: Mapping[str, str] = {
    "users": "New accounts, and the confirmation of their e-mail addresses.",
    "sessions": "Logging in and out. A session is a token that is alive.",
    "passwords": "Choosing a new password without the old one.",
    "account": "The account of the user whose token comes with the request.",
    "about": "The service itself.",
}
