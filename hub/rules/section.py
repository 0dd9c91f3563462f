"""The section ``dispatch`` of the hub's configuration: how outputs are driven, and by which rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, field_validator, model_validator

from becomingone.config.sections import Name, Positive, Section
from becomingone.hub.rules.errors import RuleError
from becomingone.hub.rules.quiet import QuietHours, zone
from becomingone.hub.rules.rule_section import RuleSection, listed, refuse

MAX_RULES: Final = 256


class RequestsSection(Section):
    """What people and home automation may ask of outputs."""

    enabled: Annotated[bool, Field(description="whether request/<node>/<device> is listened to")] = True
    motors: Annotated[
        bool, Field(description="whether a motor may be moved by request; stopping one always may be asked for")
    ] = False
    max_hold_s: Annotated[Positive, Field(le=86_400, description="longest time that a request may hold, s")] = 86_400.0
    per_minute: Annotated[float, Field(gt=0, le=6000, description="requests a minute for each output, at most")] = 120.0


class DispatchSection(Section):
    """How outputs are driven."""

    rate_hz: Annotated[
        float, Field(gt=0, le=1000, description="commands a second to each output, at most; a motor always gets 20")
    ] = 100.0
    frames_hz: Annotated[
        float,
        Field(
            ge=0,
            le=10_000,
            description="looks a second that frames may set off between ticks, and commands beyond the first of each; "
            "0: none",
        ),
    ] = 200.0
    total_hz: Annotated[
        float, Field(ge=20, le=100_000, description="changed commands a second to all outputs together, at most")
    ] = 2000.0
    expiry_s: Annotated[Positive, Field(le=60, description="seconds after which a command is void")] = 1.0
    keep_alive_s: Annotated[
        Positive, Field(le=30, description="seconds after which a command that has not changed is sent again")
    ] = 0.5
    dead_band: Annotated[
        float, Field(ge=0, le=0.5, description="part of a value's range below which a change waits for that")
    ] = 0.005
    ack_s: Annotated[
        float, Field(ge=1, le=60, description="seconds without an acknowledgement after which an output is silent")
    ] = 3.0
    band: Annotated[Name | None, Field(description="the band that outputs follow; default: the dominant one")] = None
    defaults: Annotated[
        bool, Field(description="whether outputs that no rule names follow the documents' mappings")
    ] = True
    timezone: Annotated[
        str | None, Field(max_length=80, description="local time of the cell, such as Europe/Berlin")
    ] = None
    quiet_hours: Annotated[
        QuietHours, Field(description="local times at which no motor moves and no rule without its own hours fires")
    ] = ()
    rules: Annotated[
        tuple[RuleSection, ...],
        BeforeValidator(listed),
        Field(max_length=MAX_RULES, description="what outputs do, by the state of the mesh"),
    ] = ()
    rules_file: Annotated[
        str | None,
        Field(max_length=4096, description="a YAML file with further rules; beside this one unless absolute"),
    ] = None
    requests: RequestsSection = RequestsSection()

    @field_validator("timezone")
    @classmethod
    def _check_zone(cls, name: str | None) -> str | None:
        if name is not None:
            zone(name)
        return name

    @model_validator(mode="after")
    def _check(self) -> DispatchSection:
        if self.quiet_hours and self.timezone is None:
            refuse("quiet_hours", "need dispatch.timezone, such as Europe/Berlin: whose hours are they?")
        check_rules(self.rules, timezone=self.timezone)
        return self

    def check_bands(self, bands: Collection[str]) -> None:
        """Refuse what names a band that the plan does not have.

        Raises
        ------
        ValueError
            Naming the field, ``dispatch.rules[2].when``, and the band.
        """
        if self.band is not None and self.band not in bands:
            refuse("dispatch.band", f"the plan has no band {self.band}; it has {', '.join(bands)}")
        for number, rule in enumerate(self.rules):
            check_rule_bands(f"dispatch.rules[{number}].", rule, bands)


def check_rule_bands(where: str, rule: RuleSection, bands: Collection[str]) -> None:
    """Refuse a rule that names a band that the plan does not have; see `DispatchSection.check_bands`."""
    if rule.band is not None and rule.band not in bands:
        refuse(f"{where}band", f"the plan has no band {rule.band}; it has {', '.join(bands)}")
    for field, expression in rule.expressions().items():
        unknown = sorted(expression.uses.bands - set(bands))
        if unknown:
            start = max(0, expression.text.find(unknown[0]))
            problem = f"the plan has no band {unknown[0]}; it has {', '.join(bands)}"
            refuse(f"{where}{field}", f"{RuleError(expression.text, start, start + len(unknown[0]), problem)}")


def check_rules(rules: Iterable[RuleSection], *, timezone: str | None, taken: Collection[str] = ()) -> None:
    """Refuse rules of one name, and those that need a time zone where there is none.

    Raises
    ------
    ValueError
        Naming the field, ``rules[2].name``.
    """
    seen = set(taken)
    for number, rule in enumerate(rules):
        if rule.name in seen:
            refuse(f"rules[{number}].name", f"there is a rule {rule.name} already; each needs a name of its own")
        seen.add(rule.name)
        if timezone is None and rule.quiet_hours:
            refuse(f"rules[{number}].quiet_hours", "need dispatch.timezone, such as Europe/Berlin")
        for field, expression in rule.expressions().items():
            if timezone is None and expression.uses.clock:
                refuse(f"rules[{number}].{field}", "hour and weekday need dispatch.timezone, such as Europe/Berlin")
