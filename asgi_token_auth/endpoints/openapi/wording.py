"""Schemas in words, for people."""

from typing import Any

from asgi_token_auth.endpoints.openapi.examples import resolved

Schema = dict[str, Any]

NAMES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
    "array": "list",
    "null": "null",
}
FORMATS = {"email": "e-mail address", "uuid": "UUID", "date-time": "time (RFC 3339)"}
BLANK = r"^\s*$"


def in_words(schema: Schema, schemas: Schema) -> str:
    """What the schema allows, its limits with it; `schemas` are those that it may refer to."""
    schema = resolved(schema, schemas)
    if "const" in schema:
        return f"always {schema['const']}"
    if "enum" in schema:
        return "one of " + ", ".join(
            "null" if each is None else str(each) for each in schema["enum"]
        )
    if "anyOf" in schema and "type" not in schema:
        each = [in_words(option, schemas) for option in schema["anyOf"]]
        return ", or ".join(dict.fromkeys(each))
    kinds = schema.get("type", [])
    names = [_name(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return ", ".join([" or ".join(names) or "anything", *_limits(schema)])


def _name(kind: str, schema: Schema) -> str:
    if kind != "string":
        return NAMES[kind]
    if schema.get("pattern") == BLANK or schema.get("maxLength") == 0:
        return "blank"
    return FORMATS.get(schema.get("format", ""), "text")


def _limits(schema: Schema) -> list[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 0)
    limits = [f"at least {least:,} characters"] if least > 1 else []
    limits += [f"at most {most:,} characters"] if most else []
    if "minimum" in schema:
        limits.append(f"from {schema['minimum']:,} to {schema['maximum']:,}")
    return limits
