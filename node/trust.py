"""How a node seals what it sends to the hub and knows what the hub sent."""

from __future__ import annotations

import logging
from typing import Final

from becomingone.errors import FrameError
from becomingone.wire.audit import Audit, log_to
from becomingone.wire.seal import open_json, open_sealed, seal, seal_json

_LIVES_BACK: Final = 4
"""Earlier lives of this node that a refused command is tried with, only to say what was wrong with it."""


class Trust:
    """One life of a node; without a key, lets everything through.

    Parameters
    ----------
    key : bytes or None
        What it shares with the hub; None in a cell without authentication.
    boot : int
        Its boot id.

    Attributes
    ----------
    audit : Audit
        Tells of every command that was refused, in the log.
    """

    def __init__(self, key: bytes | None, boot: int) -> None:
        self._key = key
        self._boot = boot
        self.audit = Audit(log_to(logging.getLogger(__name__)))

    @property
    def authenticated(self) -> bool:
        """Whether everything between the hub and this node is sealed."""
        return self._key is not None

    def seal(self, topic: str, payload: bytes) -> bytes:
        """Seal a CBOR message to the hub."""
        return payload if self._key is None else seal(self._key, topic, payload, self._boot)

    def seal_json(self, topic: str, payload: bytes) -> bytes:
        """Seal a JSON message to the hub."""
        return payload if self._key is None else seal_json(self._key, topic, payload, self._boot)

    def open_json(self, topic: str, payload: bytes, boot: int) -> None:
        """Check a JSON message of the hub, which says for which life of this node it is.

        Raises
        ------
        FrameError
            As `open`.
        """
        if self._key is None:
            return
        open_json(self._key, topic, payload, boot)
        if boot != self._boot:
            raise FrameError("wrong_epoch", f"sent to life {boot} of this node, which is in its life {self._boot}")

    def open(self, topic: str, payload: bytes) -> bytes:
        """Check a CBOR message of the hub before anything else is done with it, and give it as it came.

        Raises
        ------
        FrameError
            ``oversize``, ``unsealed``, ``forged``, or ``wrong_epoch``: the hub's, to an earlier life.
        """
        if self._key is None:
            return payload
        try:
            return open_sealed(self._key, topic, payload, self._boot)
        except FrameError as error:
            if error.reason == "forged":
                self._look_back(self._key, topic, payload)
            raise

    def _look_back(self, key: bytes, topic: str, payload: bytes) -> None:
        """Refuse as ``wrong_epoch`` what was meant for an earlier life; a hub may not know yet of this one."""
        for boot in range(self._boot - 1, max(-1, self._boot - 1 - _LIVES_BACK), -1):
            try:
                open_sealed(key, topic, payload, boot)
            except FrameError:
                continue
            raise FrameError("wrong_epoch", f"sent to life {boot} of this node, which is in its life {self._boot}")
