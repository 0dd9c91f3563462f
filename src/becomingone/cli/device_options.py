"""Options of one device, from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import yaml
from pydantic import BaseModel, ValidationError

from becomingone.devices.contract import Module
from becomingone.errors import ConfigError


def options_of(module: Module, given: Sequence[str], **fixed: Any) -> BaseModel:  # noqa: ANN401 - whatever it takes
    """Make a device's options.

    Parameters
    ----------
    module : Module
        Whose.
    given : sequence of str
        ``option=value`` each, with ``left.forward=17`` for what is inside; a value is YAML.
    fixed
        Further options, which win.

    Raises
    ------
    ConfigError
        One of them is wrong, missing or unknown; all are named, a line each.
    """
    wanted: dict[str, Any] = {}
    for item in given:
        key, equals, text = item.partition("=")
        if not equals or not all(key.split(".")):
            msg = f"--set {item}: must be written as option=value"
            raise ConfigError(msg)
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            msg = f"--set {key}: the value is not YAML; put it in quotes"
            raise ConfigError(msg) from error
        _put(wanted, key.split("."), value, item)
    wanted.update(fixed)
    try:
        options: BaseModel = module.options.model_validate(wanted)
    except ValidationError as error:
        raise ConfigError("\n".join(_lines(module, error))) from error
    return options


def _put(into: dict[str, Any], keys: list[str], value: object, item: str) -> None:
    for key in keys[:-1]:
        inner: Any = into.setdefault(key, {})
        if not isinstance(inner, dict):
            msg = f"--set {item}: {key} has a value already, so nothing can be inside it"
            raise ConfigError(msg)
        into = cast("dict[str, Any]", inner)
    into[keys[-1]] = value


def _lines(module: Module, error: ValidationError) -> list[str]:
    found: list[str] = []
    for one in error.errors(include_url=False):
        field = ".".join(str(part) for part in one["loc"]) or "options"
        what = one["msg"].replace("Input should be", "must be").removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            what = f"{module.kind} has no such option; it has {', '.join(module.options.model_fields)}"
        elif one["type"] == "missing":
            what = f"must be given: --set {field}=..."
        found.append(f"{field}: {what}")
    return found
