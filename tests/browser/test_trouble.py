"""What a bad day looks like from the page: nothing typed is lost, and it says what is wrong."""

import contextlib
import sqlite3

from playwright.sync_api import Route, expect

from tests.browser.demo import PASSWORD, Demo
from tests.browser.test_story import fill, is_at, press, says
from tests.browser.visitor import Visitor

AN_HOUR = 60 * 60 * 1000  # milliseconds, as times are in the database


def run_sql(demo: Demo, statement: str, *values: object) -> None:
    """While the demo is away."""
    with contextlib.closing(sqlite3.connect(demo.database)) as database, database:
        database.execute(statement, values)


def test_a_server_that_is_away(demo: Demo, ada: Visitor, email: str) -> None:
    """The page says so and comes back by itself; the message waits in its field. A login that is
    old by then changes the password only with the present one."""
    ada.log_in(email)
    expect(ada.page.get_by_text("Live", exact=True)).to_be_visible()
    ada.forgives("net::ERR_CONNECTION_REFUSED")
    with demo.away():
        says(ada.page, "Reconnecting…")
        fill(ada.page, text="Kept")
        press(ada.page, "Post")
        expect(ada.page.get_by_role("alert")).to_contain_text("Check your connection")
        expect(ada.page.get_by_label("New message")).to_have_value("Kept")
        run_sql(demo, "UPDATE tokens SET created_at = created_at - ?", AN_HOUR)
    expect(ada.page.get_by_text("Live", exact=True)).to_be_visible()
    press(ada.page, "Post")
    expect(ada.page.get_by_role("listitem").filter(has_text="Kept")).to_be_visible()

    ada.page.get_by_role("link", name="Account").click()
    ada.expects(422, 422)
    fill(ada.page, password="a new secret")
    press(ada.page, "Change password")
    current = ada.page.get_by_label("Current password", exact=True).filter(visible=True)
    expect(current).to_be_focused()
    expect(current).to_have_accessible_description(
        "You logged in a while ago, so please show that it is you."
    )
    current.fill("wrong")
    press(ada.page, "Change password")
    expect(current).to_have_attribute("aria-invalid", "true")
    current.fill(PASSWORD)
    press(ada.page, "Change password")

    says(ada.page, "Your password is changed")


def test_a_session_that_ends_while_the_server_is_away(demo: Demo, ada: Visitor, email: str) -> None:
    """A browser is told nothing of a refused WebSocket; the page finds out all the same. What was
    half written is there after the next log-in of its writer, and for nobody else."""
    demo.new_user(f"other-{email}")
    ada.log_in(email)
    fill(ada.page, text="Half a thought")
    expect(ada.page.get_by_text("Live", exact=True)).to_be_visible()
    ada.forgives("net::ERR_CONNECTION_REFUSED", "HTTP Authentication failed")
    ada.expects(401)
    with demo.away():
        run_sql(demo, "DELETE FROM tokens")

    is_at(ada.page, "Log in")
    says(ada.page, "Your session has ended. Please log in again.")
    for login, text in ((f"other-{email}", ""), (email, "Half a thought")):
        fill(ada.page, login=login, password=PASSWORD)
        press(ada.page, "Log in")
        expect(ada.page.get_by_label("New message")).to_have_value(text)
        press(ada.page, "Log out")


def test_too_many_attempts(demo: Demo, ada: Visitor) -> None:
    """Says when to come back, in minutes rather than in hundreds of seconds."""
    body = {"email": "often@example.com"}
    for _ in range(5):
        demo.client.post("/api/password_resets", json=body)
    ada.page.goto("/forgot-password")
    ada.expects(429)
    fill(ada.page, **body)
    press(ada.page, "Send mail")

    expect(ada.page.get_by_role("alert")).to_have_text(
        "Too many attempts. Please try again in 15 minutes."
    )
    expect(ada.page.get_by_label("Email")).to_have_value(body["email"])


def test_a_server_that_is_busy(ada: Visitor, email: str) -> None:
    """503 is told, and another try works with what was typed."""

    def busy(route: Route) -> None:
        headers = {"Retry-After": "1"}
        route.fulfill(status=503, headers=headers, json={"errors": {"base": "Too many logins"}})

    ada.page.goto("/log-in")
    ada.page.route("**/api/sessions", busy, times=1)
    ada.expects(503)
    fill(ada.page, login=email, password=PASSWORD)
    press(ada.page, "Log in")
    expect(ada.page.get_by_role("alert")).to_have_text(
        "The server is busy. Please try again in 1 second."
    )
    press(ada.page, "Log in")

    is_at(ada.page, "Your messages")


def test_nothing_is_sent_twice(ada: Visitor, email: str) -> None:
    """However often the button is pressed while the answer is out."""
    ada.log_in(email)
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == "POST":
            held.append(route)
        else:
            route.fallback()

    ada.page.route("**/api/messages", hold)
    fill(ada.page, text="Once")
    press(ada.page, "Post")
    expect(ada.page.get_by_role("button", name="Post")).to_be_disabled()
    ada.page.get_by_label("New message").press("Control+Enter")
    ada.page.get_by_role("button", name="Post").click(force=True)

    assert len(held) == 1
    held[0].continue_()
    expect(ada.page.get_by_role("listitem")).to_have_count(1)
