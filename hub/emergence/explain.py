"""What an event means, in plain words: why the hub said so, how sure it is, and what it does not mean."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Final

from becomingone.hub.emergence.telling import NONE, Figures, table

_WIDTH: Final = 100

_UNMET: Final = {
    "nodes": "fewer than two nodes had a phase",
    "coherence": "the nodes' own rhythms had become too irregular",
    "locking": "the phase differences had begun to wander",
    "clocks": "the clocks had become too uncertain to tell",
    "shared": "three looks in succession found no irregularity in common any more",
    "fields": "one of the groups had no phase any more",
    "cross": "the difference of the two had begun to wander",
}

_NOT_MEANT: Final = (
    "It does not say that one drives the other, nor that all of them take part: two that follow a third, or one event "
    "that moves both, share their irregularity just as well. A node's own r below tells who takes part."
)


def explain(event: Mapping[str, Any]) -> str:
    """Explain an event.

    Parameters
    ----------
    event : mapping
        As published below ``event/``: its ``kind``, ``time_us``, and the figures. Anything may be missing or wrong.

    Returns
    -------
    str
        A paragraph, and mostly a table; no trailing newline.
    """
    figures = Figures(event)
    kind = event.get("kind")
    words = _KINDS.get(kind) if isinstance(kind, str) else None
    return words(figures) if words is not None else _other(figures)


def _emergence(event: Figures) -> str:
    seen, spending = event.part("fluctuation"), event.part("spending")
    text = (
        f"The {event.count('nodes')} nodes of the band {event.text('band')} ({event.number('frequency_hz', 4)} Hz) "
        f"became one {event.when()}. Four things had to hold, for {event.span('dwell_s')}. "
        f"Each has a steady rhythm: their coherence is {event.number('coherence')}, and above "
        f"{event.number('coherence_needed')} was asked for. "
        "Their phase differences stay where they are: unrelated ones would keep as still over the last "
        f"{event.span('locking_s')} with probability {event.p('locking_p')}. "
        f"Their clocks are good enough: uncertain as they are, an order of {event.number('clock_ceiling')} could "
        "still be seen. And, since two steady rhythms of one pace keep their difference without ever having met, "
        f"they share what is irregular about them: over {seen.span('window_s')} the fluctuations of their phases "
        f"correlate with r = {seen.number('r')}, which unrelated ones reach with probability {seen.p('p')}; "
        f"{seen.p('p_needed')} was allowed at this look."
    )
    sure = (
        "How sure: a band in which nothing is connected emerges falsely with a probability of at most "
        f"{spending.p('p_false')} in any {spending.span('window_s')}, once in {spending.span('false_alarm_s')} or "
        f"less in the long run, however often it is looked at ({spending.count('looks')} looks so far)."
    )
    return _paragraphs(text, sure, _NOT_MEANT) + "\n\n" + _figures_of(event) + _members(event)


def _dissolution(event: Figures) -> str:
    why = [_UNMET.get(reason, reason) for reason in event.texts("why")]
    text = (
        f"The nodes of the band {event.text('band')} ceased to be one {event.when()}, after {event.span('lasted_s')}: "
        f"{', and '.join(why) or 'the event does not say why'}. That had held for {event.span('dwell_s')}, or for "
        "three looks in succession; the bounds are wider than those of an emergence, so that it does not come and go."
    )
    meant = "It does not say that they have parted for good: a new emergence needs evidence of its own."
    return _paragraphs(text, meant) + "\n\n" + _figures_of(event) + _members(event)


def _clock_limited(event: Figures) -> str:
    text = (
        f"All that is asked of the band {event.text('band')} but one thing held {event.when()}, yet no emergence is "
        f"announced: the nodes' clocks are so uncertain that an order of at most {event.number('clock_ceiling')} "
        f"could be seen, and {event.number('coherence_needed')} is asked for. Better time on the nodes named below "
        "(a wired network, NTP) will decide it."
    )
    return _paragraphs(text) + "\n\n" + _figures_of(event) + _members(event)


def _collapse(event: Figures) -> str:
    text = (
        f"The coherence of the band {event.text('band')} became significant {event.when()}: "
        f"{event.number('coherence')} over {event.count('channels')} channels, which noise reaches with probability "
        f"{event.p('p')} ({event.number('n_eff', 1)} effective samples, {event.p('p_false')} allowed, held for "
        f"{event.span('dwell_s')})."
    )
    meant = "Each of them has a steady rhythm. It says nothing about whether they have it together: see emergence."
    return _paragraphs(text, meant)


def _dissipation(event: Figures) -> str:
    return _paragraphs(
        f"The coherence of the band {event.text('band')} ceased to be significant {event.when()}: "
        f"{event.number('coherence')}, which noise reaches with probability {event.p('p')}."
    )


def _we(event: Figures) -> str:
    text = (
        f"The two groups of {event.text('name')} became one in the band {event.text('band')} {event.when()}: their "
        f"mean phases keep their difference (coherence {event.number('coherence')}, by chance with probability "
        f"{event.p('cross_p')}), and share their irregularity (r = {event.number('fluctuation_r')} over "
        f"{event.span('window_s')}, by chance with probability {event.p('fluctuation_p')}; {event.p('p_needed')} was "
        f"allowed). Strangers pass at most once in {event.span('false_alarm_s')}. One side: "
        f"{_list(event, 'a_nodes')}; the other: {_list(event, 'b_nodes')}."
    )
    return _paragraphs(text, "It does not say who leads, nor that nothing else moves them both.")


def _we_dissolution(event: Figures) -> str:
    why = [_UNMET.get(reason, reason) for reason in event.texts("why")]
    return _paragraphs(
        f"The two groups of {event.text('name')} ceased to be one in the band {event.text('band')} {event.when()}, "
        f"after {event.span('lasted_s')}: {', and '.join(why) or 'the event does not say why'}."
    )


def _lost(event: Figures) -> str:
    return _paragraphs(
        f"Nothing was heard of the node {event.text('node')} for three of its own intervals, or the broker found its "
        f"connection broken; it counts as lost since then, {event.when()}, and its channels have no weight. Before, "
        f"it was {event.text('before')}.",
        "It may run on and act alone: what it keeps comes later. Its state changes back as soon as it is heard.",
    )


def _slept(event: Figures) -> str:
    return _paragraphs(
        f"The node {event.text('node')} said that it sleeps, {event.when()}, and took leave. Nothing is heard of it "
        "until it wakes, its channels have no weight, and it is neither lost nor at fault.",
    )


def _twin(event: Figures) -> str:
    lives = [f"process {life.count('pid')} on {life.text('host')}" for life in event.listed("lives")]
    return _paragraphs(
        f"Two nodes call themselves {event.text('node')} {event.when()}: {' and '.join(lives) or NONE}. The broker "
        "lets one of them in at a time, so they throw each other out, and nobody knows whose phase comes under this "
        "name: it has no weight.",
        "Give one of them another id. The weight comes back two minutes after the last turn of the two.",
    )


def _distrusted(event: Figures) -> str:
    if event.has("last_topic"):
        return _paragraphs(
            f"{event.count('messages')} messages in the name of the node {event.text('node')} were refused "
            f"{event.when()}, for the reason {event.text('reason')}; the last came at {event.text('last_topic')}.",
            "They never reached the mesh's state. It need not be the node itself that sends them.",
        )
    return _paragraphs(
        f"The node {event.text('node')} counts for less {event.when()}: {event.text('why')} (reason "
        f"{event.text('reason')}). Its weight is multiplied by {event.number('factor')}, and by "
        f"{event.number('trust', 3)} for all reasons together, for "
        f"{event.span('for_s') if event.has('for_s') else 'as long as the reason holds'}.",
        "It is still heard, and its weight comes back when the reason is over.",
    )


def _restored(event: Figures) -> str:
    return _paragraphs(
        f"The reason {event.text('reason')} no longer counts against the node {event.text('node')}, {event.when()}; "
        f"its weight is multiplied by {event.number('trust', 3)} now."
    )


def _witness(event: Figures) -> str:
    layer = {
        "micro": "each phase against the channel's own rhythm",
        "meso": "a channel's or node's phases over a while",
        "macro": "all channels against each other",
        "meta": "whether the witnesses themselves are right",
    }.get(event.text("layer"), "")
    who = "/".join(part for part in (event.text("node"), event.text("channel")) if part != NONE)
    text = (
        f"The {event.text('layer')} witness{f' ({layer})' if layer else ''} found a fault of the kind "
        f"{event.text('fault')} at {who or NONE} in the band {event.text('band')} {event.when()}: "
        f"{event.text('why')}. A channel without fault does that with probability {event.p('p')}. "
        f"{'Its weight was lowered.' if event.has('lowered') else 'Its weight was left as it is.'}"
    )
    rows = [list(item) for item in event.part("figures").items()]
    return _paragraphs(text) + ("\n\n" + table(("figure", "value"), rows) if rows else "")


def _other(event: Figures) -> str:
    rows = [list(item) for item in event.items() if item[0] != "kind"]
    told = f"An event of the kind {event.text('kind')}, {event.when()}."
    return _paragraphs(told) + ("\n\n" + table(("figure", "value"), rows) if rows else "")


_KINDS: Final[dict[str, Callable[[Figures], str]]] = {
    "emergence": _emergence,
    "dissolution": _dissolution,
    "clock_limited": _clock_limited,
    "collapse": _collapse,
    "dissipation": _dissipation,
    "we": _we,
    "we_dissolution": _we_dissolution,
    "lost": _lost,
    "slept": _slept,
    "twin": _twin,
    "distrusted": _distrusted,
    "restored": _restored,
    "witness": _witness,
}


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(textwrap.fill(text, _WIDTH, break_long_words=False) for text in texts)


def _list(event: Figures, name: str) -> str:
    return ", ".join(event.texts(name)) or "nobody"


def _figures_of(event: Figures) -> str:
    seen, simple = event.part("fluctuation"), event.part("simple")
    rows = [
        ("coherence", event.number("coherence"), event.p("coherence_p"), f"above {event.number('coherence_needed')}"),
        ("order R", event.number("order"), event.p("order_p"), "not asked for: in phase is not locked"),
        ("locking", event.number("locking"), event.p("locking_p"), f"p to {event.p('locking_p_needed')}"),
        ("fluctuation r", seen.number("r"), seen.p("p"), f"p to {seen.p('p_needed')}"),
        ("clock ceiling", event.number("clock_ceiling"), NONE, f"from {event.number('coherence_needed')}"),
        ("simple: coherence", simple.number("coherence"), NONE, "not asked for: the documents' form"),
        ("simple: |T|", simple.number("order"), NONE, "not asked for"),
    ]
    return table(("figure", "value", "p by chance", "asked for"), rows)


def _members(event: Figures) -> str:
    rows = [
        (
            name,
            ", ".join(node.texts("channels")) or NONE,
            node.number("weight"),
            node.number("coherence"),
            node.number("offset"),
            node.number("r"),
            node.p("p"),
            node.number("order_without"),
        )
        for name, node in event.parts("members")
    ]
    if not rows:
        return ""
    heads = ("node", "channels", "weight", "coherence", "offset, rad", "r with the others", "p", "R without it")
    left = event.value("members_left_out")
    more = f"\nand {left:.0f} more nodes" if left else ""
    return "\n\n" + table(heads, rows) + more
