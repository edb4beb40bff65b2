"""Each row of the wire contract, on each database."""

from datetime import timedelta

import pytest
from conftest import Service, ServiceFactory

from asgi_token_auth.testing import token_in

ADA = "ada@example.com"


async def test_sign_up_by_email_mails_a_token_that_confirms_and_logs_in(service: Service) -> None:
    """The mailbox proves the address; the answer is a token in both shapes clients look for."""
    await service.sign_up(ADA)

    response = await service.confirm(ADA)

    reply = response.json()
    assert response.headers["cache-control"] == "no-store"
    assert reply["token"] == reply["access_token"]
    assert (reply["token_type"], reply["expires_in"]) == ("bearer", 7 * 24 * 3600)
    assert await service.is_good(reply["token"])


async def test_sign_up_by_username_is_confirmed_at_once(service: Service) -> None:
    """There is no mailbox to prove."""
    user = {"username": "ada", "password": "secret"}
    await service.call("POST", "/api/users", {"user": user})

    response = await service.call("POST", "/api/sessions", user)

    assert response.status_code == 200
    assert not service.mailbox.mails


async def test_sign_up_with_both_must_be_confirmed(service: Service) -> None:
    """A username is no way around proving the address."""
    await service.sign_up(ADA, username="ada")

    response = await service.call(
        "POST", "/api/sessions", {"username": "ada", "password": "secret"}
    )

    assert response.status_code == 401
    assert "not confirmed" in response.json()["errors"]["base"]


@pytest.mark.parametrize(
    ("user", "errors"),
    [
        ({}, {"email": "can't be blank", "password": "can't be blank"}),
        ({"email": "", "password": ""}, {"email": "can't be blank", "password": "can't be blank"}),
        ({"email": "nobody", "password": "secret"}, {"email": "invalid"}),
        (
            {"email": ADA, "password": "short"},
            {"password": "should be at least 6 characters"},
        ),
    ],
)
async def test_sign_up_names_every_wrong_field(
    service: Service, user: dict[str, str], errors: dict[str, str]
) -> None:
    """All at once, so that a form is mended in one go."""
    response = await service.call("POST", "/api/users", {"user": user})

    assert (response.status_code, response.json()) == (422, {"errors": errors})


async def test_sign_up_names_the_object_that_its_fields_belong_in(service: Service) -> None:
    """The fields beside it are not "blank" to whoever sent them."""
    blank = {"email": "can't be blank", "password": "can't be blank"}

    for body, message in (
        ({"email": ADA, "password": "secret"}, "can't be blank"),
        ({"user": None}, "can't be blank"),
        ({"user": ADA}, "invalid"),
    ):
        response = await service.call("POST", "/api/users", body)
        assert response.json() == {"errors": {"user": message, **blank}}
        assert response.status_code == 422


async def test_a_taken_address_is_refused_in_any_case(service: Service) -> None:
    """Uniqueness ignores case."""
    await service.new_user(ADA)

    user = {"email": "ADA@Example.com", "password": "secret"}
    response = await service.call("POST", "/api/users", {"user": user})

    assert response.status_code == 422
    assert response.json() == {"errors": {"email": "has already been taken"}}


async def test_never_disclosing_answers_ok_and_tells_the_owner(
    start_service: ServiceFactory,
) -> None:
    """Only the mailbox learns that there is an account."""
    service = await start_service(disclose_accounts="never")
    await service.new_user(ADA)

    await service.sign_up(ADA, "another password")

    mail = await service.mailbox.receive(ADA, "account_exists")
    assert "already" in mail.subject
    assert (await service.log_in(ADA, "another password")).status_code == 401
    assert (await service.log_in(ADA)).status_code == 200


async def test_never_disclosing_answers_logins_after_a_sign_up_alike(
    start_service: ServiceFactory,
) -> None:
    """Whoever signs up with an address, and then logs in, does not learn whether it was taken."""
    service = await start_service(disclose_accounts="never")
    await service.new_user("bob@example.com")
    answers = []
    for email in ("bob@example.com", "free@example.com"):
        await service.sign_up(email, "another password")
        answer = await service.log_in(email, "another password")
        answers.append((answer.status_code, answer.text, answer.headers))

    assert answers[0] == answers[1]
    assert answers[0][0] == 401


@pytest.mark.parametrize("email", ["bob@example.com", "free@example.com"])
async def test_what_was_mailed_before_does_not_tell_whether_the_new_address_is_taken(
    start_service: ServiceFactory, email: str
) -> None:
    """A change to a free address ends the one asked for before: so does one to another's."""
    service = await start_service(disclose_accounts="never")
    token = (await service.new_user(ADA))["token"]
    await service.new_user("bob@example.com")
    for new in ("own@example.com", email):
        body = {"account": {"email": new}}
        assert (await service.call("PUT", "/api/account", body, token)).json() == "ok"
    secret = token_in(await service.mailbox.receive("own@example.com"))

    answer = await service.call("POST", "/api/users/1/confirm", {"confirmation_token": secret})

    assert (answer.status_code, answer.json()) == (
        422,
        {"errors": {"confirmation_token": "invalid"}},
    )


async def test_wrong_confirmation_tokens_are_invalid(service: Service) -> None:
    """Unknown token, unknown user, used token: one answer."""
    await service.sign_up(ADA)
    token = token_in(await service.mailbox.receive(ADA))
    invalid = {"errors": {"confirmation_token": "invalid"}}

    for user_id, given in (("1", "x" * 43), ("999", token), ("one", token)):
        response = await service.call(
            "POST", f"/api/users/{user_id}/confirm", {"confirmation_token": given}
        )
        assert (response.status_code, response.json()) == (422, invalid)
    blank = await service.call("POST", "/api/users/1/confirm", {})
    assert blank.json() == {"errors": {"confirmation_token": "can't be blank"}}


async def test_the_confirmation_is_sent_again_and_the_first_one_dies(service: Service) -> None:
    """A mail that was lost is no account that is lost."""
    await service.sign_up(ADA)
    first = token_in(await service.mailbox.receive(ADA))

    response = await service.call("POST", "/api/confirmations", {"email": ADA})

    assert response.json() == "ok"
    second = token_in(await service.mailbox.receive(ADA))
    for token, status in ((first, 422), (second, 200)):
        body = {"confirmation_token": token}
        assert (await service.call("POST", "/api/users/1/confirm", body)).status_code == status


async def test_unknown_addresses_are_answered_as_known_ones(service: Service) -> None:
    """Who has an account is nobody's business."""
    await service.new_user(ADA)

    for path in ("/api/confirmations", "/api/password_resets"):
        answers = [
            await service.call("POST", path, {"email": email})
            for email in (ADA, "nobody@example.com")
        ]
        assert [(answer.status_code, answer.text) for answer in answers] == [(200, '"ok"')] * 2
        assert answers[0].headers == answers[1].headers


async def test_always_disclosing_says_not_known(start_service: ServiceFactory) -> None:
    """phoenix_token_auth's own answer."""
    service = await start_service(disclose_accounts="always")

    response = await service.call("POST", "/api/password_resets", {"email": ADA})

    assert (response.status_code, response.json()) == (422, {"errors": {"email": "not known"}})


async def test_bad_logins_are_one_answer(service: Service) -> None:
    """Unknown user and wrong password can't be told apart."""
    await service.new_user(ADA)

    for email, password in ((ADA, "wrong one"), ("nobody@example.com", "secret")):
        response = await service.log_in(email, password)
        assert response.status_code == 401
        assert response.json() == {"errors": {"base": "Unknown email or password"}}


async def test_an_unconfirmed_login_is_told_only_with_the_right_password(service: Service) -> None:
    """Else anyone could ask which accounts are there."""
    await service.sign_up(ADA)

    right, wrong = await service.log_in(ADA), await service.log_in(ADA, "wrong one")

    assert right.json()["errors"]["base"].startswith("Account not confirmed yet.")
    assert wrong.json()["errors"]["base"] == "Unknown email or password"


@pytest.mark.parametrize("path", ["/api/sessions", "/api/session"])
async def test_two_logins_give_two_tokens_and_logout_ends_its_own(
    service: Service, path: str
) -> None:
    """Devices are independent."""
    await service.new_user(ADA)
    login = {"email": ADA, "password": "secret"}
    one, two = [(await service.call("POST", path, login)).json()["token"] for _ in range(2)]
    assert one != two

    response = await service.call("DELETE", path, token=one)

    assert (response.status_code, response.json()) == (200, "ok")
    assert [await service.is_good(one), await service.is_good(two)] == [False, True]
    assert (await service.call("DELETE", path, token=one)).status_code == 401


async def test_sessions_are_listed_and_ended_one_by_one(service: Service) -> None:
    """A user sees where they are logged in, and ends what isn't theirs."""
    first = (await service.new_user(ADA))["token"]
    second = (await service.log_in(ADA)).json()["token"]

    listed = (await service.call("GET", "/api/sessions", token=second)).json()["sessions"]

    assert [session["current"] for session in listed].count(True) == 1
    assert {"id", "created_at", "last_used_at", "expires_at", "user_agent", "address"} <= set(
        listed[0]
    )
    other = next(session["id"] for session in listed if not session["current"])
    response = await service.call("DELETE", f"/api/sessions/{other}", token=second)
    assert (response.status_code, response.json()) == (200, "ok")
    assert [await service.is_good(first), await service.is_good(second)] == [False, True]
    assert (await service.call("DELETE", f"/api/sessions/{other}", token=second)).status_code == 404


async def test_nobody_ends_anothers_session(service: Service) -> None:
    """An id is no permission."""
    ada = (await service.new_user(ADA))["token"]
    eve = (await service.new_user("eve@example.com"))["token"]
    (session,) = (await service.call("GET", "/api/sessions", token=ada)).json()["sessions"]

    response = await service.call("DELETE", f"/api/sessions/{session['id']}", token=eve)

    assert response.status_code == 404
    assert await service.is_good(ada)


@pytest.mark.parametrize(("scope", "left"), [("others", [False, True]), ("all", [False, False])])
async def test_logout_everywhere(service: Service, scope: str, left: list[bool]) -> None:
    """The rest, or all."""
    tokens = [(await service.new_user(ADA))["token"], (await service.log_in(ADA)).json()["token"]]

    response = await service.call("DELETE", f"/api/sessions?scope={scope}", token=tokens[1])

    assert response.json() == "ok"
    assert [await service.is_good(token) for token in tokens] == left


async def test_a_reset_token_works_once_and_ends_every_token_before(service: Service) -> None:
    """The mailbox is proven; whoever was logged in may have been somebody else."""
    before = (await service.new_user(ADA))["token"]
    await service.call("POST", "/api/password_resets", {"email": ADA})
    token = await service.mailbox.token(ADA, "password_reset")
    body = {"user_id": "1", "password_reset_token": token, "password": "new secret"}

    first = await service.call("POST", "/api/password_resets/reset", body)
    second = await service.call("POST", "/api/password_resets/reset", {**body, "user_id": 1})

    assert first.status_code == 200
    assert second.json() == {"errors": {"password_reset_token": "invalid"}}
    assert not await service.is_good(before)
    assert await service.is_good(first.json()["token"])
    assert (await service.log_in(ADA)).status_code == 401
    assert (await service.log_in(ADA, "new secret")).status_code == 200
    assert (await service.mailbox.receive(ADA)).kind == "password_changed"


async def test_a_reset_confirms_an_account_that_somebody_else_signed_up(service: Service) -> None:
    """Pre-hijacking: the attacker's password and confirmation are dead."""
    await service.sign_up(ADA, "attacker's password")
    confirmation = token_in(await service.mailbox.receive(ADA))
    await service.call("POST", "/api/password_resets", {"email": ADA})
    token = await service.mailbox.token(ADA)

    body = {"user_id": 1, "password_reset_token": token, "password": "owner's password"}
    assert (await service.call("POST", "/api/password_resets/reset", body)).status_code == 200

    assert (await service.log_in(ADA, "attacker's password")).status_code == 401
    again = {"confirmation_token": confirmation}
    assert (await service.call("POST", "/api/users/1/confirm", again)).status_code == 422


async def test_an_email_change_is_pending_until_confirmed_from_the_new_mailbox(
    service: Service,
) -> None:
    """The old address works until then, and is told."""
    token, new = (await service.new_user(ADA))["token"], "lovelace@example.com"

    response = await service.call("PUT", "/api/account", {"account": {"email": new}}, token)

    assert response.json() == "ok"
    shown = await service.call("GET", "/api/account", token=token)
    assert shown.json() == {"account": {"id": 1, "email": ADA, "username": None}}
    assert (await service.log_in(ADA)).status_code == 200
    assert (await service.confirm(new)).status_code == 200
    assert (await service.log_in(ADA)).status_code == 401
    assert (await service.log_in(new)).status_code == 200
    assert (await service.mailbox.receive(ADA)).kind == "email_changed"


async def test_changing_the_password_ends_the_other_tokens(service: Service) -> None:
    """A thief's token does not survive; blank fields mean untouched."""
    other = (await service.new_user(ADA))["token"]
    token = (await service.log_in(ADA)).json()["token"]

    body = {"account": {"password": "new secret", "email": ""}}
    response = await service.call("PUT", "/api/account", body, token)

    assert response.json() == "ok"
    assert [await service.is_good(other), await service.is_good(token)] == [False, True]
    assert (await service.log_in(ADA, "new secret")).status_code == 200


async def test_an_update_without_an_account_is_refused(service: Service) -> None:
    """What changes nothing must not be answered as if it had."""
    token = (await service.new_user(ADA))["token"]

    for body, message in (
        ({"password": "new secret"}, "can't be blank"),
        ({"account": None}, "can't be blank"),
        ({"account": "new secret"}, "invalid"),
    ):
        response = await service.call("PUT", "/api/account", body, token)
        assert (response.status_code, response.json()) == (422, {"errors": {"account": message}})


async def test_a_current_password_that_is_no_text_is_refused(service: Service) -> None:
    """Also by a login that is recent, and needs none."""
    token = (await service.new_user(ADA))["token"]

    body = {"account": {"password": "new secret", "current_password": 7}}
    response = await service.call("PUT", "/api/account", body, token)

    assert response.json() == {"errors": {"current_password": "invalid"}}
    assert (await service.log_in(ADA)).status_code == 200


@pytest.mark.parametrize("change", [{"password": "new secret"}, {"email": "new@example.com"}])
async def test_an_old_login_needs_the_current_password(
    service: Service, change: dict[str, str]
) -> None:
    """A token alone, found on a shared machine, takes no account over."""
    token = (await service.new_user(ADA))["token"]
    service.clock.forward(timedelta(minutes=21))

    async def put(**more: str) -> tuple[int, object]:
        response = await service.call("PUT", "/api/account", {"account": {**change, **more}}, token)
        return response.status_code, response.json()

    assert await put() == (422, {"errors": {"current_password": "can't be blank"}})
    assert await put(current_password="wrong") == (
        422,
        {"errors": {"current_password": "invalid"}},
    )
    assert await put(current_password="secret") == (200, "ok")


async def test_deleting_the_account_needs_the_password_and_ends_all(service: Service) -> None:
    """Nothing is left to log in to, and the address is free again."""
    token = (await service.new_user(ADA))["token"]

    for body in ({}, {"password": "wrong one"}):
        response = await service.call("DELETE", "/api/account", body, token)
        assert (response.status_code, list(response.json()["errors"])) == (422, ["password"])
    response = await service.call("DELETE", "/api/account", {"password": "secret"}, token)

    assert response.json() == "ok"
    assert not await service.is_good(token)
    assert (await service.log_in(ADA)).status_code == 401
    await service.sign_up(ADA)


async def test_no_login_is_recent_enough_to_delete_the_account(service: Service) -> None:
    """A new login and an old one, and one that gives its password by its other name."""
    token = (await service.new_user(ADA))["token"]

    for _ in range(2):
        for body in ({}, {"current_password": ""}, {"current_password": "wrong one"}):
            response = await service.call("DELETE", "/api/account", body, token)
            assert response.status_code == 422
            assert len(response.json()["errors"]) == 1
        service.clock.forward(timedelta(minutes=21))
    body = {"current_password": "secret"}
    assert (await service.call("DELETE", "/api/account", body, token)).json() == "ok"


async def test_recent_login_can_be_switched_off(start_service: ServiceFactory) -> None:
    """Password and e-mail then change with any good token; deletion still asks."""
    service = await start_service(recent_login=None)
    token = (await service.new_user(ADA))["token"]
    service.clock.forward(timedelta(days=6))

    body = {"account": {"password": "new secret", "email": "new@example.com"}}
    assert (await service.call("PUT", "/api/account", body, token)).json() == "ok"
    assert (await service.call("DELETE", "/api/account", {}, token)).status_code == 422


@pytest.mark.parametrize(
    ("kind", "lifetime"),
    [("confirmation", timedelta(days=3)), ("password_reset", timedelta(hours=1))],
)
async def test_mailed_tokens_end(service: Service, kind: str, lifetime: timedelta) -> None:
    """At their end, not after it."""
    await service.sign_up(ADA)
    token = token_in(await service.mailbox.receive(ADA))
    path, body = "/api/users/1/confirm", {"confirmation_token": token}
    if kind == "password_reset":
        await service.call("POST", "/api/password_resets", {"email": ADA})
        token = await service.mailbox.token(ADA)
        path = "/api/password_resets/reset"
        body = {"user_id": "1", "password_reset_token": token, "password": "new secret"}

    service.clock.forward(lifetime)

    assert (await service.call("POST", path, body)).status_code == 422


async def test_tokens_of_one_purpose_are_refused_for_another(service: Service) -> None:
    """A confirmation resets nothing, a reset confirms nothing."""
    await service.sign_up(ADA)
    confirmation = token_in(await service.mailbox.receive(ADA))
    await service.call("POST", "/api/password_resets", {"email": ADA})
    reset = await service.mailbox.token(ADA)

    swapped = {"user_id": 1, "password_reset_token": confirmation, "password": "new secret"}
    assert (await service.call("POST", "/api/password_resets/reset", swapped)).status_code == 422
    body = {"confirmation_token": reset}
    assert (await service.call("POST", "/api/users/1/confirm", body)).status_code == 422
    for mailed in (confirmation, reset):
        assert not await service.is_good(mailed)


async def test_access_tokens_end_and_are_purged(service: Service) -> None:
    """What is past its end opens nothing, and leaves the database."""
    token = (await service.new_user(ADA))["token"]
    service.clock.forward(timedelta(days=7))

    assert not await service.is_good(token)
    assert await service.auth.accounts.purge_expired() == 1
    assert await service.auth.accounts.purge_expired() == 0


async def test_a_get_of_a_mailed_link_changes_nothing(service: Service) -> None:
    """Mail scanners follow links."""
    await service.sign_up(ADA)

    for method in ("GET", "HEAD"):
        assert (await service.call(method, "/api/users/1/confirm")).status_code == 405

    assert (await service.confirm(ADA)).status_code == 200
