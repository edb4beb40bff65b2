"""POST /token: the login of POST /sessions, asked for and refused as RFC 6749 has it."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import sqlalchemy as sa
from async_chromium import chromium
from conftest import Service, ServiceFactory, running_service
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from test_openapi import UUID_KEY
from test_swagger import served

from asgi_token_auth import Limits

ADDRESS_KEY = sa.Table(
    "people",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("email", sa.String(320), unique=True),
    sa.Column("hashed_password", sa.Text, nullable=False),
    sa.Column("confirmed_at", sa.BigInteger),
)
FORM = "application/x-www-form-urlencoded"
GOOD = {"grant_type": "password", "username": "ada@example.com", "password": "secret"}


@pytest.fixture
async def ada(sqlite_url: str) -> AsyncIterator[Service]:
    """A service that Ada has an account at, by e-mail address and by username."""
    async with running_service(sqlite_url) as service:
        await service.sign_up("ada@example.com", username="ada")
        await service.confirm("ada@example.com")
        yield service


async def post(service: Service, form: Any, **headers: str) -> httpx.Response:
    """The answer to a form: fields, or a body as it stands."""
    body = urlencode(form) if isinstance(form, dict) else form
    given = {"Content-Type": FORM, **{name.replace("_", "-"): it for name, it in headers.items()}}
    return await service.client.post("/api/token", content=body, headers=given)


async def test_it_is_the_login_of_sessions(service: Service) -> None:
    """By address or username, with the same reply; the token is good, listed and in the trail."""
    await service.sign_up("ada@example.com", username="ada")
    await service.confirm("ada@example.com")
    other = (await service.log_in()).json()

    for username in ("ada@example.com", " ADA@example.com", "ada", "Ada"):
        answer = await post(service, {**GOOD, "username": username})
        assert answer.status_code == (200 if username != "Ada" else 400), username
        if answer.is_success:
            reply = answer.json()
            assert reply.keys() == other.keys()
            assert (reply["token_type"], reply["id"]) == ("bearer", other["id"])
            assert reply["access_token"] == reply["token"]
            assert await service.is_good(reply["access_token"])
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    listed = await service.call("GET", "/api/sessions", token=other["token"])
    assert len(listed.json()["sessions"]) == 5
    events = (await service.call("GET", "/api/account/events", token=other["token"])).json()
    assert [event["event"] for event in events["events"]].count("logged_in") == 4


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({**GOOD, "password": "wrong one"}, "invalid_grant"),
        ({**GOOD, "username": "nobody@example.com"}, "invalid_grant"),
        ({**GOOD, "username": "nobody"}, "invalid_grant"),
        ({**GOOD, "username": "a@b@c"}, "invalid_grant"),
        ({**GOOD, "grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({**GOOD, "grant_type": "Password"}, "unsupported_grant_type"),
        ({**GOOD, "scope": "admin"}, "invalid_scope"),
        ({**GOOD, "grant_type": ""}, "invalid_request"),
        ({**GOOD, "username": ""}, "invalid_request"),
        ({**GOOD, "username": " "}, "invalid_request"),
        ({**GOOD, "password": ""}, "invalid_request"),
        ({**GOOD, "username": "a\0"}, "invalid_request"),
        ({**GOOD, "password": "\0"}, "invalid_request"),
        ({**GOOD, "password": "x" * 1025}, "invalid_request"),
        ({"username": "ada", "password": "secret"}, "invalid_request"),
        ({}, "invalid_request"),
        (b"", "invalid_request"),
        (urlencode(GOOD) + "&password=other", "invalid_request"),
        (urlencode(GOOD) + "&x=1&x=1", "invalid_request"),
        (urlencode(GOOD) + "&client_id", "invalid_request"),
        (urlencode(GOOD) + "&" + "&".join(f"x{n}=1" for n in range(40)), "invalid_request"),
        (urlencode({**GOOD, "password": b"\xff"}), "invalid_request"),
        (urlencode({**GOOD, "username": b"\xed\xa0\x80"}), "invalid_request"),
        (b"grant_type=password&username=ada&password=\xff", "invalid_request"),
        ("\ufeff" + urlencode(GOOD), "invalid_request"),
        ('{"grant_type": "password"}', "invalid_request"),
    ],
)
async def test_what_is_wrong_is_told_as_rfc_6749_has_it(
    ada: Service, form: Any, error: str
) -> None:
    """400 with a code, and words in the characters that 5.2 allows."""
    answer = await post(ada, form)

    assert (answer.status_code, answer.json()["error"]) == (400, error), answer.text
    assert re.fullmatch(r"[ !#-\[\]-~]+", answer.json()["error_description"])
    assert answer.headers["cache-control"] == "no-store"


async def test_refusals_of_a_login_are_in_its_words(ada: Service) -> None:
    """Unknown, wrong and unconfirmed say what POST /sessions says."""
    await ada.sign_up("eve@example.com")
    for email, password in (("ada@example.com", "wrong one"), ("eve@example.com", "secret")):
        there = (await ada.log_in(email, password)).json()["errors"]["base"]
        here = (await post(ada, {**GOOD, "username": email, "password": password})).json()
        assert here == {"error": "invalid_grant", "error_description": there}


async def test_a_body_that_is_no_form_is_answered_as_elsewhere(ada: Service) -> None:
    """415 and 413 are about HTTP, and not about the grant."""
    for content_type in ("application/json", "multipart/form-data; boundary=x", "text/plain", ""):
        answer = await post(ada, GOOD, Content_Type=content_type)
        assert answer.status_code == 415
        assert answer.json() == {"errors": {"base": f"The content type must be {FORM}"}}
    assert (await post(ada, {**GOOD, "x": "x" * 20_000})).status_code == 413
    assert (await post(ada, GOOD, Content_Type=f"{FORM}; charset=UTF-8")).status_code == 200


async def test_a_client_is_not_looked_at(ada: Service) -> None:
    """Clients are public; a field that is empty counts as left out, one that is unknown too."""
    more = {"client_id": "x", "client_secret": "y", "scope": "", "session_name": "no", "z": ""}

    for authorization in ("Basic Og==", "Basic ####", "Bearer x", "Digest"):
        answer = await post(ada, {**GOOD, **more}, Authorization=authorization)
        assert answer.status_code == 200
    token = answer.json()["token"]
    listed = (await ada.call("GET", "/api/sessions", token=token)).json()["sessions"]
    assert {session["name"] for session in listed} == {None}


@pytest.mark.parametrize("limit", ["log_in_by_account", "log_in_by_address"])
async def test_guesses_here_and_at_sessions_are_counted_together(
    start_service: ServiceFactory, limit: str
) -> None:
    """By account and by address; 429 is the answer that it is elsewhere."""
    service = await start_service(limits=Limits(**{limit: "2/minute"}))
    wrong = {**GOOD, "password": "wrong one"}
    assert (await post(service, wrong)).status_code == 400
    assert (await service.log_in(password="wrong one")).status_code == 401
    assert (await service.log_in(password="wrong one")).status_code == 429
    refused = await post(service, wrong)

    assert refused.status_code == 429
    assert refused.json() == (await service.log_in(password="wrong one")).json()
    assert int(refused.headers["retry-after"]) >= 1


async def test_a_known_device_is_let_through_here_too(start_service: ServiceFactory) -> None:
    """Where strangers have used the account's attempts up."""
    service = await start_service(limits=Limits(log_in_by_account="1/hour"))
    token = (await service.new_user())["token"]
    service.come_from("203.0.113.9")
    wrong = {**GOOD, "password": "wrong one"}
    assert (await post(service, wrong)).status_code == 400
    assert (await post(service, GOOD)).status_code == 429

    assert (await post(service, GOOD, Authorization=f"Bearer {token}")).status_code == 200


FOREIGN = [
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site", "Origin": "https://other.test"},
    {"Sec_Fetch_Site": "nonsense"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://test.evil.example"},
    {"Origin": "http://["},
    # What a browser remembers of the origin goes with another site's form, without a preflight.
    {"Sec_Fetch_Site": "cross-site", "Authorization": "Basic Og=="},
]
OWN = [
    {},
    {"Sec_Fetch_Site": "same-origin", "Origin": "https://test"},
    {"Sec_Fetch_Site": "same-origin", "Origin": "https://behind.a.proxy"},
    {"Sec_Fetch_Site": "none"},
    {"Origin": "http://test"},
]
# Which a browser sends to another origin only if a preflight admitted it.
PREFLIGHTED = {"X_Requested_With": "XMLHttpRequest"}


async def test_a_form_of_another_origin_is_refused(start_service: ServiceFactory) -> None:
    """A page can't have its visitors guess, nor use up their attempts: nothing is counted."""
    service = await start_service(limits=Limits(log_in_by_address="1/minute"))
    await service.new_user()

    for headers in FOREIGN:
        refused = await post(service, {**GOOD, "password": "wrong one"}, **headers)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert (await post(service, GOOD)).status_code == 200


@pytest.mark.parametrize("headers", [*OWN, *({**foreign, **PREFLIGHTED} for foreign in FOREIGN)])
async def test_a_form_of_ones_own_or_that_cors_admitted_is_taken(
    ada: Service, headers: dict[str, str]
) -> None:
    """Swagger UI, on this origin or on one that the application's CORS policy names."""
    assert (await post(ada, GOOD, **headers)).status_code == 200


SEND = """async ([url, body, headers, mode]) => {
  try {
    const options = {method: "POST", body: new URLSearchParams(body), headers, mode};
    return (await fetch(url, options)).status;
  } catch (error) { return error.name; }
}"""


async def test_what_a_browser_sends_of_another_origin_is_refused(sqlite_url: str) -> None:
    """By fetch in each mode and by a form; admitted is what CORS admits."""

    async def page(request: Request) -> HTMLResponse:
        action = request.query_params["to"]
        inputs = "".join(f'<input name="{name}" value="{it}">' for name, it in GOOD.items())
        return HTMLResponse(f'<form method="post" action="{action}">{inputs}<button>go</button>')

    elsewhere = Starlette(routes=[Route("/", page)])
    async with (
        running_service(sqlite_url, limits=Limits(log_in_by_account="2/hour")) as service,
        served(elsewhere) as evil,
        served(service.app) as url,
        served(
            CORSMiddleware(
                service.app,
                allow_origins=[evil],
                allow_methods=["POST"],
                allow_headers=["X-Requested-With"],
            )
        ) as friendly,
        chromium() as browser,
    ):
        await service.new_user()
        tab, wrong = await browser.new_page(), {**GOOD, "password": "wrong one"}
        await tab.goto(f"{evil}/?to={url}/api/token")
        for mode in ("no-cors", "cors"):
            for _ in range(3):
                await tab.evaluate(SEND, [f"{url}/api/token", wrong, {}, mode])
        ajax = {"X-Requested-With": "XMLHttpRequest"}
        assert await tab.evaluate(SEND, [f"{url}/api/token", GOOD, ajax, "cors"]) == "TypeError"
        assert await tab.evaluate(SEND, [f"{friendly}/api/token", GOOD, {}, "cors"]) == 400
        assert await tab.evaluate(SEND, [f"{friendly}/api/token", GOOD, ajax, "cors"]) == 200
        async with tab.expect_navigation() as navigation:
            await tab.get_by_role("button").click()
        refused = await (await navigation.value).json()
        assert refused["error_description"] == "A form of another origin is not taken"
        await tab.goto(f"{url}/api/docs")  # whose policy lets no page of ours be used either
        assert (await service.log_in(password="wrong one")).status_code == 401  # none was counted


async def test_without_the_endpoint_there_is_nothing(sqlite_url: str) -> None:
    """Nor a word of it in the document."""
    async with running_service(sqlite_url, disabled_endpoints={"token"}) as service:
        answer = await post(service, GOOD)
        document = service.contract.document

    assert answer.status_code == 404
    assert "/token" not in document["paths"]
    assert set(document["components"]["securitySchemes"]) == {"bearer"}
    assert document["paths"]["/account"]["get"]["security"] == [{"bearer": []}]


@pytest.mark.parametrize(
    ("overrides", "name"),
    [({"users": UUID_KEY}, "ada@example.com"), ({"users": UUID_KEY}, "ada"), ({}, "@ada")],
)
async def test_users_who_have_names_alone(
    sqlite_url: str, overrides: dict[str, Any], name: str
) -> None:
    """Whatever the name is like; and one with an @ is no address."""
    user = {"username": name, "password": "secret"}
    async with running_service(sqlite_url, **overrides) as service:
        await service.auth.accounts.sign_up(**user)

        assert (await post(service, {**user, "grant_type": "password"})).status_code == 200


async def test_users_who_have_addresses_alone(sqlite_url: str) -> None:
    """What is typed is an address, or the login of nobody."""
    async with running_service(sqlite_url, users=ADDRESS_KEY) as service:
        await service.new_user()

        assert (await post(service, GOOD)).status_code == 200
        assert (await post(service, {**GOOD, "username": "ada"})).json()["error"] == "invalid_grant"
