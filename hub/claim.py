"""One hub a cell: who comes second hears where the first is, and does not start.

A client identifier does not settle it: the broker throws out the first hub and lets the second in, and then the other
way round, for ever. So a hub asks, under another identifier, before it connects under its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from becomingone.broker.link import LinkFactory, Message
from becomingone.config.atomic import replace_text
from becomingone.errors import ConfigError, FrameError
from becomingone.scheduling import NANOSECONDS, Scheduler, Timer
from becomingone.wire.announce import Announcement, Count, State, Text, parse_announcement, parse_state
from becomingone.wire.topics import Topics

RETAINED_S: Final = 0.3
"""Seconds for what the broker retained, after it has granted the subscriptions."""

LISTEN_S: Final = 3.5
"""Seconds after which a hub that says it is there and is not heard is dead: three of its snapshots, and a little.

Where snapshots are rarer than one a second, as many times as long.
"""

_THERE: Final = (State.INIT, State.READY)


class HubAbout(Announcement):
    """What a hub says of itself, topic ``hub/about``."""

    protocol: Annotated[int, Field(ge=1)]
    instance: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    """Drawn once and kept beside what the hub remembers: whoever has that folder is the same hub."""
    boot: Annotated[int, Field(ge=0, lt=1 << 32)]
    host: Text
    pid: Count
    started_us: Count
    software: Text
    mode: Literal["full", "relay", "witness"] = "full"
    said_us: Count = 0
    """Mesh time at which this was said, µs."""

    @property
    def where(self) -> str:
        """Where it is, for a person."""
        return f"on {self.host or 'a machine without a name'} as process {self.pid}, its life {self.boot}"


def instance_in(folder: Path) -> str:
    """Give the identity of whoever has a folder, drawn where it has none yet.

    Raises
    ------
    ConfigError
        The folder cannot be written, or what stands there is no identity.
    """
    path = folder / "instance"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            replace_text(path, f"{secrets.token_hex(8)}\n")
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: {error}; give a state_dir that this user may write"
        raise ConfigError(msg) from error
    if len(text) != 16 or set(text) - set("0123456789abcdef"):
        msg = f"{path} must hold 16 hexadecimal digits; delete it, and another identity is drawn"
        raise ConfigError(msg)
    return text


class Claim:
    """Asks whether the cell has a hub already.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    instance : str
        Who asks; its own earlier life is no other hub.
    links : callable
        Makes a link of its own.
    scheduler : Scheduler
        Gives the turns.
    granted : callable
        Called once when there is no other.
    refused : callable
        Called once, with a line for a person, when there is.
    snapshot_s : float
        Seconds between snapshots, as the cell's hub is configured.
    """

    def __init__(
        self,
        topics: Topics,
        instance: str,
        *,
        links: LinkFactory,
        scheduler: Scheduler,
        granted: Callable[[], None],
        refused: Callable[[str], None],
        snapshot_s: float = 1.0,
    ) -> None:
        self._listen_s = LISTEN_S * max(1.0, snapshot_s)
        self._topics = topics
        self._instance = instance
        self._scheduler = scheduler
        self._granted = granted
        self._refused = refused
        self._state: State | None = None
        self._about: HubAbout | None = None
        self._heard = False
        self._timer: Timer | None = None
        self._settled = False
        self._link = links(topics.client_id("hub", "claim"), None)
        self._link.subscribe(topics.hub_state, self._take_state, qos=1)
        self._link.subscribe(topics.hub_about, self._take_about, qos=1)
        self._link.subscribe(topics.snapshot, self._take_snapshot)
        self._link.on_up(self._up)

    def start(self) -> None:
        """Connect and ask; without a broker this goes on until there is one."""
        self._link.start()

    def close(self) -> None:
        """Ask no more."""
        if not self._settled:
            self._settle()

    def _up(self) -> None:
        self._after(RETAINED_S, self._look)

    def _look(self) -> None:
        """Decide by what the broker has stored, or else listen."""
        mine = self._about is not None and self._about.instance == self._instance
        if self._state not in _THERE or mine:
            self._settle()
            self._granted()
        else:
            self._after(self._listen_s - RETAINED_S, self._listened)
            self._decide()

    def _listened(self) -> None:
        self._settle()
        self._granted()

    def _decide(self) -> None:
        if self._heard and not self._settled:
            self._settle()
            where = self._about.where if self._about is not None else "that does not say where it is"
            self._refused(f"cell {self._topics.base} has a hub already, {where}; stop it first, or give another cell")

    def _after(self, seconds: float, turn: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due_ns = self._scheduler.monotonic_ns() + int(seconds * NANOSECONDS)
        self._timer = self._scheduler.call_at(due_ns, lambda: None if self._settled else turn())

    def _settle(self) -> None:
        self._settled = True
        if self._timer is not None:
            self._timer.cancel()
        self._link.close(lambda: None)

    def _take_state(self, message: Message) -> None:
        try:
            self._state = parse_state(message.payload)
        except FrameError:
            self._state = None

    def _take_about(self, message: Message) -> None:
        try:
            self._about = parse_announcement(HubAbout, message.payload)
        except FrameError:
            self._about = None

    def _take_snapshot(self, message: Message) -> None:
        """Hear a sign of life: what the broker had stored is none."""
        mine = self._about is not None and self._about.instance == self._instance
        if not message.retained and self._state in _THERE and not mine:
            self._heard = True
            self._decide()
