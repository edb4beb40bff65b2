"""What the schemas of requests and answers are made of."""

from typing import Any

Schema = dict[str, Any]

CREDENTIALS = {"email": "ada@example.com", "username": "ada"}
SESSION_NAME = "Ada's phone"


def ref(name: str) -> Schema:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(optional: Schema | None = None, /, **properties: Schema) -> Schema:
    """An object of which every property is required but the optional ones; more may come."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
    }
