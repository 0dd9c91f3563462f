"""The outputs of all nodes, as their descriptions have them, with the rules that drive each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from becomingone.hub.dispatch.driven import Driven
from becomingone.hub.intake.roster import Member, Roster
from becomingone.hub.rules.rule import Rule
from becomingone.wire.announce import About
from becomingone.wire.topics import Topics

MAX_OUTPUTS: Final = 64
"""Outputs of one node that are driven, as many as a node's configuration may have."""


class Outputs:
    """Keeps one `Driven` for each output of a node that has described itself.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    rules : sequence of Rule
        In the order in which they were written.
    roster : Roster
        The nodes.
    rate_hz : float
        Commands a second to an output, at most.
    keep_alive_ns : int
        Time after which what has not changed is told again, ns.
    """

    def __init__(
        self, topics: Topics, rules: Sequence[Rule], roster: Roster, *, rate_hz: float, keep_alive_ns: int
    ) -> None:
        self._topics = topics
        self._rules = sorted(rules, key=lambda rule: -rule.section.priority)  # stable: the first of equals
        self._roster = roster
        self._rate_hz = rate_hz
        self._keep_alive_ns = keep_alive_ns
        self._shared: dict[tuple[Rule, ...], tuple[Rule, ...]] = {}
        self._abouts: list[About | None] = []
        self._of: dict[str, dict[str, Driven]] = {}
        self._driven: list[Driven] = []

    def driven(self) -> list[Driven]:
        """Give all outputs, brought up to date with the nodes' descriptions."""
        members = self._roster.members
        changed = False
        for number, member in enumerate(members):
            if number == len(self._abouts):
                self._abouts.append(None)
            if member.about is not self._abouts[number]:
                self._abouts[number] = member.about
                self._describe(member)
                changed = True
        if changed:
            self._driven = [one for of_node in self._of.values() for one in of_node.values()]
        return self._driven

    def of_rule(self, rule: Rule) -> int:
        """Tell how many outputs a rule drives."""
        return sum(rule in one.rules for one in self.driven())

    def get(self, node: str, device: str) -> Driven | None:
        """Give an output; None where its node describes none of that name."""
        self.driven()
        return self._of.get(node, {}).get(device)

    def _describe(self, member: Member) -> None:
        before = self._of.get(member.id, {})
        found: dict[str, Driven] = {}
        for output in member.about.outputs[:MAX_OUTPUTS] if member.about is not None else ():
            one = before.get(output.name)
            if one is None or one.role != output.role:
                rules = tuple(rule for rule in self._rules if rule.takes(member.id, output.name, output.role))
                one = Driven(
                    member,
                    output.name,
                    output.role,
                    self._topics.output_set(member.id, output.name),
                    member.number * MAX_OUTPUTS + len(found),
                    self._shared.setdefault(rules, rules),
                    self._rate_hz,
                    self._keep_alive_ns,
                )
            found[output.name] = one
        for one in before.values():
            if found.get(one.device) is not one:
                for rule in one.rules:
                    rule.forget(one.node)
        self._of[member.id] = found
