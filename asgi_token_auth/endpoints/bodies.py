"""Reading JSON bodies: bounded, and whatever they hold."""

import json
from typing import Any

from starlette.requests import ClientDisconnect, Request


class BadBody(Exception):
    """A body that is not what it should be; `status` and `message` say how."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def read_json(request: Request, maximum_bytes: int) -> dict[str, Any]:
    """The JSON object that the body is.

    Raises:
        BadBody: 415 for another content type, 413 if it is too large, 400 if it is no JSON object.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise BadBody(415, "The content type must be application/json")
    try:
        content = json.loads(await _read(request, maximum_bytes), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadBody(400, "The body is not valid JSON") from error
    if not isinstance(content, dict):
        raise BadBody(400, "The body must be a JSON object")
    return content


def nested(content: dict[str, Any], name: str) -> dict[str, Any]:
    """The object under `name`; an empty one where there is none, so that its fields are missing."""
    value = content.get(name)
    return value if isinstance(value, dict) else {}


async def _read(request: Request, maximum_bytes: int) -> str:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > maximum_bytes:
                raise BadBody(413, f"The body must be at most {maximum_bytes} bytes")
    except ClientDisconnect as error:
        raise BadBody(400, "The body ended early") from error
    return body.decode()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
