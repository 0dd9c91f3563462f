"""Who obeys which verb: from the parts of a node to the handlers that `becomingone.node.operations` calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from becomingone.node.identify import Identify
from becomingone.node.operations import Answer, Handler
from becomingone.node.process import Host
from becomingone.wire.verbs import MAX_LINES, Value, Verb

IDENTIFY_S: Final = 10.0
"""For how long a node shows itself where nobody says."""


def handlers(
    host: Host,
    identify: Identify,
    *,
    rebirth: Callable[[], None],
    realign: Callable[[Mapping[str, Value]], None],
) -> dict[Verb, Handler]:
    """Give the handler of every verb.

    Parameters
    ----------
    host : Host
        The process: restarts, reads the configuration again, has the log.
    identify : Identify
        Shows which device this is.
    rebirth, realign : callable
        Says everything again; brings the control oscillator to a target. An error that they raise on purpose is the
        reason of a refusal.
    """

    def say_again(_: Mapping[str, Value]) -> Answer:
        rebirth()
        return Answer(done=True)

    def bring(arguments: Mapping[str, Value]) -> Answer:
        realign(arguments)
        return Answer(done=True)

    def show(arguments: Mapping[str, Value]) -> Answer:
        shown = identify.begin(float(arguments.get("seconds", IDENTIFY_S)))
        if not shown:
            return Answer(done=False, why="it has no display, no speaker and no light of its own to show itself with")
        return Answer(done=True, why=f"look for {', '.join(shown)}")

    def read_again(_: Mapping[str, Value]) -> Answer:
        outcome = host.reload()
        parts = [f"changed: {', '.join(outcome.changed) or 'nothing'}"]
        if outcome.needs_restart:
            parts.append(f"with the next start only: {', '.join(outcome.needs_restart)}")
        return Answer(done=True, why="; ".join(parts))

    def log_at(arguments: Mapping[str, Value]) -> Answer:
        host.log_level(str(arguments["level"]))
        return Answer(done=True)

    def log(arguments: Mapping[str, Value]) -> Answer:
        return Answer(done=True, log=host.log_lines(int(arguments.get("lines", MAX_LINES))))

    def restart(_: Mapping[str, Value]) -> Answer:
        return Answer(done=True, why="it ends now, to be started again", then=lambda: host.restart("a command"))

    return {
        Verb.REBIRTH: say_again,
        Verb.REALIGN: bring,
        Verb.IDENTIFY: show,
        Verb.RELOAD: read_again,
        Verb.LOGLEVEL: log_at,
        Verb.LOG: log,
        Verb.RESTART: restart,
    }
