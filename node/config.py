"""A node's configuration, ``node.yaml``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator, model_validator

from becomingone.broker.settings import BrokerSettings
from becomingone.config.marks import HOT, RESTART
from becomingone.config.sections import CellConfig, Name, Positive, Section
from becomingone.config.security import NodeSecurity
from becomingone.devices.contract import Module
from becomingone.devices.registry import catalogue, load
from becomingone.errors import DeviceError, MissingLibraryError
from becomingone.node.sections import ClockSection, EmissarySection, LifeSection, SpoolSection

Kind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""The name of a device module."""

HardwareName = Literal["pi_zero", "pi_4", "pi_2", "mac_mini", "cloud"]
"""The documents' hardware classes; each covers a range of τ, see `becomingone.kairos.bands`."""


DeviceFaults = Literal["none", "broken", "all"]
"""Which faults of device modules a configuration may have, in the validation's context as ``device_faults``: none;
those of modules that are there and cannot be imported; or all, so that the device is merely not available."""


class DeviceSection(Section):
    """One input or output device."""

    name: Annotated[Name, HOT, Field(description="unique within the node")]
    kind: Annotated[Kind, HOT, Field(description="the device module, see `becomingone devices list`")]
    options: Annotated[dict[str, Any], HOT, Field(default_factory=dict, description="the module's own options")]


IMPORT_S = 5.0
"""Seconds after which a device module whose import has not returned counts as broken, when a configuration is read."""


def device_of(
    section: DeviceSection, drop_in: Path | None, *, patience_s: float | None = None
) -> tuple[Module, BaseModel]:
    """Find a device's module and make its options; nothing is opened.

    Parameters
    ----------
    section : DeviceSection
        Its kind and options.
    drop_in, patience_s
        See `becomingone.devices.registry.load`.

    Raises
    ------
    ValueError
        Begins with the field that is wrong: ``kind: ...`` or ``options.rate_hz: ...``.
    """
    try:
        module = load(section.kind, drop_in=drop_in, patience_s=patience_s)
    except (DeviceError, MissingLibraryError) as error:
        msg = f"kind: {error}"
        raise ValueError(msg) from error
    try:
        return module, module.options.model_validate(section.options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(["options", *(str(part) for part in first["loc"])])
        what = first["msg"].replace("Input should be", "must be").removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            what = f"{section.kind} has no such option; it has {', '.join(module.options.model_fields)}"
        msg = f"{field}: {what}"
        raise ValueError(msg) from error


def _is_broken(error: ValueError, section: DeviceSection, drop_in: Path | None) -> bool:
    """Whether the module is there and is itself at fault, not what the configuration says of it."""
    return isinstance(error.__cause__, DeviceError | MissingLibraryError) and section.kind in catalogue(drop_in)


class InputSection(DeviceSection):
    """One sensor."""

    prefix: Annotated[
        str, HOT, Field(pattern=r"^([a-z0-9][a-z0-9_-]{0,30})?$", description="put before its channels' names")
    ] = ""
    bands: Annotated[
        tuple[Name, ...] | None,
        HOT,
        Field(description="demodulate in these bands only; default: all that rate and hardware class allow"),
    ] = None
    keep: Annotated[
        bool, HOT, Field(description="keep its frames on the disk until the hub has committed them, over every outage")
    ] = False
    latency_s: Annotated[
        float,
        HOT,
        Field(
            ge=0, le=60, description="delay of the device, s, taken off its times; measure: becomingone node calibrate"
        ),
    ] = 0.0


class OutputSection(DeviceSection):
    """One output."""

    stale_s: Annotated[
        Positive, HOT, Field(le=60, description="seconds without a fresh command after which the hub counts as gone")
    ] = 2.0
    alone_s: Annotated[
        float,
        HOT,
        Field(
            ge=0,
            le=86_400,
            description="seconds for which a display or speaker then follows the node's own rhythm; a motor never does",
        ),
    ] = 600.0
    band: Annotated[
        Name | None, HOT, Field(description="the band that it follows alone; default: the most coherent")
    ] = None


class NodeBody(Section):
    """What one node is and has, whatever cell and broker it belongs to."""

    node: Annotated[Name, RESTART, Field(description="this node's id, unique in the cell")]
    hardware: Annotated[HardwareName, RESTART, Field(description="hardware class; decides the range of τ")] = "pi_zero"
    capability: Annotated[float, RESTART, Field(ge=0, le=1000, description="weight of this node in the mesh")] = 1.0
    inputs: Annotated[tuple[InputSection, ...], HOT, Field(max_length=64, description="its sensors")] = ()
    outputs: Annotated[tuple[OutputSection, ...], HOT, Field(max_length=64, description="its outputs")] = ()
    frames_per_s: Annotated[float, HOT, Field(gt=0, le=100, description="frames a second of a fast channel")] = 10.0
    health_s: Annotated[float, HOT, Field(ge=1, le=3600, description="seconds between health messages")] = 30.0
    drop_in: Annotated[Path | None, RESTART, Field(description="folder of further device modules")] = None
    spool: SpoolSection = SpoolSection()
    emissary: EmissarySection = EmissarySection()
    life: LifeSection = LifeSection()

    @field_validator("node")
    @classmethod
    def _check_id(cls, node: str) -> str:
        if node == "hub":
            msg = "must be another id than hub, which is the hub's own"
            raise ValueError(msg)
        return node

    @model_validator(mode="after")
    def _check_names(self) -> NodeBody:
        names: set[str] = set()
        for part, sections in (("inputs", self.inputs), ("outputs", self.outputs)):
            for number, section in enumerate(sections):
                if section.name in names:
                    msg = f"{part}[{number}].name: two devices are named {section.name}"
                    raise ValueError(msg)
                names.add(section.name)
        return self

    @model_validator(mode="after")
    def _check_devices(self, info: ValidationInfo) -> NodeBody:
        context: Mapping[str, DeviceFaults] = info.context or {}
        tolerated = context.get("device_faults", "none")
        for part, sections in (("inputs", self.inputs), ("outputs", self.outputs)):
            for number, section in enumerate(sections):
                try:
                    device_of(section, self.drop_in, patience_s=IMPORT_S)
                except ValueError as error:
                    if tolerated == "all" or (tolerated == "broken" and _is_broken(error, section, self.drop_in)):
                        continue
                    msg = f"{part}[{number}].{error}"
                    raise ValueError(msg) from error
        return self

    def check_bands(self, plan: Collection[str]) -> None:
        """Refuse inputs that name bands which the plan does not have.

        Raises
        ------
        ValueError
            Names them.
        """
        for number, entry in enumerate(self.inputs):
            for band in entry.bands or ():
                if band not in plan:
                    msg = f"inputs[{number}].bands: the plan has no band {band}; it has {', '.join(plan)}"
                    raise ValueError(msg)
        for number, output in enumerate(self.outputs):
            if output.band is not None and output.band not in plan:
                msg = f"outputs[{number}].band: the plan has no band {output.band}; it has {', '.join(plan)}"
                raise ValueError(msg)


class NodeConfig(CellConfig, NodeBody):
    """Everything that a node needs to know."""

    broker: BrokerSettings = BrokerSettings()
    security: NodeSecurity = NodeSecurity()
    clock: ClockSection = ClockSection()
    state_dir: Annotated[Path, RESTART, Field(description="where the boot counter is kept")] = Path(
        "/var/lib/becomingone"
    )

    @model_validator(mode="after")
    def _check_plan(self) -> NodeConfig:
        self.check_bands(self.bands)
        return self
