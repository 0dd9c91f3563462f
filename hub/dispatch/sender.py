"""Sends commands to outputs: numbered together, encoded once for all that are told the same, sealed for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from becomingone.hub.dispatch.driven import Driven
from becomingone.hub.rules.rule import Wish
from becomingone.hub.rules.view import View
from becomingone.wire.command import OutputCommand, encode_command, encode_values

Seal = Callable[[str, str, bytes], bytes | None]
"""Seals a payload for a node and topic; None where the node cannot be spoken to."""


@dataclass(slots=True)
class Sender:
    """The commands to outputs of one hub's life.

    Parameters
    ----------
    boot : int
        The hub's boot id.
    seal : callable
        Seals each command.
    send_on : callable
        Sends a topic and payload; False where it could not.
    send_once : callable
        The same for what need not be acknowledged.

    Attributes
    ----------
    sent : int
        Commands.
    suppressed : Counter of str
        Those that were not sent, by reason: ``unchanged``, ``rate``, ``total``, ``frames`` (more than frames may set
        off), ``unsealed``, ``link``, ``quiet``, ``undecided`` (a motor whose band does not let it move).
    """

    boot: int
    seal: Seal
    send_on: Callable[[str, bytes], bool]
    send_once: Callable[[str, bytes], bool]
    sent: int = 0
    suppressed: Counter[str] = field(default_factory=Counter[str])
    _next: int = 0

    def send(self, one: Driven, wish: Wish, view: View, *, expires_us: int, once: bool = False) -> int | None:
        """Send a command.

        Returns
        -------
        int or None
            Its number; None where there is nothing to send, or it could not be sent.
        """
        if wish.values is None:
            return None
        key = ("encoded", id(wish.values))
        encoded = view.memo.get(key)
        if not isinstance(encoded, bytes):
            encoded = view.memo[key] = encode_values(wish.values)
        number = self._next
        command = OutputCommand(boot=self.boot, id=number, expires_us=expires_us, values=wish.values)
        payload = self.seal(one.node, one.topic, encode_command(command, encoded))
        if payload is None:
            self.suppress(one, "unsealed")
            return None
        self._next += 1
        if not (self.send_once if once else self.send_on)(one.topic, payload):
            self.suppress(one, "link")
            return None
        self.sent += 1
        one.was_sent(number, wish.values, view.now_ns)
        return number

    def suppress(self, one: Driven, reason: str) -> None:
        """Count a command that was not sent."""
        one.suppressed[reason] += 1
        self.suppressed[reason] += 1
