"""One output as the hub drives it: what was sent and when, what it says it does, and whether the two agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from becomingone.hub.intake.roster import Member
from becomingone.hub.rules.rule import Rule, Wish
from becomingone.wire.announce import OutputState
from becomingone.wire.command import RANGES
from becomingone.wire.mapping import MOTOR, SPEAKER_HZ
from becomingone.wire.rate import Bucket

Obedience = Literal["idle", "waiting", "obeying", "refusing", "silent", "offline"]
"""How an output takes its commands: ``idle`` gets none; ``waiting`` has got some, and there was no time yet.

``refusing`` does something else, and says so; ``silent`` says nothing; ``offline``: its node is not there.
"""

RESTING: Final[Mapping[str, Mapping[str, float]]] = {"display": {"brightness": 0.0}, "speaker": {"volume": 0.0}}
"""What an output of each role is told where a rule wants it to rest; a motor rests when it is told nothing."""

NEUTRAL: Final[Mapping[str, Mapping[str, float]]] = {
    "display": {"hue": 0.0, "brightness": 0.0},
    "speaker": {"frequency": SPEAKER_HZ, "volume": 0.0},
    MOTOR: {"velocity": 0.0, "rotation": 0.0},
}
"""What stands for a value that nobody names and that was never sent."""

MOTOR_HZ: Final = 20.0
"""Commands a second to a motor: each holds for 0.15 s."""

_TURN: Final = 360.0
_AT_ONCE: Final = 10.0
_SPREAD: Final = 0.618034


@dataclass(slots=True, eq=False)
class Driven:
    """One output.

    Parameters
    ----------
    member, device, role : Member, str, str
        Which.
    topic : str
        Where its commands go.
    number : int
        Of the output among all.
    rules : tuple of Rule
        Those that drive it, the one that counts most first.
    rate_hz : float
        Commands a second at most.
    keep_alive_ns : int
        Time after which it is told again what it was told, ns.
    """

    member: Member
    device: str
    role: str
    topic: str
    number: int
    rules: tuple[Rule, ...]
    rate_hz: float
    keep_alive_ns: int
    online: bool = True
    wish: Wish = field(default=Wish(None, "default", "not looked at yet"))
    sent: int = 0
    suppressed: Counter[str] = field(default_factory=Counter[str])
    state: OutputState | None = None
    """What it last said of itself."""
    told: Obedience = "idle"
    """What was last told of it as an event."""
    sent_ns: int | None = None
    sent_values: Mapping[str, float] = field(default_factory=dict[str, float])
    last_id: int = -1
    since_ns: int | None = None
    """Since when it has been commanded without a pause."""
    acked_ns: int | None = None
    """When it last said that it obeys a command of this hub."""
    acked_id: int = -1
    state_ns: int | None = None
    node: str = field(init=False)
    alike: bool = field(init=False)
    """Whether all outputs with these rules and this role should do the same."""
    _bucket: Bucket = field(init=False)
    _pace_hz: float = field(init=False)

    def __post_init__(self) -> None:
        self._pace_hz = 0.0
        self.pace(self.rate_hz)
        self.node = self.member.id
        self.alike = not self.moves and not any(rule.own or rule.section.otherwise == "hold" for rule in self.rules)
        # The golden ratio: what began together does not stay together.
        self.keep_alive_ns = int(self.keep_alive_ns * (1.0 - 0.25 * (self.number * _SPREAD % 1.0)))

    @property
    def key(self) -> str:
        """``<node>/<device>``."""
        return f"{self.node}/{self.device}"

    @property
    def moves(self) -> bool:
        """Whether it is a motor."""
        return self.role == MOTOR

    def pace(self, rate_hz: float) -> None:
        """Be sent so many commands a second at most, and a tenth of that at once; a motor keeps its own pace."""
        rate_hz = MOTOR_HZ if self.moves else rate_hz
        if rate_hz != self._pace_hz:
            self._pace_hz = rate_hz
            self._bucket = Bucket(rate_hz, max(1.0, rate_hz / _AT_ONCE))

    def whole(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Give all values of the role, which devices insist on: what is not named stays, but for a motor is 0."""
        neutral = NEUTRAL[self.role]
        if len(values) == len(neutral):
            return values
        return {**neutral, **({} if self.moves else self.sent_values), **values}

    def due(self, now_ns: int) -> bool:
        """Tell whether what it was told must be told again."""
        return self.sent_ns is None or now_ns - self.sent_ns >= self.keep_alive_ns

    def moved(self, values: Mapping[str, float], dead_band: float) -> bool:
        """Tell whether values are further from those last sent than a part of their range."""
        before = self.sent_values
        if before.keys() != values.keys():
            return True
        ranges = RANGES[self.role]
        for name, value in values.items():
            least, most = ranges[name]
            away = abs(value - before[name])
            if name == "hue":
                away = min(away, _TURN - away)
            if away > dead_band * (most - least):
                return True
        return False

    def allow(self, now_ns: int) -> bool:
        """Take one of the commands that its pace allows."""
        return self._bucket.take(now_ns)

    def was_sent(self, number: int, values: Mapping[str, float], now_ns: int) -> None:
        """Take note of a command."""
        self.sent += 1
        self.last_id = number
        self.sent_ns, self.sent_values = now_ns, values
        if self.since_ns is None:
            self.since_ns = now_ns

    def let_go(self) -> None:
        """Take note that nothing is commanded any more."""
        self.since_ns = None
        self.sent_ns = None

    def said(self, state: OutputState, boot: int, now_ns: int) -> None:
        """Take what the output says of itself; `boot` is this hub's."""
        self.state, self.state_ns = state, now_ns
        if state.doing != "command":
            return
        if "hub_boot" not in state.model_fields_set:  # an older node says no more than that it obeys
            if self.since_ns is not None:
                self.acked_ns, self.acked_id = now_ns, self.last_id
        elif state.hub_boot == boot and state.id is not None and self.acked_id <= state.id <= self.last_id:
            self.acked_ns, self.acked_id = now_ns, state.id

    def obedience(self, now_ns: int, ack_ns: int) -> Obedience:
        """Tell how it takes its commands."""
        if not self.online:
            return "offline"
        if self.since_ns is None:
            return "idle"
        acked_ns = self.since_ns if self.acked_ns is None else max(self.acked_ns, self.since_ns)
        if now_ns - acked_ns < ack_ns:
            return "obeying" if acked_ns == self.acked_ns else "waiting"
        return "refusing" if self.state_ns is not None and self.state_ns > acked_ns else "silent"

    def figures(self, now_ns: int, ack_ns: int) -> dict[str, Any]:
        """Give what it does, for the snapshot."""
        return {
            "is": self.obedience(now_ns, ack_ns),
            "rule": self.wish.source,
            "why": self.wish.why,
            "values": None if self.wish.values is None else {n: round(v, 4) for n, v in self.wish.values.items()},
            "says": None if self.state is None else f"{self.state.doing}: {self.state.why}"[:200],
            "ack_age_s": None if self.acked_ns is None else round((now_ns - self.acked_ns) / 1e9, 3),
            "sent": self.sent,
            "suppressed": dict(self.suppressed),
        }
