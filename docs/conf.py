"""The documentation as a site: `scripts/docs` builds it.

The source directory is the repository's root, so that links between README, guides and changelog
are the same on the site as in the repository.
"""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PyXRefRole

import asgi_token_auth

project = "asgi_token_auth"
author = "the authors of asgi_token_auth"
version = release = asgi_token_auth.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxarg.ext",
]
include_patterns = ["*.md", "docs/**"]
exclude_patterns = [".venv*", ".git", "build", "dist", "docs/_templates"]
root_doc = "docs/index"

html_theme = "furo"
html_title = f"asgi_token_auth {version}"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
templates_path = ["_templates"]
html_additional_pages = {"index": "index.html"}  # of the root: leads to the first page

nitpicky = True
# Other people's names: without a network nothing is known of their documentation.
OTHERS = ("starlette", "sqlalchemy", "databases", "passlib", "opentelemetry", "httpx", "ssl")
STANDARD_LIBRARY = ("collections", "datetime", "os", "pathlib", "typing", "argparse")
BARE = ("CryptContext", "MeterProvider", "TracerProvider", "timedelta", "datetime")
nitpick_ignore_regex = [
    ("py:.*", rf"({'|'.join(OTHERS + STANDARD_LIBRARY)})\..+"),
    ("py:class", "|".join(BARE)),  # as Settings has them, whose annotations are text
]

default_role = "name"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False
add_module_names = False
myst_heading_anchors = 4
suppress_warnings = ["myst.domains"]  # sphinx-argparse has a domain that MyST does not know

NAME = re.compile(r"\w+(\.\w+)*(\(\))?")


class NameRole(PyXRefRole):
    """`name` in a docstring: a link where there is such a name, and code elsewhere."""

    def __call__(self, name: str, rawtext: str, text: str, *rest: Any, **more: Any) -> Any:
        if not NAME.fullmatch(text):  # `?before=<id>` has no title and target
            return [nodes.literal(rawtext, nodes.unescape(text))], []
        return super().__call__(name, rawtext, text, *rest, **more)

    def process_link(self, env: Any, refnode: Any, *link: Any) -> tuple[str, str]:
        refnode["refdomain"], refnode["reftype"] = "py", "obj"
        refnode["may_be_none"] = True
        title, target = super().process_link(env, refnode, *link)
        if target[:1].isupper():
            refnode["refspecific"] = True  # a class, in whichever module
        return title, target


def _as_code(app: Sphinx, env: Any, node: Any, content: nodes.Element) -> nodes.Element | None:
    return content if node.get("may_be_none") else None


def _unlink_directories(app: Sphinx, document: nodes.document) -> None:
    """Links to directories of the repository, like its examples, lead nowhere on the site."""
    for link in list(document.findall(pending_xref)):
        target = Path(document["source"]).parent / link["reftarget"]
        if link["reftype"] == "myst" and target.is_dir():
            link.replace_self(link.children)


def _legible_defaults(
    app: Sphinx, what: str, name: str, of: object, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """`errors=<factory>` is no syntax, and would be shown as one piece."""
    return (re.sub(r"<[^<>]+>", "...", signature), returns) if signature else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_role("name", NameRole())
    app.connect("autodoc-process-signature", _legible_defaults)
    app.connect("missing-reference", _as_code)
    app.connect("doctree-read", _unlink_directories)
