"""Rotating keys, as docs/key_rotation.md has it: nobody is logged out, and no mail is lost."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
from conftest import POSTGRESQL, own_database, running_service
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from server_fleet import Client, Server

from asgi_token_auth.clock import utc_now


def new_pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


OLD, NEW = "an old secret key, of 32 bytes at least", "a new secret key, of 32 bytes at least"
SERVERS = 2
BETWEEN_SERVERS_SECONDS = 1.0  # long enough that several people log in at a new one meanwhile
PEOPLE = 12
LIFETIME_SECONDS = 9.0
RENEW_SECONDS = 3.0  # used for twice as long, and so never until it expires
LIFETIME = {"TOKEN_AUTH_TOKEN_LIFETIME": str(LIFETIME_SECONDS)}
PAUSE_SECONDS = 0.01


def with_secrets(*keys: str) -> dict[str, str]:
    """The environment of a deployment that signs with secrets."""
    return {"TOKEN_AUTH_SECRET_KEY": json.dumps(keys)}


def with_pairs(*pems: str) -> dict[str, str]:
    """The environment of one that signs with key pairs."""
    return {"TOKEN_AUTH_ALGORITHM": "ES256", "TOKEN_AUTH_SIGNING_KEY": json.dumps(pems)}


class Balancer:
    """Sends each request to a server in its turn, and none to one that is taken out."""

    def __init__(self) -> None:
        self._in: dict[Server, list[Client]] = {}
        self._busy: dict[Server, int] = {}
        self._turn = 0

    def put_in(self, server: Server) -> None:
        self._in[server] = []
        self._busy.setdefault(server, 0)

    async def take_out(self, server: Server) -> None:
        """Returns once the server has answered all it was sent."""
        idle = self._in.pop(server)
        for client in idle:
            client.close()
        while self._busy[server]:  # noqa: ASYNC110 (as a balancer drains)
            await asyncio.sleep(0.01)

    async def call(self, method: str, path: str, token: str = "", body: Any = None) -> Any:
        """An answer, from whichever server has the turn."""
        self._turn += 1
        server = [*self._in][self._turn % len(self._in)]
        idle = self._in[server]
        client = idle.pop() if idle else Client(server.port)
        self._busy[server] += 1
        answer = await client.call(method, path, token, body)
        self._busy[server] -= 1
        if self._in.get(server) is idle:
            idle.append(client)
        else:
            client.close()
        return answer


class Person:
    """Uses a token, and the one before it, and logs in anew before it expires."""

    def __init__(self, number: int, balancer: Balancer) -> None:
        self.statuses: list[int] = []
        self.key_ids: list[str] = []
        self.is_ending = False
        self._login = {"username": f"person{number}", "password": "secret"}
        self._balancer = balancer
        self._tokens: list[str] = []
        self._last_login = 0.0
        self._head_start = RENEW_SECONDS * number / PEOPLE

    async def sign_up(self) -> None:
        answer = await self._balancer.call("POST", "/api/users", body={"user": self._login})
        assert (answer.status, answer.body) == (200, "ok")

    async def live(self) -> None:
        """Until it is to end."""
        await self._log_in()
        self._last_login -= self._head_start  # not all at once from now on
        while not self.is_ending:
            if time.monotonic() - self._last_login > RENEW_SECONDS:
                await self._log_in()
            for token in self._tokens:
                await self._call("GET", "/api/messages", token)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _log_in(self) -> None:
        self._last_login = time.monotonic()
        body = await self._call("POST", "/api/sessions", body=self._login)
        self._tokens = [*self._tokens[-1:], body["token"]]
        self.key_ids.append(key_id(body["token"]))

    async def _call(self, *request: Any, **options: Any) -> Any:
        answer = await self._balancer.call(*request, **options)
        self.statuses.append(answer.status)
        return answer.body


def key_id(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


class Deployment:
    """Servers behind a balancer, which are replaced one at a time."""

    def __init__(self, database_url: str) -> None:
        self.balancer = Balancer()
        self._database_url = database_url
        self._servers: list[Server] = []

    async def roll(self, environment: dict[str, str]) -> None:
        """Replaces each server by one with that environment, while the others serve."""
        retiring = list(self._servers)
        for number in range(SERVERS):
            server = Server(self._database_url, **environment, **LIFETIME)
            self._servers.append(server)
            await server.is_up()
            self.balancer.put_in(server)
            if number < len(retiring):
                await self.balancer.take_out(retiring[number])
                await retiring[number].end()
                self._servers.remove(retiring[number])
                await asyncio.sleep(BETWEEN_SERVERS_SECONDS)

    async def end(self) -> None:
        for server in self._servers:
            await self.balancer.take_out(server)
            await server.end()


@contextlib.asynccontextmanager
async def people_at(deployment: Deployment) -> AsyncIterator[list[Person]]:
    """Who uses the service, all the time."""
    people = [Person(number, deployment.balancer) for number in range(PEOPLE)]
    for person in people:
        await person.sign_up()
    tasks = [asyncio.create_task(person.live()) for person in people]
    try:
        yield people
    finally:
        for person in people:
            person.is_ending = True
        await asyncio.gather(*tasks)


async def rotate(database_url: str, *environments: dict[str, str]) -> list[Person]:
    """Rolls through the three deployments, and drops the old key once its tokens expired."""
    deployment = Deployment(database_url)
    try:
        await deployment.roll(environments[0])
        async with people_at(deployment) as people:
            await deployment.roll(environments[1])
            await deployment.roll(environments[2])
            await asyncio.sleep(LIFETIME_SECONDS)
            await deployment.roll(environments[3])
        return people
    finally:
        await deployment.end()


async def test_keys_rotate_under_load_with_nobody_logged_out() -> None:
    """Secrets and key pairs, each in a deployment of its own, one server after another."""
    first, second = new_pem(), new_pem()
    async with (
        own_database(POSTGRESQL, "postgresql") as secrets_url,
        own_database(POSTGRESQL, "postgresql") as pairs_url,
    ):
        for url in (secrets_url, pairs_url):
            async with running_service(url, clock=utc_now):
                pass  # the tables
        populations = await asyncio.gather(
            rotate(secrets_url, *(with_secrets(*keys) for keys in steps(OLD, NEW))),
            rotate(pairs_url, *(with_pairs(*keys) for keys in steps(first, second))),
        )

    for people in populations:
        statuses = [status for person in people for status in person.statuses]
        print(f"\n{len(statuses)} requests in a rotation")
        assert len(statuses) > 1000
        assert {*statuses} == {200}
        for person in people:
            assert len(person.key_ids) > 4
            assert len({*person.key_ids}) == 2
            assert person.key_ids[0] == people[0].key_ids[0]
            assert person.key_ids[-1] == people[0].key_ids[-1]


def steps(old: str, new: str) -> list[list[str]]:
    """The keys before the rotation, and in each of its three deployments."""
    return [[old], [old, new], [new, old], [new]]


async def test_a_mail_sealed_before_a_rotation_goes_out_after_it(sqlite_url: str) -> None:
    """As long as the old key is among those that verify."""
    ada, bob = "ada@example.com", "bob@example.com"
    async with running_service(sqlite_url, secret_key=OLD, send_mail=False) as service:
        await service.sign_up(ada)
    async with running_service(sqlite_url, secret_key=[NEW, OLD]) as service:
        answer = await service.confirm(ada)
        assert answer.status_code == 200
        assert await service.is_good(answer.json()["token"])
    async with running_service(sqlite_url, secret_key=OLD, send_mail=False) as service:
        await service.sign_up(bob)
    async with running_service(sqlite_url, secret_key=NEW, send_mail=False) as service:
        assert await service.auth.sender.deliver_due() == 1
        (dead,) = await service.auth.outbox.list("dead")
        assert dead.recipient == bob
    async with running_service(sqlite_url, secret_key=[NEW, OLD], send_mail=False) as service:
        assert await service.auth.outbox.retry() == 1  # the key is back: nothing is lost yet
        assert await service.auth.sender.deliver_due() == 1
        assert (await service.confirm(bob)).status_code == 200


async def test_another_family_or_another_issuer_logs_out(sqlite_url: str) -> None:
    """Exactly one algorithm: the old tokens are 401, and who logs in again goes on."""
    moves: list[dict[str, Any]] = [
        {},
        {"algorithm": "ES256", "signing_key": new_pem()},
        {"issuer": "https://example.com"},
        {"audience": "app"},
    ]
    async with running_service(sqlite_url) as service:
        await service.new_user()
    tokens = []
    for settings in moves:
        async with running_service(sqlite_url, **settings) as service:
            tokens.append((await service.log_in()).json()["token"])
            good = [await service.is_good(token) for token in tokens]
            assert good == [False] * (len(tokens) - 1) + [True], settings
