"""Rules in a file of their own."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from becomingone.config.loader import read_layers, validated
from becomingone.config.sections import Section
from becomingone.hub.rules.rule_section import RuleSection, listed
from becomingone.hub.rules.section import MAX_RULES, DispatchSection, check_rule_bands, check_rules


class RulesFile(Section):
    """What ``dispatch.rules_file`` names; checked with the section and the band plan that it is for."""

    rules: Annotated[
        tuple[RuleSection, ...],
        BeforeValidator(listed),
        Field(min_length=1, max_length=MAX_RULES, description="as dispatch.rules in hub.yaml"),
    ]

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> RulesFile:
        if info.context is not None:
            section: DispatchSection = info.context["section"]
            taken = {rule.name for rule in section.rules}
            check_rules(self.rules, timezone=section.timezone, taken=taken)
            for number, rule in enumerate(self.rules):
                check_rule_bands(f"rules[{number}].", rule, info.context["bands"])
        return self


def with_file(section: DispatchSection, folder: Path, bands: Collection[str]) -> DispatchSection:
    """Give the section with the rules of its file behind its own; as it is where it names none.

    Parameters
    ----------
    section : DispatchSection
        Of the hub's configuration.
    folder : Path
        Where the file is, unless its path is absolute: beside ``hub.yaml``.
    bands : collection of str
        The names of the cell's plan.

    Raises
    ------
    ConfigError
        With one line, that names file, line and field, for everything that is wrong.
    """
    if section.rules_file is None:
        return section
    layers = read_layers(folder / section.rules_file, environ={})
    given = validated(RulesFile, layers, context={"section": section, "bands": tuple(bands)})
    return section.model_copy(update={"rules": (*section.rules, *given.rules), "rules_file": None})
