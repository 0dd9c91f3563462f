"""The mesh's field for the control oscillators of all nodes: sync frames, signed where there is a key."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from becomingone.config.security import key_bytes
from becomingone.hub.config import HubConfig
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.kairos.bands import Band
from becomingone.wire.signature import Signer
from becomingone.wire.sync import SyncFrame, encode_sync
from becomingone.wire.sync_pace import interval_s
from becomingone.wire.topics import Topics

_LOG = logging.getLogger(__name__)

MAX_PER_S: Final = 200.0
"""Sync frames a second of all bands together; with more bands each comes less often."""

LEAST_FIELD: Final = 0.01
"""A shorter field is none: its phase is as good as chance."""

_EARLY_US: Final = 1_000
"""A turn that comes early by rounding is not put off to the next tick."""


class SyncPublisher:
    """Publishes ``sync/<band>``.

    A band without a field is told of once, with a field of 0, so that oscillators coast; then it is silent.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    bands : sequence of Band
        The cell's plan.
    boot : int
        The hub's boot id.
    tick_hz : float
        How often `take` is called.
    publish : callable
        Publishes (topic, payload) at QoS 0; True where the link took it.
    signer : Signer or None
        Signs each frame.
    """

    def __init__(
        self,
        topics: Topics,
        bands: Sequence[Band],
        boot: int,
        *,
        tick_hz: float,
        publish: Callable[[str, bytes], bool],
        signer: Signer | None,
    ) -> None:
        self._topics = {band.name: topics.sync(band.name) for band in bands}
        self._most_omega = {band.name: 2.0 * band.omega for band in bands}
        self._boot = boot
        self._publish = publish
        self._signer = signer
        pace = {band.name: interval_s(band.frequency_hz, tick_hz) for band in bands}
        crowd = max(1.0, sum(1.0 / interval for interval in pace.values()) / MAX_PER_S)
        self._interval_us = {name: round(interval * crowd * 1e6) for name, interval in pace.items()}
        self._due_us = dict.fromkeys(pace, 0)
        self._followed: set[str] = set()
        self._seq: Counter[str] = Counter()

    @classmethod
    def of(
        cls, config: HubConfig, topics: Topics, boot: int, publish: Callable[[str, bytes], bool]
    ) -> SyncPublisher | None:
        """Make what a hub's configuration asks for; None where no node would believe it."""
        if not config.sync.enabled:
            return None
        key = config.security.signing_key
        if key is None and config.security.secret is not None:
            _LOG.warning("no sync frames are sent: nodes with keys believe none without security.signing_key")
            return None
        signer = None if key is None else Signer(key_bytes(key.get_secret_value()))
        return cls(topics, config.band_plan(), boot, tick_hz=config.tick_hz, publish=publish, signer=signer)

    def take(self, state: MeshState, cell_size: int) -> None:
        """Publish the bands that are due.

        Parameters
        ----------
        state : MeshState
            The mesh at a tick.
        cell_size : int
            Nodes that the hub knows.
        """
        for band in state.bands:
            if state.time_us < self._due_us[band.name] - _EARLY_US:
                continue
            there = self._turns(band)
            if (there or band.name in self._followed) and self._send(band, state.time_us, cell_size, there=there):
                (self._followed.add if there else self._followed.discard)(band.name)
                interval_us = self._interval_us[band.name]
                behind = state.time_us - self._due_us[band.name] >= interval_us
                self._due_us[band.name] = (state.time_us if behind else self._due_us[band.name]) + interval_us

    def _turns(self, band: BandState) -> bool:
        """Tell whether there is a field to follow: nodes refuse one that turns as no rhythm of its band does."""
        fast = 0.0 <= band.omega <= self._most_omega[band.name]
        return band.valid and fast and abs(band.mean_field) >= LEAST_FIELD

    def _send(self, band: BandState, time_us: int, cell_size: int, *, there: bool) -> bool:
        field = band.field_at(time_us) if there else 0j
        frame = SyncFrame(
            boot=self._boot,
            seq=self._seq[band.name],
            time_us=time_us,
            field=field / max(1.0, abs(field)),
            omega=band.omega if there else 0.0,
            cell_size=cell_size,
        )
        topic, payload = self._topics[band.name], encode_sync(frame)
        if self._signer is not None:
            payload = self._signer.sign(topic, payload)
        taken = self._publish(topic, payload)
        self._seq[band.name] += taken
        return taken
