"""The row of a channel in a band, if its node has described it so that the cell can take it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from becomingone.errors import FrameError
from becomingone.hub.config import IngestSection
from becomingone.hub.intake.roster import Member
from becomingone.hub.mesh.table import ChannelTable, RowKey
from becomingone.kairos.bands import Band

BAND_TOLERANCE: Final = 1e-6
"""Relative difference up to which a node's band counts as the cell's."""

MAX_ROWS: Final = 65_536
"""Channels times bands of a cell; they are never forgotten while the hub runs."""

MAX_NODE_ROWS: Final = 4096
"""Channels times bands of one node, so that none takes the others' place."""


def described_row(
    member: Member, rest: tuple[str, ...], *, bands: Sequence[Band], table: ChannelTable, rules: IngestSection
) -> int:
    """Give the table's row of a channel that its node has described, made where there is none.

    Parameters
    ----------
    member : Member
        The node.
    rest : tuple of str
        Band and channel; anything else is none.
    bands : sequence of Band
        The cell's plan.
    table : ChannelTable
        Where the rows are.
    rules : IngestSection
        How old a phase may be.

    Raises
    ------
    FrameError
        ``no_about``, ``unknown_channel``, ``unknown_band``, ``band_mismatch`` or ``too_many_channels``.
    """
    if member.about is None:
        raise FrameError("no_about", f"{member.id} has not described itself yet")
    band_name, channel_name = rest if len(rest) == 2 else ("", "")
    channel = next((c for c in member.about.channels if c.name == channel_name), None)
    if channel is None or band_name not in channel.bands or band_name not in member.about.bands:
        raise FrameError("unknown_channel", f"{member.id} has described no such channel and band: {'/'.join(rest)}")
    number = next((n for n, band in enumerate(bands) if band.name == band_name), None)
    if number is None:
        raise FrameError("unknown_band", f"the cell's plan has no band {band_name}")
    ours, theirs = bands[number].frequency_hz, member.about.bands[band_name].frequency_hz
    if abs(theirs - ours) > BAND_TOLERANCE * ours:
        raise FrameError("band_mismatch", f"{band_name} is {ours:g} Hz in this cell and {theirs:g} Hz on {member.id}")
    key = RowKey(member.id, band_name, channel_name)
    if key not in table:
        if member.rows >= MAX_NODE_ROWS or len(table) >= MAX_ROWS:
            raise FrameError("too_many_channels", f"at most {MAX_NODE_ROWS} channels and bands a node are taken")
        member.rows += 1
    return table.row(
        key,
        node=member.number,
        band=number,
        max_age_s=rules.max_age_s(bands[number].period_s, channel.interval_s),
        capability=member.about.capability,
    )
