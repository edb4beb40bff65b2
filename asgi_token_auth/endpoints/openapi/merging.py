"""The account endpoints in an application's own OpenAPI document, and the guard on what it has."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from asgi_token_auth.endpoints.openapi.document import with_token_url
from asgi_token_auth.endpoints.openapi.older import in_3_0, older_schema
from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.paths import GuardedPaths, Need

Schema = dict[str, Any]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
UNLISTED = ("openapi", "docs")  # an application's document does not list itself
GUARDED = {"400": "BadCredentials", "401": "NotAuthenticated", "503": "Unavailable"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Merge:
    """Puts the account endpoints into documents of an application.

    Args:
        endpoints: the document of the endpoints.
        mount: the path that they are under.
        guarded: what the application's paths ask for.
        root_path: what the application itself is under.
        prefix: what names of components, operations and tags begin with, so that they are none of
            the application's.
    """

    endpoints: Schema
    mount: str
    guarded: GuardedPaths
    root_path: str
    prefix: str

    def into(self, document: Mapping[str, Any]) -> Schema:
        """The document with the endpoints; the one given stays as it is.

        Raises:
            SettingsError: it is not OpenAPI 3, or has components of these names already that are
                others.
        """
        version = str(document.get("openapi", ""))
        if not version.startswith("3."):
            raise SettingsError(f"only OpenAPI 3 can be added to, not {version or 'this'}")
        ours = self._in_version(version, self._placed(document))
        return {
            **document,
            "paths": self._paths(document, ours["paths"]),
            "components": _components(document, ours["components"]),
        }

    def _placed(self, document: Mapping[str, Any]) -> Schema:
        """The endpoints' document under their names and paths in the application's."""
        url = f"{self._server(document)}{self.mount}/token"
        endpoints = with_token_url(self.endpoints, url)
        components = {
            kind: {self._name(name): self._renamed(value) for name, value in named.items()}
            for kind, named in endpoints["components"].items()
        }
        items = {path: self._item(item) for path, item in endpoints["paths"].items()}
        paths = {f"{self.mount}{path}": item for path, item in items.items() if item}
        return {"paths": paths, "components": components}

    def _server(self, document: Mapping[str, Any]) -> str:
        """What the document's paths are under."""
        servers = document.get("servers") or [{"url": ""}]
        return (self.root_path or str(servers[0].get("url") or "")).rstrip("/")

    def _in_version(self, version: str, ours: Schema) -> Schema:
        if not version.startswith("3.0"):
            return ours
        components = in_3_0(ours["components"])
        schemas = ours["components"]["schemas"]
        components["schemas"] = {name: older_schema(schema) for name, schema in schemas.items()}
        return {"paths": in_3_0(ours["paths"]), "components": components}

    def _item(self, item: Schema) -> Schema:
        return {
            method: self._operation(operation)
            for method, operation in item.items()
            if operation.get("operationId") not in UNLISTED
        }

    def _operation(self, operation: Schema) -> Schema:
        renamed: Schema = self._renamed(operation)
        tags = [f"{self.prefix}: {tag}" for tag in operation["tags"]]
        required: list[Schema] = operation["security"]
        security: list[Schema] = [{self._name(name): [] for name in each} for each in required]
        return {**renamed, "tags": tags, "security": security}

    def _renamed(self, node: Any) -> Any:
        """With every reference to a component, and every operation's id, as it is called here."""
        if isinstance(node, list):
            return [self._renamed(each) for each in node]
        if not isinstance(node, dict):
            return node
        return {name: self._renamed_value(name, value) for name, value in node.items()}

    def _renamed_value(self, name: str, value: Any) -> Any:
        if not isinstance(value, str):  # such as a column of that name
            return value if name in ("example", "examples") else self._renamed(value)
        if name == "$ref":
            place, _, component = value.rpartition("/")
            return f"{place}/{self._name(component)}"
        return f"{self.prefix}_{value}" if name == "operationId" else value

    def _name(self, component: str) -> str:
        return f"{self.prefix}{component[0].upper()}{component[1:]}"

    def _paths(self, document: Mapping[str, Any], ours: Schema) -> Schema:
        """The application's, with what the guard asks of them, and then the endpoints'. What it
        has of its own at an endpoint's path and method stays."""
        own = document.get("paths") or {}
        inherited = document.get("security") or []
        paths = {
            path: self._guarded_item(path, item or {}, ours.get(path, {}), inherited)
            if path.startswith("/")
            else item  # an extension, x-...
            for path, item in own.items()
        }
        return {**paths, **{path: {**item, **paths.get(path, {})} for path, item in ours.items()}}

    def _guarded_item(
        self, path: str, item: Schema, ours: Schema, inherited: list[Schema]
    ) -> Schema:
        need = self.guarded.need({"type": "http", "path": path, "root_path": ""})
        if need == "nothing":
            return item
        return {
            name: self._guarded_operation(value, need, inherited)
            if name in METHODS and value != ours.get(name)
            else value
            for name, value in item.items()
        }

    def _guarded_operation(self, operation: Schema, need: Need, inherited: list[Schema]) -> Schema:
        required = operation.get("security", inherited)
        schemes = self._schemes()
        if not any(scheme in each for each in required for scheme in schemes):
            with_token = [{**each, name: []} for name in schemes for each in required or [{}]]
            without = (required or [{}]) if need == "optional" else []
            required = [*without, *with_token]
        answers = {
            status: {"$ref": f"#/components/responses/{self._name(name)}"}
            for status, name in GUARDED.items()
        }
        own = operation.get("responses") or {}
        # YAML makes numbers of them, where nobody put quotation marks.
        responses = {**answers, **{str(status): answer for status, answer in own.items()}}
        return {**operation, "security": required, "responses": dict(sorted(responses.items()))}

    def _schemes(self) -> list[str]:
        return [self._name(name) for name in self.endpoints["components"]["securitySchemes"]]


def _components(document: Mapping[str, Any], ours: Schema) -> Schema:
    own: Mapping[str, Any] = document.get("components") or {}
    taken = [
        name
        for kind, named in ours.items()
        for name, value in named.items()
        if own.get(kind, {}).get(name, value) != value
    ]
    if taken:
        raise SettingsError(
            f"the document has other components of these names, give another prefix: {taken}"
        )
    return {**own, **{kind: {**own.get(kind, {}), **named} for kind, named in ours.items()}}
