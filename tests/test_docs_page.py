"""/docs: the document as a page, of which each command works as pasted."""

import asyncio
import html
import os
import re
from typing import Any

import httpx
import jinja2
import pytest
import sqlalchemy as sa
from async_chromium import Watched, check_for_everyone, chromium
from conftest import running_service
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp
from test_openapi import RICH, RICH_FIELDS, UUID_KEY, auth_with
from test_swagger import served

from asgi_token_auth import users_table

OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"


async def page_of(app: ASGIApp, path: str, root: str = "", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app, root_path=root)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get(root + path, headers=headers)
    assert answer.status_code == 200
    return answer


def commands_in(page: str) -> dict[str, str]:
    """The commands, by the operations that they are of."""
    found = {}
    for article in page.split("<article")[1:]:
        name = re.search(r'<h3 id="(\w+)"', article)
        command = re.search(r"<code>(curl.+?)</code>", article, re.DOTALL)
        assert name
        assert command
        found[name[1]] = html.unescape(command[1])
    return found


async def run(command: str, token: str = "") -> int:
    """The status that a command gets, in a shell."""
    process = await asyncio.create_subprocess_shell(
        f"{command} --silent --output /dev/null --write-out '%{{http_code}}'",
        env={**os.environ, "TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return int(said)


@pytest.mark.parametrize(
    ("overrides", "by_mail"),
    [({}, True), ({"users": RICH, "user_fields": RICH_FIELDS}, True), ({"users": UUID_KEY}, False)],
)
async def test_each_command_works_as_pasted(
    sqlite_url: str, overrides: dict[str, Any], by_mail: bool
) -> None:
    """From sign-up to deletion; what needs a mail or an id is well formed, and refused for that."""
    async with (
        running_service(sqlite_url, **overrides) as service,
        served(service.app) as url,
        httpx.AsyncClient(base_url=f"{url}/api") as client,
    ):
        page = (await client.get("/docs")).text
        commands = commands_in(page)
        assert commands.keys() == {
            operation["operationId"]
            for item in service.contract.document["paths"].values()
            for operation in item.values()
            if "operationId" in operation
        }
        assert await run(commands.pop("sign_up")) == 200
        if by_mail:
            assert (await service.confirm("ada@example.com")).status_code == 200

        async def token() -> str:
            form = service.contract.document["components"]["schemas"]["PasswordGrant"]
            answer = await client.post("/token", data=form["examples"][0])
            return str(answer.json()["access_token"])

        last = [commands.pop("log_out"), commands.pop("delete_account")]
        good = await token()
        statuses = {name: await run(command, good) for name, command in commands.items()}
        needing = {"confirm": 422, "reset_password": 422, "rename_session": 404}
        needing |= {"revoke_session": 404}
        assert {name: status for name, status in statuses.items() if status != 200} == {
            name: status if by_mail or status == 404 else statuses[name]
            for name, status in needing.items()
        }
        assert [await run(command, await token()) for command in last] == [200, 200]


@pytest.mark.parametrize(("mount", "root"), [("/api", ""), ("/api", "/v1"), ("/a b/c", "/v1")])
async def test_it_shows_where_the_operations_really_are(mount: str, root: str) -> None:
    """Under any mount and root path, wrapped or mounted; at the host where the reader found it."""
    auth = auth_with()
    outer = Starlette(routes=[Mount(mount, app=auth.app)])

    for app in (auth.wrap(Starlette(), mount=mount), outer):
        page = (await page_of(app, f"{mount}/docs", root, host="example.com:8080")).text
        place = f"{root}{mount}".replace(" ", "%20")
        assert f'<span class="path">{place}/users</span>' in page
        assert f'<a href="{place}/openapi.json">' in page
        assert f"curl http://example.com:8080{place}/account " in commands_in(page)["show_account"]


async def test_it_says_what_this_service_takes() -> None:
    """Fields with types and limits, required or not; the answers with their examples."""
    rich = (await page_of(auth_with(users=RICH, user_fields=RICH_FIELDS).app, "/docs")).text
    names = (await page_of(auth_with(users=UUID_KEY).app, "/docs")).text
    text = html.unescape(re.sub(r"<[^>]+>", "", rich))

    assert "user.name body, required\ntext, at most 10 characters" in text
    assert "user.optional body\none of yes, no, null" in text
    assert "Also at /session." in text
    assert '{\n  "error": "invalid_grant"' in text
    assert '"token_type": "bearer"' in text
    assert "user.email" not in names


async def test_no_host_gets_into_the_page() -> None:
    """It would be pasted into a shell."""
    for host in ("a.example;id", "$(id)", "<script>", "a b", "'", "x:y", ""):
        page = (await page_of(auth_with().app, "/docs", host=host)).text
        assert "curl http://localhost/account " in commands_in(page)["show_account"]
        assert "<script" not in page
    page = (await page_of(auth_with().app, "/docs", host="[::1]:8000")).text
    assert "curl 'http://[::1]:8000/account' " in commands_in(page)["show_account"]


async def test_the_page_is_rendered_once_for_all_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may ask, and it takes milliseconds of everybody's event loop."""
    auth, rendered = auth_with(), []
    render = jinja2.Template.render
    monkeypatch.setattr(
        jinja2.Template, "render", lambda *args, **kw: (rendered.append(1), render(*args, **kw))[1]
    )
    for host in [f"host{number}.example" for number in range(5)] + ["[::1]", "[::2]", "[::3]"]:
        page = (await page_of(auth.app, "/docs", host=host)).text
        assert f"http://{host}/account" in commands_in(page)["show_account"]

    assert len(rendered) == 2


async def test_no_script_may_run_on_it() -> None:
    """Whatever got into the page, and it gets there as text: its origin hands out tokens."""
    choices = sa.Column("x", sa.Enum("<script>alert(1)</script>", native_enum=False))
    page = await page_of(auth_with(users=users_table(None, choices)).app, "/docs")
    policy = dict(
        each.split(" ", 1) for each in page.headers["content-security-policy"].split("; ")
    )

    assert policy.pop("style-src").startswith("'sha256-")
    assert set(policy) == {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert set(policy.values()) == {"'none'"}
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "<script" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


async def test_an_application_keeps_its_own_page_knowingly() -> None:
    """The endpoints go first; one that is disabled leaves its path to the application."""

    async def own(request: Request) -> PlainTextResponse:
        return PlainTextResponse("the app's own")

    app = Starlette(routes=[Route("/docs", own), Route("/openapi.json", own)])
    ours, theirs = auth_with(), auth_with(disabled_endpoints=["docs", "openapi"])

    assert "<h1>Accounts</h1>" in (await page_of(ours.wrap(app, mount="/"), "/docs")).text
    for path in ("/docs", "/openapi.json"):
        assert (await page_of(theirs.wrap(app, mount="/"), path)).text == "the app's own"
        assert (await page_of(ours.wrap(app, mount="/api"), path)).text == "the app's own"


async def test_in_a_browser() -> None:
    """It asks nobody else for anything, has no complaints, and is for everyone."""
    async with chromium() as browser, served(auth_with().wrap(Starlette())) as url:
        watched = Watched(await browser.new_page())
        await watched.page.goto(f"{url}/api/docs")
        await check_for_everyone(watched.page)
        await watched.page.get_by_role("link", name="POST /password_resets/reset").click()
        await watched.page.evaluate(OPEN_ALL)
        await check_for_everyone(watched.page)

        assert watched.complaints == []
        assert {asked.partition("#")[0] for asked in watched.asked} == {f"{url}/api/docs"}
