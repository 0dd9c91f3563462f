"""The Emissary on the node: evidence in, sync frames in, control phases out to outputs and to the mesh."""

from __future__ import annotations

import cmath
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError, TopicError
from becomingone.kairos.bands import Band
from becomingone.node.emissary import Emissary, Target
from becomingone.node.pipeline import ChannelId
from becomingone.node.rhythm import Rhythm
from becomingone.node.sections import EmissarySection
from becomingone.node.sync_intake import SyncIntake, check_rate
from becomingone.node.trust import Trust
from becomingone.scheduling import NANOSECONDS, MeshClock, Repeating, Scheduler
from becomingone.wire.fields import PHASE
from becomingone.wire.mapping import MOTOR, values_for
from becomingone.wire.oscillator import OscillatorFrame, encode_oscillator
from becomingone.wire.phase import PhaseFrame
from becomingone.wire.signature import Verifier
from becomingone.wire.topics import Topics
from becomingone.wire.verbs import Value

OLDEST_TARGET_S: Final = 60.0
"""Age beyond which a target is none, s."""

MOST_NODES: Final = 100_000
"""Of a larger cell a node believes this size."""

PER_PERIOD: Final = 64.0
"""Oscillator frames a period of a slow band; they say how fast it turns, and it turns evenly."""

BETTER: Final = 1.2
"""An output that follows any band changes to one that is so many times as coherent."""


class Control:
    """All Emissaries of a node.

    Parameters
    ----------
    node : str
        Its id.
    bands : sequence of Band
        The cell's plan.
    section : EmissarySection
        How the oscillators are coupled and how often they are told of.
    link, topics : Link, Topics
        Where sync frames come from and oscillator frames go.
    trust : Trust
        Seals the oscillator frames and tells of what is refused.
    verifier : Verifier or None
        Checks the hub's signature; None in a cell where nothing is signed.
    clock : MeshClock
        Mesh time.
    scheduler : Scheduler
        Gives the turns.
    boot : int
        The node's boot id.
    on_cell_size : callable
        Told how many nodes the hub knows, whenever that changes.
    p_false : float
        Probability of calling noise coherent.
    output_bands : collection of str
        Bands that outputs name: they have an oscillator with or without a channel.
    signed : bool
        Refuse sync frames as ``unsealed`` where there is no verifier: the cell is authenticated, and this node cannot
        tell who sent them.
    followed : bool
        Whether this node has outputs; without any the oscillators are stepped only as often as they are told of.

    Attributes
    ----------
    refused : Counter of str
        Sync frames that were refused, by reason.
    """

    def __init__(
        self,
        node: str,
        *,
        bands: Sequence[Band],
        section: EmissarySection,
        link: Link,
        topics: Topics,
        trust: Trust,
        verifier: Verifier | None,
        clock: MeshClock,
        scheduler: Scheduler,
        boot: int,
        on_cell_size: Callable[[int], None],
        p_false: float = 0.001,
        output_bands: Collection[str] = (),
        signed: bool = False,
        followed: bool = True,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._node = node
        self._bands = {band.name: band for band in bands}
        self._section = section
        self._followed_by_outputs = followed
        self._link = link
        self._topics = topics
        self._trust = trust
        self._intake = SyncIntake(clock, verifier=verifier, signed=signed)
        self._clock = clock
        self._scheduler = scheduler
        self._boot = boot
        self._on_cell_size = on_cell_size
        self._p_false = p_false
        self._emissaries: dict[str, Emissary] = {}
        self._rhythms: dict[str, Rhythm] = {}
        self._followed: str | None = None
        self._seq: Counter[str] = Counter()
        self._cell_size = 0
        self._turns: list[Repeating] = []
        self._told_ns: dict[str, int] = {}
        self._add(output_bands)

    def start(self) -> None:
        """Take sync frames, let the oscillators turn, and tell of them."""
        self._link.subscribe(self._topics.sync("+"), self._take_sync)
        self._pace()

    def apply(self, section: EmissarySection, output_bands: Collection[str], *, followed: bool = True) -> None:
        """Go on with another section and further bands that outputs name; no phase leaps."""
        self._section = section
        self._followed_by_outputs = followed
        for emissary in self._emissaries.values():
            emissary.couple(coupling=section.coupling, damping=section.damping)
        self._add(output_bands)
        if self._turns:
            self.close()
            self._pace()

    def _add(self, output_bands: Collection[str]) -> None:
        for name in self._bands:  # in the plan's order, whatever the collection's is
            if name in output_bands:
                self._emissary(name)

    def _pace(self) -> None:
        # Steps of any length are exact: where nothing follows the oscillators, those before their frames are enough.
        turns = [(self._section.frames_per_s, self._publish)]
        if self._followed_by_outputs:
            turns.insert(0, (self._section.rate_hz, self._step))
        for hertz, turn in turns:
            self._turns.append(Repeating(self._scheduler, max(1, int(NANOSECONDS / hertz)), turn, aligned=True))

    def close(self) -> None:
        """Stop."""
        for turn in self._turns:
            turn.cancel()
        self._turns.clear()

    def evidence(self, identity: ChannelId, frame: PhaseFrame) -> None:
        """Take a frame of this node's own, as it was emitted; nothing is changed in it."""
        emissary = self._emissary(identity.band)
        if emissary is not None:
            emissary.local.take(identity.channel, frame)

    def realign(self, arguments: Mapping[str, Value]) -> None:
        """Bring a band's oscillator to a target: the arguments of the verb ``realign``, checked by its codec.

        Raises
        ------
        FrameError
            ``unknown_band``: there is no oscillator in that band. ``range``: the target does not turn as this band
            does, or nothing couples the oscillator to it. ``late``, ``future``: its time is not about now.
        """
        name = str(arguments["band"])
        emissary = self._emissaries.get(name)
        if emissary is None:
            raise FrameError("unknown_band", f"this node has no oscillator in the band {name}")
        if not self._section.coupling > 0.0:
            raise FrameError("range", "emissary.coupling is 0: nothing can be followed")
        omega, time_us = float(arguments["omega"]), int(arguments["time_us"])
        now_ns = self._clock.monotonic_ns()
        now_us = self._clock.mesh_us(now_ns)
        check_rate(emissary.band, omega)
        self._intake.check_age(emissary.band, (now_us - time_us) * 1e-6, OLDEST_TARGET_S)
        emissary.realign(Target(cmath.rect(1.0, float(arguments["phase"])), omega, time_us), now_ns)

    def alone(self, role: str, band: str | None) -> Mapping[str, float] | None:
        """Give an output's values from this node's own rhythm, for the time without a hub.

        Parameters
        ----------
        role : str
            The output's; a motor gets nothing, ever.
        band : str or None
            The band to follow; None: the most coherent, and the same one until another is clearly more so.

        Returns
        -------
        mapping of str to float, or None
            Of T = C·e^{iθ}, C the local coherence and θ the control phase; None where nothing is coherent.
        """
        if role == MOTOR:
            return None
        name = band if band is not None else self._most_coherent()
        emissary, rhythm = self._emissaries.get(name or ""), self._rhythms.get(name or "")
        if emissary is None or rhythm is None or not rhythm.coherent:
            return None
        theta = emissary.phase(self._clock.monotonic_ns())
        return values_for(role, cmath.rect(rhythm.coherence, theta), rhythm.coherence)

    def emissary(self, band: str) -> Emissary | None:
        """Give a band's Emissary; None where this node has neither channel nor output in it."""
        return self._emissaries.get(band)

    def _emissary(self, name: str) -> Emissary | None:
        emissary = self._emissaries.get(name)
        if emissary is None and (band := self._bands.get(name)) is not None:
            emissary = self._emissaries[name] = Emissary(
                band,
                coupling=self._section.coupling,
                damping=self._section.damping,
                p_false=self._p_false,
                now_ns=self._clock.monotonic_ns(),
            )
        return emissary

    def _most_coherent(self) -> str | None:
        coherent = {name: rhythm.coherence for name, rhythm in self._rhythms.items() if rhythm.coherent}
        best = max(coherent, key=coherent.__getitem__, default=None)
        if best is not None and coherent[best] >= BETTER * coherent.get(self._followed or "", 0.0):
            self._followed = best
        return self._followed if self._followed in coherent else best

    # -- what comes in ---------------------------------------------------------------------------------------------

    def _take_sync(self, message: Message) -> None:
        try:
            name = self._topics.parse_cell(message.topic).names[0]
            if name not in self._bands:
                raise FrameError("unknown_band", f"the plan has no band {name}")
            emissary = self._emissaries.get(name)
            if emissary is None:  # it would make no difference
                return
            frame = self._intake.open(emissary.band, message)
        except (FrameError, TopicError) as error:
            known = error if isinstance(error, FrameError) else FrameError("topic", str(error))
            self.refused[known.reason] += 1
            self._trust.audit.note("sync", message.topic, known, self._clock.monotonic_ns())
            return
        if frame is None:
            return
        emissary.follow(Target(frame.field, frame.omega, frame.time_us))
        size = min(max(1, frame.cell_size), MOST_NODES)
        if size != self._cell_size:
            self._cell_size = size
            self._on_cell_size(size)

    def _is_due(self, name: str, band: Band, now_ns: int) -> bool:
        """Tell whether a band's oscillator is to be told of: a slow one is so about `PER_PERIOD` times a period."""
        told_ns = self._told_ns.get(name)
        return told_ns is None or now_ns - told_ns >= 1e9 * (
            band.period_s / PER_PERIOD - 0.5 / self._section.frames_per_s
        )

    # -- turns -----------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        now_ns = self._clock.monotonic_ns()
        self._bring(self._emissaries, now_ns)

    def _bring(self, names: Collection[str], now_ns: int) -> None:
        now_us, sigma_s = self._clock.mesh_us(now_ns), self._clock.sigma_s
        for name in names:
            self._rhythms[name] = self._emissaries[name].step(now_ns, now_us, sigma_s)

    def _publish(self) -> None:
        now_ns = self._clock.monotonic_ns()
        due = [name for name, one in self._emissaries.items() if self._is_due(name, one.band, now_ns)]
        if not due:
            return
        if not self._followed_by_outputs:
            self._bring(due, now_ns)
        if not self._link.connected:
            return
        for name in due:
            emissary = self._emissaries[name]
            self._told_ns[name] = now_ns
            frame = OscillatorFrame(
                boot=self._boot,
                seq=self._seq[name],
                time_us=self._clock.mesh_us(now_ns),
                phase=min(PHASE, max(-PHASE, emissary.phase(now_ns))),
                natural_omega=emissary.natural_omega,
                effective_omega=emissary.omega,
                entrained=emissary.entrained,
            )
            topic = self._topics.oscillator(self._node, name)
            if self._link.publish(topic, self._trust.seal(topic, encode_oscillator(frame))):
                self._seq[name] += 1
