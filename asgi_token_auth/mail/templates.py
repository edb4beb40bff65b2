"""Templates: each message's subject, text and HTML, in files an application may replace."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    TemplateError,
    select_autoescape,
)

from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.mail.languages import accepted_languages

# Accepts what an `Accept-Language` may hold; anything longer is no language.
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")

Language = Callable[[Any, Any], str | None]


class Templates:
    """Jinja templates: the application's own directory first, then those of this package.

    A message `welcome` is `welcome.subject.txt`, `welcome.txt` and `welcome.html`; each can be
    replaced alone. A sub-directory named after a language (`de`, `pt-BR`) goes before the rest
    for readers of that language.

    Args:
        directory: the application's own; None: it has none.
        language: called with the user and the request, gives a language's tag or None; by
            default the request's `Accept-Language` is asked.

    Raises:
        SettingsError: the directory is not there, or one of its templates can't be parsed.
    """

    def __init__(
        self, directory: str | os.PathLike[str] | None = None, language: Language | None = None
    ):
        loaders: list[BaseLoader] = [PackageLoader("asgi_token_auth.mail")]
        self._own: frozenset[str] = frozenset()
        if directory is not None:
            if not Path(directory).is_dir():
                raise SettingsError(f"mail_templates is not a directory: {directory}")
            loaders.insert(0, FileSystemLoader(directory))
            self._own = frozenset(FileSystemLoader(directory).list_templates())
        self._language = language
        self._languages = frozenset(name.split("/")[0] for name in self._own if "/" in name)
        self._environment = Environment(
            loader=ChoiceLoader(loaders),
            autoescape=select_autoescape(("html",)),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
        )
        self._check()

    def subject(self, message: str, user: Any, request: Any, values: Mapping[str, Any]) -> str:
        """One line: a value with a line end in it would begin a header of its own."""
        rendered = self._render(f"{message}.subject.txt", user, request, values)
        return " ".join(rendered.split())

    def text(self, message: str, user: Any, request: Any, values: Mapping[str, Any]) -> str:
        return self._render(f"{message}.txt", user, request, values)

    def html(self, message: str, user: Any, request: Any, values: Mapping[str, Any]) -> str | None:
        """None where the text was replaced and the HTML was not: the two must say the same."""
        language = self._language_of(user, request)
        text, _ = self._find(f"{message}.txt", language)
        html, _ = self._find(f"{message}.html", language)
        if html > text:
            return None
        return self._render(f"{message}.html", user, request, values)

    def _render(self, name: str, user: Any, request: Any, values: Mapping[str, Any]) -> str:
        language = self._language_of(user, request)
        _, found = self._find(name, language)
        context = {**values, "user": user, "language": language or "en"}
        return self._environment.get_template(found).render(context)

    def _find(self, name: str, language: str | None) -> tuple[int, str]:
        """How general the template is (0: for that language), and its path."""
        places = [f"{language}/{name}", name]
        for generality, path in enumerate(places):
            if path in self._own:
                return generality, path
        return len(places), name

    def _language_of(self, user: Any, request: Any) -> str | None:
        if not self._languages:
            return None
        if self._language is not None:
            return self._first_known([self._language(user, request) or ""])
        header = getattr(request, "headers", {}).get("accept-language", "")
        return self._first_known(accepted_languages(header))

    def _first_known(self, tags: list[str]) -> str | None:
        known = {tag.lower().replace("_", "-"): tag for tag in self._languages}
        for tag in tags:
            if LANGUAGE.fullmatch(tag):
                whole = tag.lower().replace("_", "-")
                if found := known.get(whole) or known.get(whole.partition("-")[0]):
                    return found
        return None

    def _check(self) -> None:
        for name in self._own:
            if name.endswith((".txt", ".html")):
                try:
                    self._environment.get_template(name)
                except (TemplateError, UnicodeDecodeError) as error:
                    raise SettingsError(f"mail_templates: {name}: {error}") from error
