"""The whole story of an account, as its owner clicks it."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Arrive
from tests.browser.demo import PASSWORD, Demo
from tests.browser.visitor import Visitor


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def fill(page: Page, **fields: str) -> None:
    """By the fields' names, in the page or in the dialog that is open."""
    for name, value in fields.items():
        page.locator(f"[name={name}]:visible").fill(value)


def is_at(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()


def says(page: Page, text: str) -> None:
    expect(page.get_by_role("status").filter(has_text=text)).to_be_visible()


def test_from_sign_up_to_messages_in_a_second_window(arrive: Arrive, ada: Visitor) -> None:
    """Faults at their fields, the link out of the mail, and each message in every window."""
    page, address = ada.page, "newcomer@example.com"
    page.goto("/")
    page.get_by_role("main").get_by_role("link", name="Sign up", exact=True).click()
    ada.expects(422)
    fill(page, email="newcomer", password="short")
    press(page, "Sign up")

    email, password = page.get_by_label("Email"), page.get_by_label("Password", exact=True)
    expect(email).to_be_focused()
    expect(email).to_have_attribute("aria-invalid", "true")
    expect(email).to_have_accessible_description("Email is invalid.")
    expect(password).to_have_accessible_description(
        "At least 6 characters. Password should be at least 6 characters."
    )
    expect(password).to_have_value("short")

    fill(page, email=address, password=PASSWORD)
    expect(email).not_to_have_attribute("aria-invalid", "true")
    press(page, "Sign up")
    is_at(page, "Check your mail")
    ada.open_mailed_link("Please confirm your email address", address)
    is_at(page, "Confirm your email address")
    # The token is out of the address, and of the history.
    expect(page).to_have_url(re.compile("/confirm$"))
    press(page, "Confirm")
    is_at(page, "Your messages")
    expect(page.get_by_text("No messages yet.")).to_be_visible()

    second = arrive()
    second.log_in(address)
    expect(second.page.get_by_text("Live", exact=True)).to_be_visible()
    markup = "<img src=x onerror=alert(1)> & more"
    fill(page, text=markup)
    page.keyboard.press("Control+Enter")
    expect(second.page.get_by_role("listitem").filter(has_text=markup)).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text=markup)).to_have_count(1)
    expect(page.get_by_label("New message")).to_have_value("")


def test_a_token_can_be_typed(demo: Demo, ada: Visitor) -> None:
    """For whoever reads mails on another machine; a wrong one is refused at its field."""
    address = "typist@example.com"
    user = {"email": address, "password": PASSWORD}
    demo.client.post("/api/users", json={"user": user})
    body = demo.mail(address)["body"]
    user_id, token = (body.split(f"{name}: ")[1].split()[0] for name in ("user id", "_token"))
    ada.page.goto("/confirm")
    ada.expects(422)
    fill(ada.page, user_id=user_id, confirmation_token="wrong")
    press(ada.page, "Confirm")
    expect(ada.page.get_by_label("Confirmation token")).to_have_accessible_description(
        "Confirmation token is invalid."
    )

    fill(ada.page, confirmation_token=token)
    press(ada.page, "Confirm")

    is_at(ada.page, "Your messages")


def test_the_confirmation_is_sent_again(demo: Demo, ada: Visitor) -> None:
    """And the login says that it is missing."""
    address = "waiting@example.com"
    demo.client.post("/api/users", json={"user": {"email": address, "password": PASSWORD}})
    first = demo.mail(address)["body"]
    ada.page.goto("/log-in")
    ada.expects(401)
    fill(ada.page, login=address, password=PASSWORD)
    press(ada.page, "Log in")
    expect(ada.page.get_by_role("alert")).to_contain_text("Account not confirmed yet")

    ada.page.get_by_role("link", name="Send it again").click()
    fill(ada.page, email=address)
    press(ada.page, "Send mail")
    is_at(ada.page, "Check your mail")
    expect(ada.page.get_by_role("heading", name="Check your mail")).to_be_focused()
    ada.page.goto("/dev/mailbox")
    # The second comes into the page as it is open, unless it was sooner.
    expect(ada.page.locator(".mail").filter(has_text=address)).to_have_count(2)
    ada.page.locator(".mail").filter(has_text=address).first.locator(".text a").click()
    press(ada.page, "Confirm")

    is_at(ada.page, "Your messages")
    assert demo.mail(address)["body"] != first


def test_log_out_everywhere_else(arrive: Arrive, ada: Visitor, email: str) -> None:
    """The other browser drops to its log-in page by itself, which says why, and leads back."""
    other = arrive(user_agent="Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko Firefox/140.0")
    ada.log_in(email)
    other.log_in(email)
    other.page.get_by_role("link", name="Account").click()
    is_at(other.page, "Account")
    ada.page.get_by_role("link", name="Sessions").click()
    session = ada.page.locator(".session")
    expect(session.filter(has_text="Firefox on Windows")).to_contain_text("127.0.0.1")
    expect(session.filter(has_text="This browser")).to_have_count(1)

    press(ada.page, "Rename Firefox on Windows")
    fill(ada.page, name="Work")
    press(ada.page, "Save")
    says(ada.page, "Renamed to Work.")
    expect(ada.page.get_by_role("heading", name="Work")).to_be_visible()
    press(ada.page, "Log out everywhere else")

    is_at(other.page, "Log in")
    says(other.page, "Your session has ended. Please log in again.")
    says(ada.page, "You are logged out everywhere else.")
    expect(ada.page.get_by_role("heading", name="Work")).to_have_count(0)
    expect(ada.page.get_by_text("Sessions ended")).to_be_visible()  # the recent activity
    fill(other.page, login=email, password=PASSWORD)
    press(other.page, "Log in")
    is_at(other.page, "Account")


def test_one_session_is_ended(arrive: Arrive, ada: Visitor, email: str) -> None:
    """The one that was chosen; ending one's own is logging out."""
    other = arrive(user_agent="curl/8")
    ada.log_in(email)
    other.log_in(email)
    ada.page.get_by_role("link", name="Sessions").click()
    press(ada.page, "Log out curl")
    is_at(other.page, "Log in")
    expect(ada.page.get_by_text("Log in from another browser")).to_be_visible()
    expect(ada.page.get_by_role("heading", name="Sessions")).to_be_focused()

    ada.page.locator(".session").get_by_role("button", name="Log out").click()

    is_at(ada.page, "Log in")
    says(ada.page, "You are logged out.")


def test_a_log_out_reaches_the_other_tabs(ada: Visitor, email: str) -> None:
    """Of the same browser."""
    ada.log_in(email)
    other = ada.open_page()
    other.goto("/account")
    is_at(other, "Account")

    press(ada.page, "Log out")

    is_at(other, "Log in")
    says(ada.page, "You are logged out.")


def test_the_password_is_changed(arrive: Arrive, ada: Visitor, email: str) -> None:
    """Which ends the other sessions; the old one is refused, the new one taken."""
    other = arrive()
    other.log_in(email)
    ada.log_in(email)
    ada.page.get_by_role("link", name="Account").click()
    press(ada.page, "Change password")
    expect(ada.page.get_by_label("New password", exact=True)).to_have_accessible_description(
        "At least 6 characters. It logs you out everywhere else. New password can't be blank."
    )
    fill(ada.page, password="a new secret")
    press(ada.page, "Change password")
    says(ada.page, "Your password is changed")
    is_at(other.page, "Log in")

    other.expects(401)
    fill(other.page, login=email, password=PASSWORD)
    press(other.page, "Log in")
    expect(other.page.get_by_role("alert")).to_have_text("Unknown email or password")
    fill(other.page, password="a new secret")
    press(other.page, "Log in")

    is_at(other.page, "Your messages")


def test_the_address_is_changed(demo: Demo, ada: Visitor, email: str) -> None:
    """Once it is confirmed out of the new mailbox; the log-in that the link gives replaces the
    one before."""
    ada.log_in(email)
    ada.page.get_by_role("link", name="Account").click()
    new = f"new-{email}"
    fill(ada.page, email=new)
    press(ada.page, "Change email")
    says(ada.page, f"We have sent a link to {new}.")
    expect(ada.page.get_by_role("definition")).to_have_text(email)

    demo.mail(new)
    ada.open_mailed_link("Please confirm your new email address", new)
    is_at(ada.page, "Confirm your new email address")
    with ada.page.expect_response(lambda response: response.request.method == "DELETE"):
        press(ada.page, "Confirm")

    is_at(ada.page, "Account")
    says(ada.page, "Your new address is confirmed.")
    expect(ada.page.get_by_role("definition")).to_have_text(new)
    ada.page.get_by_role("link", name="Sessions").click()
    expect(ada.page.locator(".session").filter(has_text="This browser")).to_have_count(1)
    expect(ada.page.locator(".session").filter(has_text="Chrome")).to_have_count(1)


def test_a_forgotten_password_is_replaced(demo: Demo, ada: Visitor, email: str) -> None:
    """By the mailed link, which logs in and works once."""
    ada.page.goto("/log-in")
    ada.page.get_by_role("link", name="Forgot your password?").click()
    fill(ada.page, email=email)
    press(ada.page, "Send mail")
    is_at(ada.page, "Check your mail")
    ada.open_mailed_link("Reset your password", email)
    expect(ada.page).to_have_url(re.compile("/reset-password$"))
    ada.expects(422)
    fill(ada.page, password="short")
    press(ada.page, "Change password")
    expect(ada.page.get_by_label("New password", exact=True)).to_be_focused()
    fill(ada.page, password="remembered now")
    press(ada.page, "Change password")
    is_at(ada.page, "Your messages")
    says(ada.page, "Your password is changed")

    ada.open_mailed_link("Reset your password", email)
    ada.expects(422)
    fill(ada.page, password="another one")
    press(ada.page, "Change password")

    expect(ada.page.get_by_label("Reset token")).to_be_focused()
    expect(ada.page.get_by_label("Reset token")).to_have_attribute("aria-invalid", "true")


def test_an_account_is_deleted(demo: Demo, ada: Visitor, email: str) -> None:
    """After its password is given; Escape and Cancel delete nothing."""
    ada.log_in(email)
    ada.page.get_by_role("link", name="Account").click()
    press(ada.page, "Delete account…")
    ada.page.keyboard.press("Escape")
    expect(ada.page.get_by_role("dialog")).to_have_count(0)
    press(ada.page, "Delete account…")
    dialog = ada.page.get_by_role("dialog", name="Delete your account?")
    ada.expects(422, 401)
    dialog.get_by_label("Current password", exact=True).fill("wrong")
    dialog.get_by_role("button", name="Delete for good").click()
    expect(dialog.get_by_text("Current password is invalid.")).to_be_visible()
    dialog.get_by_label("Current password", exact=True).fill(PASSWORD)
    dialog.get_by_role("button", name="Delete for good").click()

    is_at(ada.page, "Log in")
    says(ada.page, "Your account is deleted.")
    fill(ada.page, login=email, password=PASSWORD)
    press(ada.page, "Log in")
    expect(ada.page.get_by_role("alert")).to_have_text("Unknown email or password")


def test_a_log_in_leads_to_pages_of_the_demo_only(ada: Visitor, email: str) -> None:
    """Whatever the address asks for."""
    for wanted in ("//evil.example/account", "/nowhere", "https://evil.example"):
        ada.page.goto(f"/log-in?next={wanted}")
        fill(ada.page, login=email, password=PASSWORD)
        press(ada.page, "Log in")
        is_at(ada.page, "Your messages")
        press(ada.page, "Log out")
        is_at(ada.page, "Log in")


def test_pages_for_members_ask_for_the_log_in(ada: Visitor) -> None:
    """And an address that leads nowhere is told, too."""
    ada.page.goto("/sessions")
    is_at(ada.page, "Log in")
    expect(ada.page).to_have_url(re.compile("/log-in[?]next=%2Fsessions$"))

    ada.expects(404)
    ada.page.goto("/nowhere")
    is_at(ada.page, "Page not found")
    expect(ada.page).to_have_title("Page not found · Messages")
