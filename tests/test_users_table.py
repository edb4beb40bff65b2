"""The application's own users table, validator and fields."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import MYSQL as MYSQL_URL
from conftest import Service, ServiceFactory, own_database, run_sql, running_service

from asgi_token_auth import Changes, TokenAuth, users_table
from asgi_token_auth.storage.tables import MYSQL
from asgi_token_auth.testing import Mailbox, settings, token_in

ADA = "ada@example.com"


def table_with_key(key: sa.Column[Any]) -> sa.Table:
    return sa.Table(
        "people",
        sa.MetaData(),
        key,
        sa.Column("email", sa.String(320), unique=True),
        sa.Column("hashed_password", sa.Text, nullable=False),
        sa.Column("confirmed_at", sa.BigInteger),
        **MYSQL,
    )


KEYS: dict[str, Callable[[], sa.Column[Any]]] = {
    "bigint": lambda: sa.Column(
        "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True
    ),
    "uuid": lambda: sa.Column("id", sa.Uuid, primary_key=True),
    "uuid as text": lambda: sa.Column("id", sa.String(36), primary_key=True),
    "own default": lambda: sa.Column(
        "id", sa.String(40), primary_key=True, default=lambda: f"user-{uuid.uuid4().hex}"
    ),
}


@pytest.mark.parametrize("key", KEYS)
async def test_keys_of_any_kind(start_service: ServiceFactory, key: str) -> None:
    """Sign-up to reset, with the id in path, body, answer and token."""
    service = await start_service(users=table_with_key(KEYS[key]()))
    reply = await service.new_user(ADA)

    account = (await service.call("GET", "/api/account", token=reply["token"])).json()["account"]
    assert account["id"] == reply["id"]
    assert await service.is_good(reply["token"])
    await service.call("POST", "/api/password_resets", {"email": ADA})
    token = await service.mailbox.token(ADA)
    body = {"user_id": reply["id"], "password_reset_token": token, "password": "new secret"}
    assert (await service.call("POST", "/api/password_resets/reset", body)).status_code == 200
    token = (await service.log_in(ADA, "new secret")).json()["token"]
    answer = (await service.call("GET", "/api/account/events", token=token)).json()
    assert [each["event"] for each in answer["events"]] == [
        "logged_in",
        "password_reset",
        "password_reset_requested",
        "confirmed",
        "signed_up",
    ]
    for junk in ("1", "x", str(uuid.uuid4()), "-1"):
        path = f"/api/users/{junk}/confirm"
        assert (await service.call("POST", path, {"confirmation_token": "x"})).status_code == 422


LARGEST = 2**63 - 1


async def test_ids_and_numbers_of_64_bits_are_taken(start_service: ServiceFactory) -> None:
    """A BigInteger is one: its id in paths and bodies, its values in fields; one more is none."""
    table = table_with_key(KEYS["bigint"]())
    table.append_column(sa.Column("score", sa.BigInteger))
    service = await start_service(users=table, user_fields=["score"])
    key = sa.text(
        f"INSERT INTO people (id, email, hashed_password) VALUES ({LARGEST}, '{ADA}', '')"
    )
    await service.auth._database.write(lambda session: session.run(key))
    await service.call("POST", "/api/confirmations", {"email": ADA})
    secret = token_in(await service.mailbox.receive(ADA))
    for user_id in (LARGEST + 1, 10**30):
        assert (await confirm(service, user_id, secret)).status_code == 422
    reply = (await confirm(service, LARGEST, secret)).json()
    assert reply["id"] == LARGEST
    token = reply["token"]

    for score, status in ((LARGEST, 200), (-LARGEST - 1, 200), (LARGEST + 1, 422), (2.0**63, 422)):
        account = {"account": {"score": score}}
        assert (await service.call("PUT", "/api/account", account, token)).status_code == status
    account = (await service.call("GET", "/api/account", token=token)).json()["account"]
    assert (account["id"], account["score"]) == (LARGEST, -LARGEST - 1)


async def confirm(service: Service, user_id: int, token: str) -> Any:
    body = {"confirmation_token": token}
    return await service.call("POST", f"/api/users/{user_id}/confirm", body)


@pytest.mark.parametrize("made_by", ["create_tables", "migrate"])
@pytest.mark.parametrize(
    ("kind", "declared"),
    [
        ("UUID", sa.Uuid()),
        ("CHAR(32)", sa.Uuid()),
        ("BIGINT UNSIGNED AUTO_INCREMENT", sa.BigInteger()),
        ("VARCHAR(40) COLLATE latin1_swedish_ci", sa.String(40)),
    ],
)
async def test_mariadb_refers_to_users_by_the_very_type_of_their_key(
    kind: str, declared: Any, made_by: str
) -> None:
    """Which SQLAlchemy's word for it does not tell, and a foreign key must have."""
    async with own_database(MYSQL_URL, "mysql") as url:
        await run_sql(
            url,
            f"CREATE TABLE people (id {kind} PRIMARY KEY, email VARCHAR(320) UNIQUE,"
            " hashed_password TEXT NOT NULL, confirmed_at BIGINT) ENGINE=InnoDB",
        )
        users = table_with_key(sa.Column("id", declared, primary_key=True))
        if made_by == "migrate":
            auth = TokenAuth(database=url, users=users, **settings(Mailbox()))
            await auth.migrate()
            await auth.shutdown()

        async with running_service(url, users=users) as service:  # calls create_tables
            reply = await service.new_user(ADA)
            assert await service.is_good(reply["token"])
            await service.auth.create_tables()


async def test_extra_columns_are_set_shown_and_guarded(start_service: ServiceFactory) -> None:
    """Plain text is the client's; what has a default, like a role, is the application's."""
    table = users_table(
        None,
        sa.Column("name", sa.String(10), nullable=False),
        sa.Column("city", sa.String(10)),
        sa.Column("role", sa.String(10), nullable=False, default="member"),
        sa.Column("is_admin", sa.Boolean, nullable=False, default=False),
    )
    service = await start_service(users=table)
    user = {"email": ADA, "password": "secret"}
    missing = await service.call("POST", "/api/users", {"user": user})
    assert missing.json() == {"errors": {"name": "can't be blank"}}
    too_long = await service.call("POST", "/api/users", {"user": {**user, "name": "x" * 11}})
    assert too_long.json() == {"errors": {"name": "invalid"}}

    await service.sign_up(ADA, name="Ada", role="admin", is_admin=True)
    token = (await service.confirm(ADA)).json()["token"]
    await service.call("PUT", "/api/account", {"account": {"city": "London", "role": "x"}}, token)

    account = (await service.call("GET", "/api/account", token=token)).json()["account"]
    assert (account["name"], account["city"], account["role"]) == ("Ada", "London", "member")
    assert not account["is_admin"]
    assert "hashed_password" not in account


async def test_null_is_refused_where_a_row_can_not_have_it(start_service: ServiceFactory) -> None:
    """A default stands in at sign-up; later it is the client's mistake, not the database's."""
    keen = sa.Column("keen", sa.Boolean, nullable=False, default=True)
    service = await start_service(users=users_table(None, keen), user_fields=["keen"])
    await service.sign_up(ADA, keen=None)
    token = (await service.confirm(ADA)).json()["token"]

    answer = await service.call("PUT", "/api/account", {"account": {"keen": None}}, token)

    assert (answer.status_code, answer.json()) == (422, {"errors": {"keen": "can't be blank"}})
    account = (await service.call("GET", "/api/account", token=token)).json()["account"]
    assert account["keen"] is True


NESTED: Any = 1
for _ in range(31):
    NESTED = [NESTED]
UNSTORABLE: dict[str, list[Any]] = {
    "small": [2**15, -(2**15) - 1],
    "score": [10**400, float("inf"), 1e39, "1"],
    "exact": [10**400, float("-inf")],
    "colour": ["blue", "", 1, ["red"]],
    "traits": [{"a": "\0"}, {"\ud800": 1}, ["\ud800"], [10**400], [float("inf")], NESTED, "x"],
}


async def test_what_a_database_would_refuse_is_refused_before(
    start_service: ServiceFactory,
) -> None:
    """Numbers out of range, unknown choices, JSON that only some can hold: 422 on each of them."""
    table = users_table(
        None,
        sa.Column("small", sa.SmallInteger),
        sa.Column("score", sa.Float),
        sa.Column("exact", sa.Double),
        sa.Column("colour", sa.Enum("red", "green", native_enum=False)),
        sa.Column("traits", sa.JSON),
    )
    service = await start_service(users=table, user_fields=list(UNSTORABLE))
    token = (await service.new_user(ADA))["token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    async def put(field: str, value: Any) -> tuple[int, Any]:
        # httpx's own json= refuses infinity; 1e999 is what a client can write.
        body = json.dumps({"account": {field: value}}).replace("Infinity", "1e999")
        answer = await service.client.put("/api/account", content=body, headers=headers)
        return answer.status_code, answer.json()

    for field, values in UNSTORABLE.items():
        for value in values:
            assert await put(field, value) == (422, {"errors": {field: "invalid"}}), value
    for field, value in {
        "small": -(2**15),
        "score": 3.4028234e38,
        "exact": -1.7976931348623157e308,
        "colour": "red",
        "traits": NESTED[0],
    }.items():
        assert await put(field, value) == (200, "ok"), value
    assert (await service.call("GET", "/api/account", token=token)).status_code == 200


async def test_the_tables_own_constraints_are_bad_input(
    start_service: ServiceFactory, database_url: str
) -> None:
    """A check or a foreign key that refuses a value is 422, at its field where the database tells
    which, and nothing is changed."""
    await run_sql(database_url, "CREATE TABLE teams (id INTEGER PRIMARY KEY)")
    metadata = sa.MetaData()
    teams = sa.Table("teams", metadata, sa.Column("id", sa.Integer, primary_key=True))
    table = users_table(
        metadata,
        sa.Column("age", sa.Integer, sa.CheckConstraint("age >= 18")),
        sa.Column("team_id", sa.Integer, sa.ForeignKey(teams.c.id)),
    )
    service = await start_service(users=table, user_fields=["age", "team_id"])
    token = (await service.new_user(ADA))["token"]

    async def sign_up(**fields: Any) -> Any:
        user = {"email": "bob@example.com", "password": "secret", **fields}
        return await service.call("POST", "/api/users", {"user": user})

    async def put(**fields: Any) -> Any:
        return await service.call("PUT", "/api/account", {"account": fields}, token=token)

    for answer in (await sign_up(age=17), await put(age=17)):
        assert (answer.status_code, answer.json()) == (422, {"errors": {"age": "invalid"}})
    for answer in (await sign_up(team_id=7), await put(team_id=7)):
        assert answer.status_code == 422
        assert list(answer.json()["errors"].values()) == ["invalid"]
        assert set(answer.json()["errors"]) <= {"team_id", "base"}  # SQLite does not say which
    account = (await service.call("GET", "/api/account", token=token)).json()["account"]
    assert (account["age"], account["team_id"]) == (None, None)
    assert (await sign_up(age=18)).json() == "ok"


async def test_an_account_that_other_data_refers_to_is_kept(
    service: Service, database_url: str
) -> None:
    """DELETE /account says so, for as long as it is so, and the login goes on."""
    reply = await service.new_user(ADA)
    await run_sql(
        database_url,
        "CREATE TABLE orders (user_id INTEGER, FOREIGN KEY (user_id) REFERENCES users (id))",
        f"INSERT INTO orders (user_id) VALUES ({reply['id']})",
    )

    async def delete() -> Any:
        body = {"password": "secret"}
        return await service.call("DELETE", "/api/account", body, token=reply["token"])

    answer = await delete()
    assert answer.status_code == 422
    assert answer.json() == {"errors": {"base": "can't be deleted while other data refers to it"}}
    assert await service.is_good(reply["token"])

    await run_sql(database_url, "DELETE FROM orders")
    assert (await delete()).json() == "ok"


async def test_what_the_application_stores_is_always_shown(start_service: ServiceFactory) -> None:
    """JSON has no word for infinity."""
    table = users_table(None, sa.Column("score", sa.Float, default=float("inf")))
    service = await start_service(users=table)
    if "mysql" in str(service.auth.settings.database):
        pytest.skip("MariaDB has no infinity")
    token = (await service.new_user(ADA))["token"]

    account = (await service.call("GET", "/api/account", token=token)).json()["account"]
    assert account["score"] == "inf"


async def test_the_validator_sees_each_change_and_adds_errors(
    start_service: ServiceFactory,
) -> None:
    """At sign-up, at account update and at reset; with the password as typed."""
    seen = []

    async def validator(changes: Changes) -> None:
        seen.append(changes.action)
        if changes.get("password") == "password":
            changes.add_error("password", "is too common")

    service = await start_service(user_validator=validator)
    refused = {"errors": {"password": "is too common"}}
    user = {"email": ADA, "password": "password"}
    assert (await service.call("POST", "/api/users", {"user": user})).json() == refused
    token = (await service.new_user(ADA))["token"]
    body: dict[str, Any] = {"account": {"password": "password"}}
    assert (await service.call("PUT", "/api/account", body, token)).json() == refused
    await service.call("POST", "/api/password_resets", {"email": ADA})
    mailed = await service.mailbox.token(ADA)
    body = {"user_id": 1, "password_reset_token": mailed, "password": "password"}
    assert (await service.call("POST", "/api/password_resets/reset", body)).json() == refused
    assert seen == ["sign_up", "sign_up", "update_account", "reset_password"]
    body["password"] = "another one"
    assert (await service.call("POST", "/api/password_resets/reset", body)).status_code == 200
