"""The sections of a node's configuration on time, kept frames, acting alone and looking after itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from becomingone.config.marks import HOT, RESTART
from becomingone.config.sections import Positive, Section


class ClockSection(Section):
    """How this node knows mesh time."""

    sync: Annotated[bool, RESTART, Field(description="learn mesh time from the hub; else it is the system clock's")] = (
        True
    )
    sigma_s: Annotated[
        float,
        RESTART,
        Field(ge=0, le=3600, description="standard deviation of the system clock against the mesh's, s"),
    ] = 0.01


class SpoolSection(Section):
    """Where frames of channels with ``keep`` wait until the hub has committed them."""

    max_mb: Annotated[float, HOT, Field(ge=1, le=65_536, description="room on the disk, MB; full: the oldest goes")] = (
        64.0
    )
    sync_frames: Annotated[int, HOT, Field(ge=1, le=10_000, description="frames that one write to the card holds")] = 50
    sync_s: Annotated[Positive, HOT, Field(le=3600, description="s after which fewer are written all the same")] = 10.0
    late_per_s: Annotated[Positive, HOT, Field(le=10_000, description="late frames sent a second, at most")] = 50.0


class EmissarySection(Section):
    """The node's own oscillators, one a band, which the mesh entrains and outputs follow when the hub is gone."""

    coupling: Annotated[
        float, HOT, Field(ge=0, le=1, description="gain K as a part of the band's angular frequency")
    ] = 0.1
    damping: Annotated[Positive, HOT, Field(le=100, description="ζ of the loop; 1 is critical")] = 1.0
    rate_hz: Annotated[Positive, HOT, Field(le=100, description="steps a second")] = 20.0
    frames_per_s: Annotated[Positive, HOT, Field(le=10, description="oscillator frames a second and band")] = 1.0


class LifeSection(Section):
    """How the node looks after itself."""

    hung_s: Annotated[
        Positive,
        RESTART,
        Field(le=3600, description="s after which a sensor that worked and hangs stops the watchdog from being fed"),
    ] = 60.0
    failed_starts: Annotated[
        int,
        RESTART,
        Field(ge=1, le=100, description="starts in a row that end early, after which the next is in safe mode"),
    ] = 5
    stable_s: Annotated[
        Positive, RESTART, Field(le=3600, description="s of life after which a start has not failed")
    ] = 60.0
    log_lines: Annotated[
        int, RESTART, Field(ge=1, le=10_000, description="lines of the log that are kept for `log`")
    ] = 256
