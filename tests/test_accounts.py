"""`auth.accounts`, as scripts use it: the same operations, with no HTTP and no client."""

import pytest
from conftest import Service

from asgi_token_auth import AccountNotConfirmed, InvalidFields, InvalidToken

ADA = "ada@example.com"


async def test_the_whole_flow_in_code(service: Service) -> None:
    """From sign-up to deletion; a script that names no token is trusted to be recent."""
    accounts, mailbox = service.auth.accounts, service.mailbox
    user = await accounts.sign_up(email=ADA, password="secret")
    assert user is not None
    first = await mailbox.token(ADA, "confirmation")
    with pytest.raises(AccountNotConfirmed):
        await accounts.log_in(email=ADA, password="secret")
    await accounts.resend_confirmation(email=ADA)
    second = await mailbox.token(ADA, "confirmation")
    with pytest.raises(InvalidFields, match="confirmation_token invalid"):
        await accounts.confirm(user.id, confirmation_token=first)
    confirmed = await accounts.confirm(user.id, confirmation_token=second, session_name="laptop")

    await accounts.request_password_reset(email=ADA)
    reset = await accounts.reset_password(
        user_id=user.id,
        password_reset_token=await mailbox.token(ADA, "password_reset"),
        password="another",
    )
    assert not await service.is_good(confirmed.token)
    assert await service.is_good(reset.token)

    await accounts.update_account(reset.user, email="ada@example.org", password="a third")
    assert not await service.is_good(reset.token)
    change = await mailbox.token("ada@example.org", "email_change")
    moved = await accounts.confirm(str(user.id), confirmation_token=change)
    assert moved.user == await accounts.get(str(user.id))
    assert moved.user.email == "ada@example.org"

    await accounts.delete_account(moved.user, password="a third")
    assert await accounts.get(user.id) is None
    with pytest.raises(InvalidToken):
        await accounts.update_account(moved.user, password="a fourth")


@pytest.mark.parametrize("user_id", [0, -1, 2**80, "", "ada", "1 OR 1=1", "\0", None, 1.5])
async def test_nobody_has_an_id_that_is_none(service: Service, user_id: object) -> None:
    """What the users table can't have as a key finds nobody, and is no error."""
    assert await service.auth.accounts.get(user_id) is None
