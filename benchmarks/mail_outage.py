"""Does the provider's state, or who has an account, show in a request's time?

    python -m benchmarks.mail_outage [--database URL] [--requests N]

Password resets and sign-ups, each for known and unknown addresses, in one order drawn at random,
while a Mailgun on loopback is up, refuses connections, or hangs. Latencies are from client to
answer, in process, in milliseconds; `known/unknown` is the ratio of the two medians. Passwords are
hashed at next to no cost, which makes differences at sign-up look larger than they are.
"""

import argparse
import asyncio
import contextlib
import logging
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator

import httpx

from asgi_token_auth import MailgunTransport, TokenAuth
from asgi_token_auth.passwords import cheapest_context
from asgi_token_auth.testing import SECRET_KEY

USERS = 50
PATHS = ("/password_resets", "/users")
Kind = tuple[str, bool]
STATES = ("up", "refuses", "hangs")


@contextlib.asynccontextmanager
async def provider(state: str) -> AsyncIterator[MailgunTransport]:
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while state == "up":
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await reader.read()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = 1 if state == "refuses" else server.sockets[0].getsockname()[1]
    base_url = f"http://127.0.0.1:{port}"
    yield MailgunTransport("mg.example.com", "key", base_url=base_url, timeout=2.0)
    server.close()
    for writer in writers:
        writer.close()


async def measure(url: str, state: str, requests: int) -> dict[Kind, list[float]]:
    times: dict[Kind, list[float]] = defaultdict(list)
    async with provider(state) as transport:
        auth = TokenAuth(
            database=url,
            secret_key=SECRET_KEY,
            email_sender="app@example.com",
            mail_transport=transport,
            mail_cooldown=None,
            disclose_accounts="never",
            password_context=cheapest_context(),
            limits=None,
        )
        await auth.create_tables()
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(auth.app), base_url="http://localhost"
        )
        mark = f"{state}{time.time_ns()}"
        async with client, auth:
            for number in range(USERS):
                await post(client, "/users", f"{mark}-{number}@example.com")
            kinds = [(path, known) for path in PATHS for known in (True, False)] * requests
            random.shuffle(kinds)
            for number, kind in enumerate(kinds):
                path, known = kind
                name = f"{mark}-{number % USERS}" if known else f"{mark}-new-{number}"
                started = time.perf_counter()
                await post(client, path, f"{name}@example.com")
                times[kind].append((time.perf_counter() - started) * 1000)
                await asyncio.sleep(0.002)
            auth.sender._enabled = False
            for task in auth.sender._sending:
                task.cancel()
    return times


async def post(client: httpx.AsyncClient, path: str, email: str) -> None:
    body = (
        {"user": {"email": email, "password": "secret"}} if path == "/users" else {"email": email}
    )
    response = await client.post(path, json=body)
    response.raise_for_status()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database", help="by default a new SQLite file")
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    print("provider  request           address    median     p95  known/unknown")
    for state in STATES:
        with tempfile.TemporaryDirectory() as directory:
            url = options.database or f"sqlite:///{directory}/bench.db"
            times = await measure(url, state, options.requests)
        medians = {kind: statistics.median(values) for kind, values in times.items()}
        for path, known in sorted(times):
            p95 = statistics.quantiles(times[path, known], n=20)[-1]
            ratio = f"{medians[path, True] / medians[path, False]:15.2f}" if known else ""
            address = "known" if known else "unknown"
            print(f"{state:10}{path:18}{address:9}{medians[path, known]:8.2f}{p95:8.2f}{ratio}")


if __name__ == "__main__":
    asyncio.run(main())
