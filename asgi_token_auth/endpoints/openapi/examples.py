"""Example values of schemas, for the document and its page."""

from typing import Any

Schema = dict[str, Any]

BY_TYPE = {"integer": 1, "number": 1.0, "boolean": True, "null": None}
TEXT = "text"
UUID = "0b5c1e0a-6d6f-4b8e-9a3c-2f1d7e5a4c3b"


def example_of(schema: Schema, schemas: Schema) -> Any:
    """A value that the schema allows: its own example, or one made of the examples within.

    `schemas` are those that it may refer to.
    """
    schema = resolved(schema, schemas)
    for named in ("examples", "enum"):
        if schema.get(named):
            return schema[named][0]
    if "const" in schema:
        return schema["const"]
    kind = first_type(schema)
    if kind == "object":
        return _object_of(schema, schemas)
    if kind == "array":
        return [example_of(schema["items"], schemas)] if "items" in schema else []
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], schemas)
    return _text_of(schema) if kind == "string" else BY_TYPE.get(kind)


def resolved(schema: Schema, schemas: Schema) -> Schema:
    """The schema that a reference means; any other is itself."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema


def first_type(schema: Schema) -> str:
    """The type, or the first of several."""
    kinds = schema.get("type", "")
    return kinds if isinstance(kinds, str) else str(kinds[0])


def _object_of(schema: Schema, schemas: Schema) -> dict[str, Any]:
    alternative = schema.get("anyOf", [{}])[0].get("required", [])
    needed = [*alternative, *schema.get("required", [])]
    properties = schema.get("properties", {})
    return {name: example_of(properties[name], schemas) for name in needed}


def _text_of(schema: Schema) -> str:
    if schema.get("format") == "uuid":
        return UUID
    return TEXT[: schema.get("maxLength", len(TEXT))]
