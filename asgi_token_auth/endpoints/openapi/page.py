"""The document as a page: what each operation takes and gives, and how to ask it with curl."""

import base64
import functools
import hashlib
import html
import secrets
import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from asgi_token_auth.endpoints.openapi.described import Describer

Schema = dict[str, Any]

TEMPLATES = Path(__file__).parent / "templates"


class DocumentationPage:
    """A page of the document, without scripts and with nothing from elsewhere."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        self._operations = Describer(document).operations()
        self._style = (TEMPLATES / "docs.css").read_text()
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._template = environment.get_template("docs.html")
        # To be replaced. Nobody can have one in what the page shows.
        self._base, self._path = (f"place{secrets.token_hex(16)}" for _ in range(2))
        self._template_of = functools.cache(self._render)

    @functools.cached_property
    def headers(self) -> dict[str, str]:
        """What a browser may do with it: this origin hands out tokens, and whatever script ran on
        it could take them, or type in its reader's name. So there is none, of others or of ours."""
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        policy = {
            "default-src": "'none'",
            "style-src": f"'sha256-{digest}'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
        }
        return {
            "Content-Security-Policy": "; ".join(f"{name} {it}" for name, it in policy.items()),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }

    def render(self, base: str, path: str) -> str:
        """The page in HTML.

        Args:
            base: the URL that the document's paths are below, without quotation marks.
            path: the path of that URL.
        """
        # The template takes milliseconds, and there may be any number of Host headers: what goes in
        # of them goes into a page that is rendered already.
        base_mark = self._base_mark(is_plain=shlex.quote(base) == base)
        page = self._template_of(base_mark, self._path if path else "")
        return page.replace(base_mark, html.escape(base)).replace(self._path, html.escape(path))

    def _base_mark(self, *, is_plain: bool) -> str:
        """In the place of a URL: one that a shell wants quoted, or not."""
        return self._base if is_plain else f"[{self._base}]"

    def _render(self, base: str, path: str) -> str:
        return self._template.render(
            info=self._document["info"],
            tags=self._document["tags"],
            paths=self._document["paths"],
            operations=self._operations,
            style=self._style,
            base=base,
            path=path,
        )
