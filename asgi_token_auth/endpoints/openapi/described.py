"""Operations of the document as people read them: their fields, a line for the shell, answers."""

import dataclasses
import json
import shlex
from http import HTTPStatus
from typing import Any

from asgi_token_auth.endpoints.bodies import FORM, JSON
from asgi_token_auth.endpoints.openapi.examples import example_of, resolved
from asgi_token_auth.endpoints.openapi.wording import in_words

Schema = dict[str, Any]

TOKEN = '-H "Authorization: Bearer $TOKEN"'  # noqa: S105


@dataclasses.dataclass(frozen=True)
class Field:
    """What a request may have: where it stands, and what it can be."""

    name: str
    place: str
    words: str
    required: bool
    note: str


@dataclasses.dataclass(frozen=True)
class Answer:
    """What comes back. `headers` are those that no other answer has."""

    status: str
    phrase: str
    note: str
    headers: tuple[str, ...]
    example: str


@dataclasses.dataclass(frozen=True)
class Operation:
    """A method of a path; `also` are the other paths at which it is."""

    id: str
    method: str
    path: str
    also: tuple[str, ...]
    summary: str
    note: str
    needs_token: bool
    fields: tuple[Field, ...]
    place_asked: str
    options: tuple[str, ...]
    answers: tuple[Answer, ...]

    def command(self, base: str) -> str:
        """The line for a shell, of an endpoint under `base`."""
        method = "" if self.method == "GET" else f" -X {self.method}"
        first = f"curl{method} {shlex.quote(base + self.place_asked)}"
        return " \\\n  ".join([first, *self.options])


class Describer:
    """Puts the operations of a document into words."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        self._components = document["components"]

    def operations(self) -> dict[str, list[Operation]]:
        """By their tags; one that is at several paths is told once."""
        found: dict[str, list[Operation]] = {tag["name"]: [] for tag in self._document["tags"]}
        for path, item in self._document["paths"].items():
            for method, content in item.items():
                if "operationId" in content:
                    operation = self._described(path, method, content)
                    found[content["tags"][0]].append(operation)
        return found

    def _described(self, path: str, method: str, content: Schema) -> Operation:
        place, options = path, [TOKEN] if content["security"] else []
        fields = []
        for parameter in content.get("parameters", []):
            name, schema = parameter["name"], parameter["schema"]
            fields.append(self._field(name, parameter["in"], schema, parameter["required"]))
            place = place.replace(f"{{{name}}}", str(self._example(schema)))
        for media_type, body in content.get("requestBody", {"content": {}})["content"].items():
            fields += self._body_fields(body["schema"], "form" if media_type == FORM else "body")
            options += _body_options(media_type, body["example"])
        return Operation(
            id=content["operationId"],
            method=method.upper(),
            path=path,
            also=self._other_paths(method, content),
            summary=content["summary"],
            note=content.get("description", ""),
            needs_token=bool(content["security"]),
            fields=tuple(fields),
            place_asked=place,
            options=tuple(options),
            answers=tuple(self._answer(*each) for each in content["responses"].items()),
        )

    def _other_paths(self, method: str, content: Schema) -> tuple[str, ...]:
        same = {name: value for name, value in content.items() if name != "operationId"}
        paths = self._document["paths"].items()
        return tuple(path for path, item in paths if item.get(method) == same)

    def _body_fields(self, schema: Schema, place: str, within: str = "") -> list[Field]:
        schema, fields = resolved(schema, self._components["schemas"]), []
        for name, inner in schema["properties"].items():
            full, shape = within + name, resolved(inner, self._components["schemas"])
            if "properties" in shape:
                fields += self._body_fields(shape, place, f"{full}.")
            else:
                fields.append(self._field(full, place, inner, name in schema.get("required", [])))
        return fields

    def _field(self, name: str, place: str, schema: Schema, required: bool) -> Field:
        schemas = self._components["schemas"]
        note = resolved(schema, schemas).get("description", "")
        return Field(name, place, in_words(schema, schemas), required, note)

    def _answer(self, status: str, response: Schema) -> Answer:
        response = resolved(response, self._components["responses"])
        content = response["content"].get(JSON, {})
        example = json.dumps(content["example"], indent=2) if "example" in content else ""
        headers = tuple(name for name in response["headers"] if name != "Cache-Control")
        phrase = HTTPStatus(int(status)).phrase
        return Answer(status, phrase, response["description"], headers, example)

    def _example(self, schema: Schema) -> Any:
        return example_of(schema, self._components["schemas"])


def _body_options(media_type: str, example: Any) -> list[str]:
    if media_type == FORM:
        pairs = (f"{name}={value}" for name, value in example.items())
        return [f"--data-urlencode {shlex.quote(pair)}" for pair in pairs]
    body = shlex.quote(json.dumps(example, ensure_ascii=False))
    return [f"-H {shlex.quote(f'Content-Type: {media_type}')}", f"-d {body}"]
