"""Django, all in one file.

SECRET_KEY=$(asgi-token-auth generate-secret) python -m uvicorn examples.django_app:app
"""

import contextlib
import os
from collections.abc import AsyncIterator

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from starlette.applications import Starlette
from starlette.routing import Mount

from asgi_token_auth import TokenAuth

auth = TokenAuth(
    database=os.environ.get("DATABASE_URL", "sqlite:///django_app.db"),
    secret_key=os.environ["SECRET_KEY"],
    email_sender="app@example.com",
)


async def messages(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": request.scope["user"].display_name})


urlpatterns = [path("api/messages", messages)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"])
django.setup()


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    await auth.create_tables()
    yield


# Django serves no lifespan. Where the tables are created by `asgi-token-auth create-tables`,
# `auth.wrap(get_asgi_application(), ...)` is enough.
served = Starlette(routes=[Mount("/", app=get_asgi_application())], lifespan=lifespan)
app = auth.wrap(served, mount="/api", protect=["/api/messages"])
