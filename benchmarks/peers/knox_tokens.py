"""django-rest-knox under Django REST framework.

The view is synchronous and is called through Django's WSGI handler, in this thread and with a
connection that stays open: as it is usually deployed, and faster than under Django's ASGI handler,
which takes another thread and another connection for each request.
"""

import contextlib
import io
import os
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.urls import path
from starlette.types import Receive, Scope, Send

from asgi_token_auth.testing import SECRET_KEY
from benchmarks.stacks import CONTENT, PATH, Stack, owner, owners

LABEL = "django-rest-knox, WSGI"
BARE_PATH = "/bare"


@contextlib.asynccontextmanager
async def open_stacks(database: str, tokens: int) -> AsyncIterator[dict[str, Stack]]:
    """The stack by its label. Django can be set up once in a process.

    Raises:
        ImportError: Django's driver for that database is not installed.
    """
    if not database.startswith("sqlite:"):
        import psycopg  # noqa: F401  (Django itself would ask for it later)
    _set_up(database)
    issued = _issue(tokens)
    handler = WSGIHandler()
    yield {LABEL: Stack("revocable", _Asgi(handler, BARE_PATH), _Asgi(handler, PATH), issued)}


def _set_up(database: str) -> None:
    # Django refuses blocking queries on an event loop. Here nothing else runs on it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    settings.configure(
        SECRET_KEY=SECRET_KEY,
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {**_database(database), "CONN_MAX_AGE": None}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "knox"],
        MIDDLEWARE=[],
        USE_TZ=True,
        ROOT_URLCONF=(),
        REST_FRAMEWORK={"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]},
        REST_KNOX={"AUTH_HEADER_PREFIX": "Bearer"},
        LOGGING_CONFIG=None,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    settings.ROOT_URLCONF = _routes()


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.path.removeprefix("/")}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.removeprefix("/"),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
        "USER": parts.username or "",
        "PASSWORD": parts.password or "",
    }


def _routes() -> tuple[Any, ...]:
    # These can be imported only once Django is set up.
    from knox.auth import TokenAuthentication
    from rest_framework.permissions import IsAuthenticated
    from rest_framework.response import Response
    from rest_framework.views import APIView

    class Guarded(APIView):
        authentication_classes = (TokenAuthentication,)
        permission_classes = (IsAuthenticated,)

        def get(self, request: Any) -> Any:
            return Response(CONTENT)

    class Bare(Guarded):
        authentication_classes = ()
        permission_classes = ()

    guarded, bare = Guarded.as_view(), Bare.as_view()
    return (path(PATH.lstrip("/"), guarded), path(BARE_PATH.lstrip("/"), bare))


def _issue(tokens: int) -> list[str]:
    from django.contrib.auth.models import User
    from django.db import transaction
    from knox.models import AuthToken

    with transaction.atomic():
        users = [User.objects.create(username=f"user{number}") for number in owners(tokens)]
        return [AuthToken.objects.create(users[owner(n)])[1] for n in range(tokens)]


class _Asgi:
    """A WSGI application as the in-process driver calls it, under one path."""

    def __init__(self, app: WSGIHandler, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started: list[str] = []
        response = self._app(self._environ(scope), lambda status, headers: started.append(status))
        body = b"".join(response)
        response.close()
        status = int(started[0].split()[0])
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def _environ(self, scope: Scope) -> dict[str, Any]:
        headers = {
            f"HTTP_{name.decode().upper().replace('-', '_')}": value.decode()
            for name, value in scope["headers"]
        }
        return {
            "REQUEST_METHOD": scope["method"],
            "PATH_INFO": self._path,
            "SERVER_NAME": scope["server"][0],
            "SERVER_PORT": str(scope["server"][1]),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            **headers,
        }
