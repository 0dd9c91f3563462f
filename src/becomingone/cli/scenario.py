"""A scenario: a whole cell in one file, from which the hub's and every node's configuration is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from becomingone.broker.settings import BrokerSettings
from becomingone.config.loader import load
from becomingone.config.sections import CellConfig
from becomingone.errors import ConfigError
from becomingone.hub.config import HubBody, HubConfig
from becomingone.node.config import NodeBody, NodeConfig
from becomingone.node.sections import ClockSection

ONE_MACHINE_CLOCK = ClockSection(sigma_s=1e-4)
"""Nodes on one machine read the same clock; what remains is the scheduling between reading and using it."""


class Scenario(CellConfig):
    """What ``becomingone up`` starts."""

    title: Annotated[str, Field(max_length=200, description="one line that says what is to be seen")]
    hub: HubBody = HubBody()
    nodes: Annotated[tuple[NodeBody, ...], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _check_nodes(self) -> Scenario:
        ids = [node.node for node in self.nodes]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            msg = f"node ids must be unique; used twice: {', '.join(twice)}"
            raise ValueError(msg)
        for number, node in enumerate(self.nodes):
            try:
                node.check_bands(self.bands)
            except ValueError as error:
                msg = f"nodes[{number}].{error}"
                raise ValueError(msg) from error
        return self

    def _cell(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in CellConfig.model_fields}

    def hub_config(self, broker: BrokerSettings, state_dir: Path) -> HubConfig:
        """Make the hub's configuration."""
        body = {name: getattr(self.hub, name) for name in HubBody.model_fields}
        return HubConfig(**self._cell(), **body, broker=broker, state_dir=state_dir)

    def node_configs(self, broker: BrokerSettings, state_dir: Path) -> list[NodeConfig]:
        """Make every node's configuration."""
        return [
            NodeConfig(
                **self._cell(),
                **{name: getattr(node, name) for name in NodeBody.model_fields},
                broker=broker,
                clock=ONE_MACHINE_CLOCK,
                state_dir=state_dir,
            )
            for node in self.nodes
        ]


def names() -> list[str]:
    """Give the scenarios that come with the project."""
    folder = files("becomingone.scenarios")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_scenario(name: str, *, overrides: Sequence[str], environ: Mapping[str, str]) -> Scenario:
    """Load a scenario by name, or from a file.

    Raises
    ------
    ConfigError
        What is wrong, with file, line and field.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if name not in names():
            msg = f"there is no scenario {name!r}; there are {', '.join(names())}, or give a .yaml file"
            raise ConfigError(msg)
        path = Path(str(files("becomingone.scenarios").joinpath(f"{name}.yaml")))
    return load(Scenario, path, overrides=overrides, environ=environ)


def plain(config: NodeConfig | HubConfig) -> dict[str, object]:
    """Give a configuration as it is written to a file of its own, passwords included."""
    content = config.model_dump(mode="json", exclude_defaults=False)
    password = config.broker.password
    if isinstance(password, SecretStr):
        content["broker"]["password"] = password.get_secret_value()
    return content
