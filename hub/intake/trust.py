"""What the hub knows of the nodes' authenticity: their keys, their newest lives, and since when it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from becomingone.errors import FrameError
from becomingone.hub.config import HubConfig
from becomingone.hub.intake.epochs import EpochStore
from becomingone.wire.replay import Lives, Start
from becomingone.wire.seal import claimed_boot, mac_state, node_key, open_json, open_sealed, seal, seal_json

if TYPE_CHECKING:
    from hashlib import blake2b

NEVER: Final = Start(-(1 << 62), 0.0)
"""The start of a receiver for which everything is new."""

_HUB: Final = "hub/about"
"""Stands for a node's name in the key between hubs; no node has such a name."""


class Trust:
    """Opens what nodes send and seals what the hub sends them; in a cell without a secret, lets everything through.

    Parameters
    ----------
    secret : bytes or None
        The cell's secret; None in a cell without authentication.
    root, cell : str
        As in the topics.
    start : Start
        Since when this hub knows what it has taken.
    store : EpochStore, optional
        Keeps the newest life of every node over restarts.

    Raises
    ------
    ConfigError
        What the store holds cannot be read.
    """

    def __init__(
        self,
        secret: bytes | None = None,
        *,
        root: str = "",
        cell: str = "",
        start: Start = NEVER,
        store: EpochStore | None = None,
    ) -> None:
        self._secret = secret
        self._root, self._cell = root, cell
        self._start = start
        self._store = store
        self._lives = Lives(store.load() if store is not None else None)
        self._keys: dict[str, bytes] = {}
        self._grown = False
        self.lives = 0
        """How often a node has proved a new life: as long as it stays, all newest lives do."""

    @classmethod
    def of(cls, config: HubConfig, *, now_us: int, store: EpochStore | None = None) -> Trust:
        """Make what a hub's configuration asks for; `now_us` is the hub's start, mesh time in µs."""
        secret = config.security.cell_secret()
        if secret is None:
            return cls()
        start = Start(now_us, config.ingest.max_ahead_s)
        return cls(secret, root=config.root, cell=config.cell, start=start, store=store)

    @property
    def authenticated(self) -> bool:
        """Whether everything between the nodes and this hub is sealed."""
        return self._secret is not None

    @property
    def begins_us(self) -> float:
        """Mesh time before or at which `check_start` refuses a sample, µs."""
        return self._start.time_us + self._start.max_ahead_s * 1e6

    def mac(self, node: str, topic: str, life: int) -> blake2b | None:
        """Give what begins the MAC of a node's messages in a life; None in a cell without authentication."""
        return None if self._secret is None else mac_state(self._key(self._secret, node), topic, life)

    def open(self, node: str, topic: str, payload: bytes) -> int | None:
        """Check a CBOR message of a node before anything else is done with it.

        Returns
        -------
        int or None
            The life of the node that sent it, its newest; None in a cell without authentication. What was recorded in
            an earlier life, as its payload says, and is sent in this one, is sealed by this one.

        Raises
        ------
        FrameError
            ``oversize``, ``unsealed``, ``forged`` or ``wrong_epoch``.
        """
        if self._secret is None:
            return None
        key = self._key(self._secret, node)
        newest = self._lives.newest(node)
        epoch = claimed_boot(payload)
        try:
            open_sealed(key, topic, payload, epoch)
        except FrameError as error:
            if error.reason != "forged" or newest is None or newest <= epoch:
                raise
            open_sealed(key, topic, payload, newest)  # a record of an earlier life, sent by the present one
            epoch = newest
        self._saw(node, key, epoch)
        return epoch

    def open_json(self, node: str, topic: str, payload: bytes, boot: int) -> None:
        """Check a JSON message of a node that says which boot of the node it is of.

        Raises
        ------
        FrameError
            As `open`.
        """
        if self._secret is not None:
            key = self._key(self._secret, node)
            open_json(key, topic, payload, boot)
            self._saw(node, key, boot)

    def seal(self, node: str, topic: str, payload: bytes) -> bytes | None:
        """Seal a CBOR message for the present life of a node; None where the node has not proved any yet."""
        if self._secret is None:
            return payload
        newest = self._lives.newest(node)
        return None if newest is None else seal(self._key(self._secret, node), topic, payload, newest)

    def seal_json(self, node: str, topic: str, payload: bytes, boot: int) -> bytes:
        """Seal a JSON message for a life of a node, which the message names in its field ``boot``."""
        return payload if self._secret is None else seal_json(self._key(self._secret, node), topic, payload, boot)

    def seal_hub(self, topic: str, payload: bytes, boot: int) -> bytes:
        """Seal what the hub says of itself, a JSON object, for whoever has the cell's secret too."""
        return payload if self._secret is None else seal_json(self._key(self._secret, _HUB), topic, payload, boot)

    def open_hub(self, topic: str, payload: bytes, boot: int) -> None:
        """Check what a hub says of itself.

        Raises
        ------
        FrameError
            ``oversize``, ``unsealed`` or ``forged``.
        """
        if self._secret is not None:
            open_json(self._key(self._secret, _HUB), topic, payload, boot)

    def knows(self, node: str) -> bool:
        """Tell whether a node may be taken for a member: it has proved a life, or need not."""
        return self._secret is None or self._lives.newest(node) is not None

    def check_start(self, last_time_us: float) -> None:
        """Refuse a live sample that an earlier life of this hub may have taken already.

        Raises
        ------
        FrameError
            ``before_start``.
        """
        self._start.check(last_time_us)

    def keep(self) -> None:
        """Hand the newest lives to the store if there are new ones."""
        if self._grown and self._store is not None:
            self._store.save(self._lives.known())
        self._grown = False

    def _saw(self, node: str, key: bytes, boot: int) -> None:
        if self._lives.saw(node, boot):
            self._grown = True
            self.lives += 1
        self._keys[node] = key  # of those alone that have proved themselves: others have any number of names to try

    def _key(self, secret: bytes, node: str) -> bytes:
        return self._keys.get(node) or node_key(secret, self._root, self._cell, node)
