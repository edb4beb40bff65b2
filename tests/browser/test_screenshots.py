"""The README's pictures show the page as it is."""

from tests.browser import screenshots

README = (screenshots.ROOT / "README.md").read_text()
MOST_BYTES = 150_000


def test_the_screenshots_are_current() -> None:
    """Whoever changes the page makes them again: `python -m tests.browser.screenshots`."""
    assert screenshots.MADE_FROM.read_text().strip() == screenshots.page_digest()


def test_the_screenshots_are_small_and_shown() -> None:
    """All of them, and no others."""
    pictures = sorted(screenshots.IMAGES.glob("*.png"))

    assert len(pictures) == 3
    for picture in pictures:
        assert picture.stat().st_size < MOST_BYTES
        assert f"docs/images/{picture.name}" in README
