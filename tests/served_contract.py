"""Holds answers to what /openapi.json says of them."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx
from jsonschema import Draft202012Validator

Schema = dict[str, Any]

READERS: dict[str, Callable[[str], Any]] = {
    "application/json": json.loads,
    "application/x-www-form-urlencoded": lambda form: dict(parse_qsl(form, keep_blank_values=True)),
    "text/html": str,
}


class ServedContract:
    """A served document, and whether answers are as it says.

    Args:
        document: as served.
        mount: what its paths are relative to.
    """

    def __init__(self, document: Schema, mount: str) -> None:
        self.document = document
        self._mount = mount
        self._validators: dict[str, Draft202012Validator] = {}
        self._paths = [
            (re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + r"\Z", re.DOTALL), item)
            for path, item in document["paths"].items()
        ]

    async def check(self, response: httpx.Response) -> None:
        """For httpx: looks at each answer to a path of the contract."""
        request, path = response.request, unquote(response.request.url.path)
        await response.aread()
        sent = request.content if response.is_success else b""
        self.check_answer(request.method, path, response, sent)

    def check_answer(self, method: str, path: str, response: httpx.Response, sent: bytes) -> None:
        """Whether the answer to a request with the body `sent` is one that is described."""
        below = path.removeprefix(self._mount)
        item = self._item(below) if path.startswith(self._mount) else None
        if item is None:
            return
        operation: Schema | None = item.get("get" if method == "HEAD" else method.lower())
        self._check(response, operation, with_body=method != "HEAD")
        if response.is_success and operation and "requestBody" in operation:
            # What was taken is nothing that the schema forbids.
            [(media_type, content)] = operation["requestBody"]["content"].items()
            self._validate(content["schema"], READERS[media_type](sent.decode()))

    def _item(self, path: str) -> Schema | None:
        return next((item for pattern, item in self._paths if pattern.match(path)), None)

    def _check(
        self, response: httpx.Response, operation: Schema | None, *, with_body: bool
    ) -> None:
        status = str(response.status_code)
        if operation is None:
            assert status == "405", "a method that is not described"
            expected = self._resolved({"$ref": "#/components/responses/MethodNotAllowed"})
        else:
            assert status in operation["responses"], f"{status} is not described"
            expected = self._resolved(operation["responses"][status])
        [(media_type, content)] = expected["content"].items()
        assert response.headers["content-type"].partition(";")[0] == media_type
        for name, header in expected.get("headers", {}).items():
            self._check_header(response, name, self._resolved(header))
        if with_body:
            self._validate(content["schema"], READERS[media_type](response.text))

    def _check_header(self, response: httpx.Response, name: str, header: Schema) -> None:
        assert name in response.headers or not header.get("required"), f"no {name}"
        if name in response.headers:
            value = response.headers[name]
            is_number = header["schema"]["type"] == "integer"
            self._validate(header["schema"], int(value) if is_number else value)

    def _resolved(self, node: Schema) -> Schema:
        if "$ref" not in node:
            return node
        _, _, kind, name = node["$ref"].split("/")
        found: Schema = self.document["components"][kind][name]
        return found

    def _validate(self, schema: Schema, value: Any) -> None:
        validator = self._validators.get(str(schema))
        if validator is None:
            whole = {"allOf": [schema], "components": self.document["components"]}
            validator = self._validators[str(schema)] = Draft202012Validator(whole)
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
        assert not errors, errors
