"""Commands to nodes as a whole: numbered together, sealed, sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from becomingone.hub.dispatch.sender import Seal
from becomingone.wire.command import NodeCommand, encode_node_command
from becomingone.wire.topics import Topics
from becomingone.wire.verbs import Value, Verb


@dataclass(slots=True)
class NodeCommands:
    """Those of one hub's life: a node obeys only what has a greater number than all before, whatever the verb.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    boot : int
        The hub's boot id.
    seal : callable
        Seals each command.
    publish : callable
        Sends a topic and payload; False where it could not.
    """

    topics: Topics
    boot: int
    seal: Seal
    publish: Callable[[str, bytes], bool]
    _next: int = field(default=0)

    def send(
        self, node: str, verb: Verb, arguments: Mapping[str, Value] | None = None, *, expires_us: int
    ) -> int | None:
        """Send a command.

        Parameters
        ----------
        node, verb, arguments : str, Verb, mapping of str to number or str
            To whom, and what.
        expires_us : int
            Mesh time in µs after which it is void, at most `becomingone.wire.verbs.MAX_VALID_S` from now.

        Returns
        -------
        int or None
            Its number; None where the node cannot be spoken to: it has proved no life yet, or there is no connection.

        Raises
        ------
        FrameError
            The verb does not take such arguments.
        """
        topic = self.topics.command(node, verb)
        command = NodeCommand(self.boot, self._next, expires_us, arguments or {})
        payload = self.seal(node, topic, encode_node_command(command, verb))
        if payload is None:
            return None
        self._next += 1
        return command.id if self.publish(topic, payload) else None
