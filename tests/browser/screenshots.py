"""python -m tests.browser.screenshots: makes the README's pictures of the demo (extra `dev`)."""

import contextlib
import hashlib
import io
import sqlite3
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import running_chromium
from tests.browser.demo import PASSWORD, ROOT, Demo
from tests.browser.visitor import Visitor

IMAGES = ROOT / "docs" / "images"
MADE_FROM = IMAGES / "made_from.sha256"
PAGE = ROOT / "examples" / "messages" / "page"
DESKTOP = {"width": 960, "height": 720}
PHONE = {"width": 360, "height": 720}
EMAIL = "ada@example.com"
MESSAGES = {
    "Order paper for the second edition, and ask whether the grey one is still made.": 180,
    "The train on Friday leaves at 7:42, not at 7:24.": 95,
    "Call Grace about the compiler notes.\nShe is in the office until four.": 4,
}
DEVICES = {  # and minutes since each was used
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1": 42,
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko Firefox/140.0": 1500,
}
MINUTE = 60 * 1000  # milliseconds, as times are in the database


def page_digest() -> str:
    """Of all that the page is made of."""
    digest = hashlib.sha256()
    for path in sorted(PAGE.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(PAGE).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, running_chromium() as browser:
        demo = Demo(Path(directory))
        demo.start()
        try:
            take_sign_up(browser, demo)
            take_members(browser, demo)
        finally:
            demo.close()
    MADE_FROM.write_text(f"{page_digest()}\n")


def take_sign_up(browser: Browser, demo: Demo) -> None:
    visitor = Visitor(browser, demo.base_url, viewport=PHONE, device_scale_factor=2)
    visitor.page.goto("/sign-up")
    visitor.page.get_by_label("Email").fill(EMAIL)
    visitor.page.get_by_label("Password", exact=True).fill("lace")
    visitor.page.get_by_role("button", name="Sign up").click()
    expect(visitor.page.get_by_label("Password", exact=True)).to_be_focused()
    save(visitor.page, "sign-up.png")
    visitor.expects(422)
    visitor.leave()


def take_members(browser: Browser, demo: Demo) -> None:
    demo.new_user(EMAIL)
    login = {"email": EMAIL, "password": PASSWORD}
    for device in DEVICES:
        demo.client.post("/api/sessions", json=login, headers={"User-Agent": device})
    token = demo.client.post("/api/sessions", json=login).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    for text in MESSAGES:
        demo.client.post("/api/messages", json={"message": {"text": text}}, headers=headers)
    demo.client.delete("/api/sessions", headers=headers)
    with demo.away():
        age(demo)
    visitor = Visitor(browser, demo.base_url, viewport=DESKTOP, device_scale_factor=2)
    visitor.log_in(EMAIL)
    expect(visitor.page.get_by_text("Live", exact=True)).to_be_visible()
    visitor.page.get_by_label("New message").blur()
    save(visitor.page, "messages.png")
    visitor.page.emulate_media(color_scheme="dark")
    visitor.page.get_by_role("link", name="Sessions").click()
    expect(visitor.page.locator(".session")).to_have_count(1 + len(DEVICES))
    expect(visitor.page.get_by_text("Loading…")).to_have_count(0)
    save(visitor.page, "sessions.png")
    visitor.leave()


def age(demo: Demo) -> None:
    """As if it had all been written and used over the day."""
    with contextlib.closing(sqlite3.connect(demo.database)) as database, database:
        for text, minutes in MESSAGES.items():
            earlier = "UPDATE messages SET created_at = created_at - ? WHERE text = ?"
            database.execute(earlier, (minutes * MINUTE, text))
        for device, minutes in DEVICES.items():
            used = (
                "UPDATE tokens SET created_at = created_at - :ms, last_used_at = created_at - :ms"
                " WHERE user_agent = :device"
            )
            database.execute(used, {"ms": minutes * MINUTE, "device": device})
        database.execute("UPDATE events SET created_at = created_at - ?", (1600 * MINUTE,))


def save(page: Page, name: str) -> None:
    """As a small PNG: 256 colours are as many as the page has."""
    from PIL import Image  # of the extra `dev`; the digest is needed without it

    page.mouse.move(0, 0)
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        IMAGES / name, optimize=True
    )


if __name__ == "__main__":
    main()
