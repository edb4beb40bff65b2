"""Schemas in the words of OpenAPI 3.0, which has no null among its types."""

from typing import Any

Schema = dict[str, Any]

NULL: Schema = {"type": "string", "nullable": True, "enum": [None]}


def in_3_0(node: Any) -> Any:
    """A part of an OpenAPI 3.1 document, its schemas put as 3.0 has them."""
    if isinstance(node, list):
        return [in_3_0(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        name: older_schema(value)
        if name == "schema"
        else value
        if name == "example"
        else in_3_0(value)
        for name, value in node.items()
    }


def older_schema(schema: Schema) -> Schema:
    """A JSON Schema of 2020-12, as this library writes them, as a Schema Object of OpenAPI 3.0."""
    older = {name: _older_value(name, value) for name, value in schema.items()}
    if "const" in older:
        older["enum"] = [older.pop("const")]
    if examples := older.pop("examples", None):
        older["example"] = examples[0]
    kinds = older.pop("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if None in older.get("enum", []):
        kinds = ["string", "null"]
    return _typed(older, [kind for kind in kinds if kind != "null"], nullable="null" in kinds)


def _typed(schema: Schema, kinds: list[str], *, nullable: bool) -> Schema:
    if not kinds:
        return {**schema, **NULL} if nullable else schema
    words: Schema = {"nullable": True} if nullable else {}
    if len(kinds) == 1:
        return {"type": kinds[0], **words, **schema}
    return {**schema, "anyOf": [{"type": kind, **words} for kind in kinds]}


def _older_value(name: str, value: Any) -> Any:
    if name == "properties":
        return {each: older_schema(schema) for each, schema in value.items()}
    if name == "anyOf":
        return [older_schema(each) for each in value]
    return older_schema(value) if name in ("items", "additionalProperties") and value else value
