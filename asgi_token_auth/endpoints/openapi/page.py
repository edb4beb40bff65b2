"""The document as a page: what each operation takes and gives, and how to ask it with curl."""

import base64
import functools
import hashlib
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
        # By the Host header, of which there may be any number.
        self.render = functools.lru_cache(maxsize=8)(self._render)

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

    def _render(self, base: str, path: str) -> str:
        """The page in HTML.

        Args:
            base: the URL that the document's paths are below.
            path: the path of that URL.
        """
        return self._template.render(
            info=self._document["info"],
            tags=self._document["tags"],
            paths=self._document["paths"],
            operations=self._operations,
            style=self._style,
            base=base,
            path=path,
        )
