"""Reads a configuration: the file, what the environment and the command line lay over it, and its model.

Three functions tell about a model without reading anything: `schema`, `canonical` and `digest`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePath
from typing import Final, TypeVar, cast

from pydantic import BaseModel, Secret, SecretBytes, SecretStr, ValidationError
from pydantic_core import ErrorDetails, to_jsonable_python

from becomingone.config.document import Builder, compose, decode, read_bytes
from becomingone.config.override import lay_over
from becomingone.config.secret import Secrets
from becomingone.config.shape import Shape, schema
from becomingone.config.tree import DocumentError, Keys, Node, Place, Problem, plain, walk
from becomingone.errors import ConfigError

__all__ = ["ConfigProblems", "Layers", "canonical", "digest", "load", "read_layers", "schema", "validated"]

M = TypeVar("M", bound=BaseModel)

HIDDEN: Final = "(secret)"


class ConfigProblems(ConfigError):  # noqa: N818 - it is a list of them
    """All that is wrong with one configuration.

    Parameters
    ----------
    problems : Sequence[str]
        One line each, such as ``node.yaml:12: devices[0].rate_hz: must be at most 20 (got 50)``.

    details : Sequence[Problem], optional
        The same, each in its parts.

    Attributes
    ----------
    problems : tuple[str, ...]
        The same lines, in the order of the file, then the environment, then the command line.
    """

    def __init__(self, problems: Sequence[str], details: Sequence[Problem] = ()) -> None:
        super().__init__(tuple(problems))
        self.problems = tuple(problems)
        self.details = tuple(details)

    def __str__(self) -> str:
        return "\n".join(self.problems)


@dataclass(slots=True)
class Layers:
    """A file with what is laid over it, not yet held against a model.

    Parameters
    ----------
    root : Node
        The effective tree.
    secrets : Secrets
        What its secrets were resolved with.
    problems : list[Problem]
        What is wrong with its keys and with what was laid over.
    """

    root: Node
    secrets: Secrets
    problems: list[Problem] = field(default_factory=list[Problem])


def load(model: type[M], path: Path, *, overrides: Sequence[str] = (), environ: Mapping[str, str]) -> M:
    """Read the configuration in `path`.

    Parameters
    ----------
    model : type[M]
        What the file must hold. A field that may be a secret is a ``SecretStr``; ``!secret`` fits no other.
    path : Path
        The YAML file; ``secrets.yaml`` is looked for beside it.
    overrides : Sequence[str], optional
        ``section.key=value`` each, laid over the file and the environment; a later one wins.
    environ : Mapping[str, str]
        The environment: ``BECOMINGONE__SECTION__KEY`` is laid over the file; secrets may be in it, too.

    Returns
    -------
    M
        The effective configuration.

    Raises
    ------
    ConfigProblems
        With one line for everything that is wrong.
    """
    return validated(model, read_layers(path, overrides=overrides, environ=environ))


def read_layers(
    path: Path,
    *,
    raw: bytes | None = None,
    folder: Path | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str],
) -> Layers:
    """Read a configuration, and lay the environment and the command line over it.

    Parameters
    ----------
    path, overrides, environ
        As for `load`.
    raw : bytes, optional
        What the file holds, where it has been read already.
    folder : Path, optional
        Where ``secrets.yaml`` is; by default beside the file.

    Raises
    ------
    ConfigProblems
        The file cannot be read as a mapping at all.
    """
    layers = Layers(Node(Place(str(path), 1), {}), Secrets(folder or path.parent, environ))
    layers.root = _read(path, raw, layers.secrets, layers.problems)
    lay_over(layers.root, layers.problems, overrides=overrides, environ=environ, secret=layers.secrets.resolve)
    return layers


def validated(model: type[M], layers: Layers, *, context: Mapping[str, object] | None = None) -> M:
    """Make the configuration that `layers` hold.

    Parameters
    ----------
    model, layers
        As for `load`, and from `read_layers`.
    context : Mapping[str, object], optional
        What the model's validators may ask for.

    Raises
    ------
    ConfigProblems
        As for `load`.
    """
    root, secrets, problems = layers.root, layers.secrets, list(layers.problems)
    data = plain(root)
    errors: list[ErrorDetails] = []
    # The error is left behind before anything is raised: its text shows inputs, and a traceback would print it.
    try:
        loaded = model.model_validate(data, context=None if context is None else dict(context))
    except ValidationError as exc:
        loaded, errors = None, exc.errors(include_url=False)
    wrong = [Problem(node.place, keys, node.wrong) for keys, node in walk(root) if node.wrong is not None]
    problems += wrong
    if errors:
        from becomingone.config.explain import Explainer  # noqa: PLC0415 - most starts have nothing to explain

        shape = Shape(model, root)
        explained = Explainer(root, data, shape, secrets.texts | shape.secret_texts()).explain(errors)
        problems += _unrelated(explained, {problem.keys for problem in wrong})
    if problems or loaded is None:
        problems.sort(key=lambda problem: (problem.place.order, problem.place.line or 0))
        raise _problems(problems)
    return loaded


def canonical(model: BaseModel) -> bytes:
    """Write an effective configuration in the one form that equal configurations share.

    Parameters
    ----------
    model : BaseModel
        The configuration; its defaults count as if they were written.

    Returns
    -------
    bytes
        JSON in UTF-8 with sorted keys and no spaces. A secret is the text ``(secret)``, whatever it holds; numbers that
        JSON lacks are ``"nan"``, ``"inf"`` and ``"-inf"``.
    """
    text = json.dumps(_bare(model), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def digest(model: BaseModel) -> str:
    """Name an effective configuration: the SHA-256 of its `canonical` form, in hexadecimal.

    Parameters
    ----------
    model : BaseModel
        The configuration.

    Returns
    -------
    str
        64 digits; they do not depend on the secrets.
    """
    return hashlib.sha256(canonical(model)).hexdigest()


def _bare(value: object) -> object:
    """Reduce `value` to what JSON has."""
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return _bare({**fields, **(value.model_extra or {})})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _bare({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(to_jsonable_python(key)): _bare(item) for key, item in items}
    if isinstance(value, list | tuple):
        return [_bare(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, set | frozenset):
        return sorted(map(_bare, cast("Set[object]", value)), key=lambda item: json.dumps(item, sort_keys=True))
    return _bare_scalar(value)


def _bare_scalar(value: object) -> object:
    match value:
        case SecretStr() | SecretBytes() | Secret():
            return HIDDEN
        case Enum():
            return _bare(value.value)
        case float() if not math.isfinite(value):
            return str(value)
        case PurePath():
            return value.as_posix()
        case bytes():
            return value.hex()
        case _:
            return cast("object", to_jsonable_python(value))


def _problems(problems: Sequence[Problem]) -> ConfigProblems:
    lines: dict[str, Problem] = {}
    for problem in problems:
        lines.setdefault(str(problem), problem)
    return ConfigProblems(list(lines), list(lines.values()))


def _read(path: Path, raw: bytes | None, secrets: Secrets, problems: list[Problem]) -> Node:
    try:
        node = compose(decode(read_bytes(path) if raw is None else raw))
        root = Builder(str(path), secrets.resolve, problems).build(node) if node else None
    except DocumentError as exc:
        place, message = Place(str(path), exc.line), str(exc)
    else:
        if root is not None and isinstance(root.value, dict):
            return root
        place, message = Place(str(path), 1), "is empty; must hold a mapping (name: value)"
        if root is not None and (root.text or root.wrong or root.value is not None):
            got = "a list" if isinstance(root.value, list) else "a single value"
            place, message = root.place, root.wrong or f"must be a mapping (name: value), not {got}"
    raise _problems([Problem(place, (), message)])


def _unrelated(problems: list[Problem], broken: set[Keys]) -> list[Problem]:
    """Leave out what is at, above or below a broken value: it would only speak of the value's absence."""
    above = {keys[:depth] for keys in broken for depth in range(len(keys))}
    return [
        problem
        for problem in problems
        if problem.keys not in above
        and not any(problem.keys[:depth] in broken for depth in range(len(problem.keys) + 1))
    ]
