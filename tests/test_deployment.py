"""examples/deployment as it stands: its own nginx configuration, units, environment and scripts."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from deployed import PASSWORD, ROOT, Deployed, bearer, deployed, new_token
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from asgi_token_auth import SettingsError, TokenAuth
from asgi_token_auth.testing import SECRET_KEY
from examples.deployment.units import read_environment, read_unit

HERE = ROOT / "examples/deployment"
NGINX = (HERE / "nginx/messages.conf").read_text()
UNITS = sorted((HERE / "systemd").iterdir())
WORKER_UNIT = HERE / "systemd/messages-web@.service"
BOUND = 1.0
UNAUTHORIZED, SERVICE_RESTART = 3000, 1012  # of WebSockets
AWAY = {"errors": {"base": "The service is unavailable, please try again"}}
on_one_deployment = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def deployment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployed]:
    async with deployed(tmp_path_factory.mktemp("deployment")) as running:
        yield running


@on_one_deployment
async def test_the_whole_flow_over_all_workers(deployment: Deployed) -> None:
    """From sign-up to logout, whichever worker is asked; the mail comes from a process beside."""
    user = {"email": "ada@example.com", "password": PASSWORD}
    async with deployment.client("198.51.100.200") as client:
        assert (await client.post("/api/users", json={"user": user})).json() == "ok"
        user_id, mailed = await deployment.mailed("ada@example.com")
        path = f"/api/users/{user_id}/confirm"
        assert (await client.post(path, json={"confirmation_token": mailed})).status_code == 200
        answer = await client.post("/api/sessions", json=user)
        token = bearer(answer.json()["token"])
        for _ in range(4):
            shown = await client.get("/api/messages", headers=token)
            assert (shown.status_code, shown.json()) == (200, {"hello": "ada@example.com"})
        assert (await client.delete("/api/sessions", headers=token)).json() == "ok"
        for header in ("strict-transport-security", "x-content-type-options"):
            assert header in shown.headers

    def workers() -> set[str]:
        return {a["worker"] for a in deployment.answered() if a["client"] == "198.51.100.200"}

    await deployment.until(lambda: len(workers()) == 2)


@on_one_deployment
async def test_a_logout_in_one_worker_is_heard_of_in_the_other(deployment: Deployed) -> None:
    """Nothing is accepted that was asked later than the bound after the logout's answer."""
    async with deployment.worker(1) as first, deployment.worker(2) as second:
        token = bearer(await new_token(first))
        assert (await second.get("/api/messages", headers=token)).status_code == 200
        assert (await first.delete("/api/sessions", headers=token)).status_code == 200
        answered = time.monotonic()
        accepted: list[float] = []
        while True:
            started = time.monotonic()
            answer = await second.get("/api/messages", headers=token)
            if answer.status_code == 401 and started > answered + BOUND:
                break
            if answer.status_code == 200:
                accepted.append(started)

    assert all(started <= answered + BOUND for started in accepted)


@on_one_deployment
async def test_attempts_are_counted_together_and_by_real_addresses(deployment: Deployed) -> None:
    """Ten a minute over both workers, whatever the client says of itself; another has its own."""

    async def ask(client: httpx.AsyncClient, number: int) -> int:
        body = {"email": f"nobody{number}@example.com"}
        forged = {"X-Forwarded-For": f"203.0.113.{number}", "X-Real-IP": f"203.0.113.{number}"}
        answer = await client.post("/api/password_resets", json=body, headers=forged)
        return answer.status_code

    async def used_up() -> bool:
        begun, over = deployment.redis_outages
        async with deployment.client() as client, deployment.client() as another:
            statuses = [await ask(client, number) for number in range(14)]
            other = await ask(another, 20)
        if begun != over or deployment.redis_outages != (begun, over):
            return False  # a worker counted by itself
        assert statuses == [200] * 10 + [429] * 4
        return other == 200

    await deployment.until(used_up)


@on_one_deployment
async def test_the_application_is_asked_by_its_own_name_only(deployment: Deployed) -> None:
    """It redirects, and shows addresses, by the Host header; the request line may say another."""

    async def ask(target: str, host: str) -> str:
        where = ("localhost", deployment.https_port)
        reader, writer = await asyncio.open_connection(*where, ssl=deployment.tls)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        return answer

    url = f"https://localhost:{deployment.https_port}/ready/"
    for host in ("evil.example", "localhost.evil.example", "localhost:1@evil.example"):
        for target in ("/ready/", url):
            answer = await ask(target, host)
            assert answer.split()[1] in ("400", "421"), answer
            assert "evil.example" not in answer
    for target in ("/ready/", url):
        for host in ("localhost", "LOCALHOST", f"localhost:{deployment.https_port}"):
            assert (await ask(target, host)).split()[1] == "307"


@on_one_deployment
async def test_sessions_and_events_show_where_somebody_really_is(deployment: Deployed) -> None:
    """Not nginx, and not what a client says of itself."""
    forged = {"X-Forwarded-For": "203.0.113.1", "Forwarded": "for=203.0.113.1"}
    async with deployment.client("198.51.100.201", **forged) as client:
        token = bearer(await new_token(client))
        sessions = (await client.get("/api/sessions", headers=token)).json()["sessions"]
        events = (await client.get("/api/account/events", headers=token)).json()["events"]

    assert {session["address"] for session in sessions} == {"198.51.100.201"}
    assert {event["address"] for event in events} == {"198.51.100.201"}
    assert 'address="198.51.100.201"' in deployment.log("services.log")


@on_one_deployment
async def test_a_socket_through_nginx_ends_with_its_token(deployment: Deployed) -> None:
    """Opened as browsers do, and closed by a logout in whichever worker."""
    async with deployment.client() as client:
        token = await new_token(client)
        websocket = await open_socket(deployment, token)
        assert websocket.subprotocol == "bearer"
        await websocket.send("hello")
        assert await websocket.recv() == "hello"
        assert (await client.delete("/api/sessions", headers=bearer(token))).json() == "ok"
        assert await close_code(websocket) == UNAUTHORIZED


async def open_socket(deployment: Deployed, token: str) -> ClientConnection:
    url = f"wss://localhost:{deployment.https_port}/api/messages/live"
    return await connect(url, ssl=deployment.tls, subprotocols=["bearer", token])


async def close_code(websocket: ClientConnection) -> int | None:
    """Waits until the server closes it."""
    with pytest.raises(ConnectionClosedError):
        await asyncio.wait_for(websocket.recv(), 30)
    return websocket.close_code


@on_one_deployment
async def test_workers_are_replaced_under_load_and_nothing_is_refused(deployment: Deployed) -> None:
    """One at a time, each out of nginx's reach before it is told to stop. An open socket is told
    that it may come again."""
    units = ("messages-web@1", "messages-web@2", "messages-mail")
    before = [deployment.pid(unit) for unit in units]
    statuses: Counter[int] = Counter()
    done = asyncio.Event()
    async with deployment.client() as client:
        token = await new_token(client)
        headers = bearer(token)
        websocket = await open_socket(deployment, token)

        async def use(method: str) -> None:
            while not done.is_set():
                answer = await client.request(method, "/api/messages", headers=headers)
                statuses[answer.status_code] += 1
                await asyncio.sleep(0.005)

        users = [asyncio.create_task(use(method)) for method in ("GET", "POST") * 2]
        deployment.process.send_signal(signal.SIGHUP)
        try:
            await deployment.until(lambda: "all workers are new" in deployment.log("services.log"))
        finally:
            done.set()
            await asyncio.gather(*users)

        assert await close_code(websocket) == SERVICE_RESTART

    assert set(statuses) == {200}
    assert all(pid != deployment.pid(unit) for pid, unit in zip(before, units, strict=True))


@on_one_deployment
async def test_a_version_that_can_not_start_replaces_nothing(deployment: Deployed) -> None:
    """It fails in the migration, or in the first worker; what is there goes on."""
    units = ("messages-web@1", "messages-web@2", "messages-mail")
    before = [deployment.pid(unit) for unit in units]
    path = deployment.directory / "etc/messages.env"
    text = path.read_text()
    path.write_text(f"{text}TOKEN_AUTH_NONSENSE=1\n")
    try:
        deployment.process.send_signal(signal.SIGHUP)
        await deployment.until(lambda: "stopped half-way" in deployment.log("services.log"))
    finally:
        path.write_text(text)

    assert [deployment.pid(unit) for unit in units] == before
    assert await deployment.is_serving()


@on_one_deployment
async def test_without_workers_nginx_answers_as_the_library_would(deployment: Deployed) -> None:
    """503 with Retry-After, as JSON; and all is well again once they are back."""
    async with deployment.client() as client:
        headers = bearer(await new_token(client))
        with stopped(deployment.process.pid):  # nobody starts them again for now
            for number in (1, 2):
                os.kill(deployment.pid(f"messages-web@{number}"), signal.SIGKILL)
            await deployment.until(lambda: refuses(client))
            for path in ("/api/messages", "/nowhere"):
                answer = await client.post(path, headers=headers, json={})
                assert (answer.status_code, answer.json()) == (503, AWAY)
                assert answer.headers["content-type"] == "application/json"
                assert answer.headers["retry-after"] == "1"
                assert "strict-transport-security" in answer.headers
        await deployment.until(deployment.is_serving)
        assert (await client.get("/api/messages", headers=headers)).status_code == 200


async def refuses(client: httpx.AsyncClient) -> bool:
    return (await client.get("/api/messages")).status_code == 503


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@on_one_deployment
async def test_readiness_is_for_this_machine_alone(deployment: Deployed) -> None:
    """However the path is written."""
    async with deployment.client("127.0.0.1") as inside, deployment.client() as outside:
        assert (await inside.get("/ready")).json() == "ok"
        forged = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"}
        for path in ("/ready", "//ready", "/%72eady", "/./ready", "/x/../ready", "/ready?x=1"):
            url = httpx.URL(str(outside.base_url)).copy_with(raw_path=path.encode())
            answer = await outside.get(url, headers=forged)
            assert (answer.status_code, answer.json()) == (404, {"errors": {"base": "Not found"}})


@on_one_deployment
async def test_what_nginx_refuses_is_json_too(deployment: Deployed) -> None:
    """Bodies, headers and names that never reach a worker."""
    async with deployment.client() as client:
        json = {"Content-Type": "application/json"}
        most = b'{"user": {}, "more": "%s"}' % (b"x" * (16 * 1024 - 24))
        fits = await client.post("/api/users", content=most, headers=json)
        too_large = await client.post("/api/users", content=b"x" * (16 * 1024 + 1))
        malformed = await client.get("/api/messages", headers={"X-Long": "x" * 10_000})
        stranger = await client.get("/api/messages", headers={"Host": "other.example.com"})
        plain = f"http://localhost:{deployment.http_port}"
        in_the_clear = await client.get(f"{plain}/api/messages", headers=bearer("x.y.z"))
        page = await client.get(f"{plain}/page?x=1")

    assert len(most) == 16 * 1024
    assert fits.status_code == 422
    said = {"errors": {"base": "The body must be at most 16384 bytes"}}
    assert (too_large.status_code, too_large.json()) == (413, said)
    assert (malformed.status_code, [*malformed.json()]) == (400, ["errors"])
    assert stranger.status_code == 421
    assert (in_the_clear.status_code, [*in_the_clear.json()]) == (403, ["errors"])
    there = f"https://localhost:{deployment.https_port}/page?x=1"
    assert (page.status_code, page.headers["location"]) == (301, there)


@on_one_deployment
async def test_redirects_of_the_application_stay_on_https(deployment: Deployed) -> None:
    """Though uvicorn does not know of TLS."""
    async with deployment.client("127.0.0.1") as client:
        answer = await client.get("/ready/")

    there = f"https://localhost:{deployment.https_port}/ready"
    assert (answer.status_code, answer.headers["location"]) == (307, there)


@on_one_deployment
async def test_no_log_has_a_token(deployment: Deployed) -> None:
    """Nor a password: not where it is refused, and not what comes in a query, as long as no worker
    is away, of which nginx's error log has the whole request."""
    await deployment.until(deployment.all_are_serving)
    marker = f"/marker{time.monotonic_ns()}"
    async with deployment.client() as client:
        token = await new_token(client)
        await client.get("/api/messages", headers=bearer(token))
        await client.get(marker, params={"token": token}, headers={"Referer": f"https://x/{token}"})
        await (await open_socket(deployment, token)).close()
        await client.delete("/api/sessions", headers=bearer(token))
    await deployment.until(lambda: marker in deployment.log("messages.access.log"))

    logs = [path.read_text() for path in (deployment.directory / "log").iterdir()]
    assert len(logs) == 3
    assert not any(token in log or PASSWORD in log for log in logs)


@on_one_deployment
async def test_uvicorn_can_read_the_addresses_instead(deployment: Deployed) -> None:
    """As the guide has it; the first address is believed, so a proxy must set it. Its log has no
    token either."""
    async with uvicorn_reading(deployment) as (worker, log):
        said = {"X-Forwarded-For": "203.0.113.7, 198.51.100.202", "X-Forwarded-Proto": "https"}
        worker.headers.update(said)
        token = await new_token(worker)
        answer = await worker.get("/api/sessions", headers=bearer(token))
        redirect = await worker.get("/ready/")

    assert {session["address"] for session in answer.json()["sessions"]} == {"203.0.113.7"}
    assert redirect.headers["location"].startswith("https://")
    assert '203.0.113.7:0 - "POST /api/sessions HTTP/1.1" 200' in log.read_text()
    assert token not in log.read_text()


@contextlib.asynccontextmanager
async def uvicorn_reading(deployment: Deployed) -> AsyncIterator[tuple[httpx.AsyncClient, Path]]:
    """A worker beside the others, with uvicorn reading X-Forwarded-For."""
    unit = read_unit(deployment.directory / "systemd/messages-web@.service", "3")
    removed = {"--no-proxy-headers", "--no-access-log"}
    command = [word for word in unit.start if word not in removed]
    command += ["--forwarded-allow-ips", "*"]
    environment = {**os.environ, **unit.environment(), "TOKEN_AUTH_TRUSTED_PROXIES": ""}
    (deployment.directory / "run/3").mkdir()
    path = deployment.directory / "uvicorn.log"
    with path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=unit.working_directory, env=environment, stdout=log, stderr=log
        )
        try:
            async with deployment.worker(3) as client:
                await deployment.until(lambda: answers(client))
                yield client, path
        finally:
            process.terminate()
            await process.wait()


async def answers(client: httpx.AsyncClient) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return (await client.get("/ready")).status_code == 200
    return False


@on_one_deployment
async def test_secrets_are_their_owners_alone(deployment: Deployed) -> None:
    """What can log anybody in: keys, and the way to the database."""
    etc = deployment.directory / "etc"

    for name in ("secrets.env", "secret_key"):
        assert (etc / name).stat().st_mode & 0o777 == 0o600
    assert (deployment.directory / "run/1").stat().st_mode & 0o007 == 0


@on_one_deployment
async def test_systemd_takes_the_units(deployment: Deployed) -> None:
    """Without a word."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze: apt install systemd")
    units = map(str, (deployment.directory / "systemd").iterdir())

    checked = await asyncio.to_thread(
        subprocess.run, ["systemd-analyze", "verify", *units], capture_output=True, text=True
    )

    assert [line for line in checked.stderr.splitlines() if "messages-" in line] == []


def test_each_variable_is_a_setting() -> None:
    """A TokenAuth can be made of the files; the key that everybody knows is refused."""
    files = [HERE / "messages.env", HERE / "secrets.env"]
    environment = dict(pair for path in files for pair in read_environment(path))

    with pytest.raises(SettingsError, match="guessable"):
        TokenAuth.from_env(environment)
    auth = TokenAuth.from_env(environment | {"TOKEN_AUTH_SECRET_KEY": SECRET_KEY})

    assert {name[:11] for name in environment} == {"TOKEN_AUTH_"}
    assert auth.settings.trusted_proxies == ("unix",)
    assert auth.settings.limits is not None
    assert auth.settings.limits == type(auth.settings.limits)()  # as the comment there says


def test_the_numbers_in_the_files_agree() -> None:
    """What one file waits for, another one grants."""
    unit, text = read_unit(WORKER_UNIT, "1"), WORKER_UNIT.read_text()
    drain = float(re.search(r"sleep (\d+)", (HERE / "drain").read_text())[1])  # type: ignore[index]
    in_use, idle = (nginx_seconds(name) for name in ("keepalive_time", "keepalive_timeout"))
    graceful = float(unit.start[unit.start.index("--timeout-graceful-shutdown") + 1])
    keep_alive = float(unit.start[unit.start.index("--timeout-keep-alive") + 1])
    settings = dict(read_environment(HERE / "messages.env"))

    assert in_use + idle < drain
    assert idle < keep_alive
    assert drain + graceful < unit.stop_seconds
    assert "--no-proxy-headers" in unit.start
    assert settings["TOKEN_AUTH_TRUSTED_PROXIES"] == "unix"
    assert int(settings["TOKEN_AUTH_MAXIMUM_BODY_BYTES"]) == 16 * 1024
    assert "client_max_body_size 16k;" in NGINX
    assert "at most 16384 bytes" in NGINX
    assert float(settings["TOKEN_AUTH_DATABASE_TIMEOUT"]) < nginx_seconds("proxy_read_timeout")
    sockets = re.findall(r"server unix:(\S+)", NGINX)
    assert sockets == [f"/run/messages/{number}/web.sock" for number in (1, 2)]
    assert text.count("/run/messages/%i/web.sock") == 3


def nginx_seconds(name: str) -> float:
    found = re.search(rf"^\s*{name} (\d+)s;", NGINX, re.MULTILINE)
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_each_unit_has_both_environments(path: Path) -> None:
    """And no secret of its own."""
    unit = read_unit(path, "1")

    assert [file.name for file in unit.environment_files] == ["messages.env", "secrets.env"]
    assert "TOKEN_AUTH_" not in path.read_text()
