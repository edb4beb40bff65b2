"""For everyone: on a phone, by keyboard, in the dark, and by what axe checks of WCAG 2.2 AA."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.demo import PASSWORD
from tests.browser.test_story import fill, is_at, press
from tests.browser.visitor import Visitor

FOR_GUESTS = {
    "/": "A place for notes to yourself.",
    "/sign-up": "Sign up",
    "/confirm": "Confirm your email address",
    "/confirm-email#id=1&token=x": "Confirm your new email address",
    "/resend-confirmation": "Send the confirmation again",
    "/log-in": "Log in",
    "/forgot-password": "Forgot your password?",
    "/reset-password": "Choose a new password",
    "/dev/mailbox": "Development mailbox",
}
FOR_MEMBERS = {
    "/messages": "Your messages",
    "/sessions": "Sessions",
    "/account": "Account",
}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
RULES_OF_COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
NARROW = {"width": 320, "height": 640}
FITS = "document.documentElement.scrollWidth <= innerWidth"
# What the eye needs to find the focus: an outline, or another border.
SHOWS_FOCUS = """() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
}"""


def check(page: Page) -> None:
    """By axe in light and dark, and that a phone need not scroll sideways."""
    for scheme, options in (("light", RULES), ("dark", RULES_OF_COLOURS)):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        results = Axe().run(page, options=options)
        assert results.violations_count == 0, results.generate_report()
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert page.evaluate(FITS), page.url


def test_pages_for_guests(ada: Visitor) -> None:
    """Have no fault that axe knows, and fit a narrow phone."""
    for path, heading in FOR_GUESTS.items():
        ada.page.goto(path)
        is_at(ada.page, heading)
        check(ada.page)


def test_pages_for_members(ada: Visitor, email: str) -> None:
    """With something in them: a long word, a message, the dialog."""
    ada.log_in(email)
    fill(ada.page, text="Donaudampfschifffahrtsgesellschaft" * 5)
    press(ada.page, "Post")
    expect(ada.page.get_by_role("listitem")).to_have_count(1)
    for path, heading in FOR_MEMBERS.items():
        ada.page.goto(path)
        is_at(ada.page, heading)
        expect(ada.page.get_by_text("Loading…")).to_have_count(0)
        check(ada.page)

    press(ada.page, "Delete account…")
    check(ada.page)


def test_faults_at_their_fields(ada: Visitor) -> None:
    """Are no fault of the page."""
    ada.page.goto("/sign-up")
    ada.expects(422)
    press(ada.page, "Sign up")
    expect(ada.page.get_by_label("Email")).to_be_focused()

    check(ada.page)


def test_sign_up_and_log_in_by_keyboard(ada: Visitor, email: str) -> None:
    """Alone: the focus is always seen, and moves to the heading of each new view."""
    page = ada.page
    page.goto("/")
    is_at(page, "A place for notes to yourself.")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("main").get_by_role("link", name="Sign up")).to_be_focused()
    assert page.evaluate(SHOWS_FOCUS)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign up")).to_be_focused()
    expect(page).to_have_title("Sign up · Messages")
    type_on(page, "keyboard@example.com", PASSWORD)
    expect(page.get_by_role("heading", name="Check your mail")).to_be_focused()

    page.goto("/log-in?next=/account")
    is_at(page, "Log in")
    for _ in range(4):  # past the skip link, the brand and the two links
        page.keyboard.press("Tab")
        assert page.evaluate(SHOWS_FOCUS)
    type_on(page, email, PASSWORD)
    expect(page.get_by_role("heading", name="Account", exact=True)).to_be_focused()
    page.go_back()
    is_at(page, "Your messages")  # whoever is logged in has no use for the sign-up page


def type_on(page: Page, name: str, password: str) -> None:
    """Into the next two fields."""
    for text in (name, password):
        page.keyboard.press("Tab")
        assert page.evaluate(SHOWS_FOCUS)
        page.keyboard.type(text)
    page.keyboard.press("Enter")


def test_password_managers_know_the_fields(ada: Visitor) -> None:
    """By what HTML calls them."""
    expected = {
        "/sign-up": {"email": "username", "password": "new-password"},
        "/log-in": {"login": "username", "password": "current-password"},
        "/reset-password": {"password": "new-password"},
    }
    for path, fields in expected.items():
        ada.page.goto(path)
        for name, token in fields.items():
            field = ada.page.locator(f"[name={name}]")
            expect(field).to_have_attribute("autocomplete", token)
