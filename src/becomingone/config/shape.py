"""What a model allows at each place of a configuration, read from its JSON Schema.

The schema is what says, in one form for every kind of model, which names are known, which values are secret and what
was wanted where nothing was found.

References
----------
.. [1] JSON Schema 2020-12, https://json-schema.org/draft/2020-12/schema
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from becomingone.config.tree import Keys, Node

_TYPES: Final = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping (name: value)",
    "string": "text",
}


class _Quiet(GenerateJsonSchema):
    """Says nothing about defaults that have no JSON form: they are no mistake of the user."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of what a configuration file may hold.

    Parameters
    ----------
    model : type[BaseModel]
        The model of the file.

    Returns
    -------
    dict[str, Any]
        The schema, with ``$schema`` and ``title``.
    """
    made = model.model_json_schema(schema_generator=_Quiet, mode="validation")
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": model.__name__, **made}


class Shape:
    """Finds the part of a schema that belongs to a place of the tree.

    Parameters
    ----------
    model : type[BaseModel]
        The model of the file.
    root : Node
        The tree; its values choose among the branches of a discriminated union.
    """

    def __init__(self, model: type[BaseModel], root: Node) -> None:
        self._schema = schema(model)
        self._root = root

    def at(self, keys: Keys) -> list[dict[str, Any]]:
        """Give all branches that may stand at `keys`; none where nothing is known."""
        node: Node | None = self._root
        found = self._branches([self._schema], node)
        for key in keys:
            node = child(node, key)
            found = self._branches(_steps(found, key), node)
        return found

    def names(self, keys: Keys) -> list[str]:
        """Give the field names known at `keys`, in the order of the model."""
        return list(dict.fromkeys(name for branch in self.at(keys) for name in branch.get("properties", {})))

    def wanted(self, keys: Keys) -> str:
        """Say what should stand at `keys`; empty where nothing is known."""
        words: list[str] = []
        for branch in self.at(keys):
            choice = branch.get("enum", [branch["const"]] if "const" in branch else None)
            if choice is not None:
                words.extend(f"'{value}'" if isinstance(value, str) else str(value) for value in choice)
            elif branch.get("type") in _TYPES:
                words.append(_TYPES[branch["type"]])
        return " or ".join(dict.fromkeys(words))

    def is_secret(self, keys: Keys) -> bool:
        """Say whether the value at `keys`, or what it is a part of, must not be shown."""
        return any(_write_only(self.at(keys[:depth])) for depth in range(len(keys) + 1))

    def secret_texts(self) -> set[str]:
        """Collect all texts of the tree that stand where secrets belong."""
        texts: set[str] = set()
        self._collect(self._root, [self._schema], False, texts)
        return texts

    def _collect(self, node: Node, schemas: list[dict[str, Any]], hidden: bool, texts: set[str]) -> None:
        branches = self._branches(schemas, node)
        hidden = hidden or _write_only(branches)
        if isinstance(node.value, dict):
            for name, value in node.value.items():
                self._collect(value, _steps(branches, name), hidden, texts)
        elif isinstance(node.value, list):
            for i, value in enumerate(node.value):
                self._collect(value, _steps(branches, i), hidden, texts)
        elif hidden and node.text:
            texts.add(node.text)

    def _branches(self, schemas: Iterable[dict[str, Any]], node: Node | None) -> list[dict[str, Any]]:
        """Follow references and unions down to the schemas that say something themselves."""
        todo = list(schemas)[::-1]
        done: dict[int, dict[str, Any]] = {}
        while todo:
            part = todo.pop()
            if id(part) in done:
                continue
            done[id(part)] = part
            todo.extend(self._below(part, node)[::-1])
        return list(done.values())

    def _below(self, part: dict[str, Any], node: Node | None) -> list[dict[str, Any]]:
        if "$ref" in part:
            return [self._definition(part["$ref"])]
        discriminator = part.get("discriminator", {})
        chosen = child(node, discriminator.get("propertyName", ""))
        mapping = discriminator.get("mapping", {})
        if chosen is not None and isinstance(chosen.value, str) and chosen.value in mapping:
            return [self._definition(mapping[chosen.value])]
        return [branch for word in ("anyOf", "oneOf", "allOf") for branch in part.get(word, [])]

    def _definition(self, reference: str) -> dict[str, Any]:
        found: dict[str, Any] = self._schema.get("$defs", {}).get(reference.rpartition("/")[2], {})
        return found


def child(node: Node | None, key: str | int) -> Node | None:
    """Give the child of `node` at `key`, if there is one."""
    value = node.value if node else None
    if isinstance(value, dict) and isinstance(key, str):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value):
        return value[key]
    return None


def _steps(branches: list[dict[str, Any]], key: str | int) -> list[dict[str, Any]]:
    found: list[Any] = []
    for branch in branches:
        if isinstance(key, int):
            first: list[Any] = branch.get("prefixItems", [])
            found.append(first[key] if key < len(first) else branch.get("items"))
        elif key in branch.get("properties", {}):
            found.append(branch["properties"][key])
        else:
            found.append(branch.get("additionalProperties"))
            found.extend(branch.get("patternProperties", {}).values())
    return [part for part in found if isinstance(part, dict)]


def _write_only(branches: list[dict[str, Any]]) -> bool:
    return any(branch.get("writeOnly", False) for branch in branches)
