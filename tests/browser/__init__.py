"""The demo's web page, in a real Chromium: `python -m pytest tests/browser`."""
