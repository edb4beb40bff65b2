"""Reading the bodies of requests: bounded, and whatever they hold."""

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 32


class BadBody(Exception):
    """A body that is not what it should be; `status` and `message` say how."""

    code = "bad_body"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def read_json(request: Request, maximum_bytes: int) -> dict[str, Any]:
    """The JSON object that the body is.

    Raises:
        BadBody: 415 for another content type, 413 if it is too large, 400 if it is no JSON object.
    """
    try:
        content = json.loads(await _read(request, JSON, maximum_bytes), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadBody(400, "The body is not valid JSON") from error
    if not isinstance(content, dict):
        raise BadBody(400, "The body must be a JSON object")
    return content


async def read_form(request: Request, maximum_bytes: int) -> dict[str, str]:
    """The fields of the form that the body is, in UTF-8. One that is empty counts as left out, and
    none may come twice (RFC 6749, section 3.2).

    Raises:
        BadBody: 415 for another content type, 413 if it is too large, 400 if it is no such form.
    """
    try:
        pairs = parse_qsl(
            await _read(request, FORM, maximum_bytes),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:
        raise BadBody(400, "The body is not a valid form") from error
    if len(dict(pairs)) != len(pairs):
        raise BadBody(400, "A field is given more than once")
    return {name: value for name, value in pairs if value}


def nested(content: dict[str, Any], name: str) -> dict[str, Any]:
    """The object under `name`; an empty one where there is none, so that its fields are missing."""
    value = content.get(name)
    return value if isinstance(value, dict) else {}


async def _read(request: Request, expected_type: str, maximum_bytes: int) -> str:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != expected_type:
        raise BadBody(415, f"The content type must be {expected_type}")
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
