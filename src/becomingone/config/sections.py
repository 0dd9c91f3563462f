"""The sections that a node's and the hub's configuration share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from becomingone.config.marks import HOT, RESTART
from becomingone.errors import KernelError
from becomingone.kairos.bands import DEFAULT_BANDS, Band

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A level of a topic."""

Root = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}(/[a-z0-9][a-z0-9_-]{0,62})*$")]
"""The topics' root."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A frozen section that refuses fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class BandSection(Section):
    """One band of the cell's plan."""

    frequency_hz: Annotated[Positive, RESTART, Field(description="centre frequency, Hz")]
    tau_s: Annotated[Positive, RESTART, Field(description="time constant of each of the filter's two poles, s")]
    lag_s: Annotated[
        Positive | None, RESTART, Field(description="lag of T_τ, s; default: whole periods, at least 2πτ")
    ] = None
    coherence_tau_s: Annotated[
        Positive | None, RESTART, Field(description="window of the coherence, s, at least 8τ; default 40τ")
    ] = None

    def band(self, name: str) -> Band:
        """Make the kernel's value.

        Raises
        ------
        KernelError
            When the figures do not fit each other.
        """
        return Band.of(name, self.frequency_hz, self.tau_s, lag_s=self.lag_s, coherence_tau_s=self.coherence_tau_s)


class KairosSection(Section):
    """How the kernel decides."""

    p_false: Annotated[
        float, RESTART, Field(gt=0, lt=0.5, description="probability of calling noise coherent; decides I_c")
    ] = 0.001


class LoggingSection(Section):
    """What is logged to standard error."""

    level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], HOT, Field(description="what is logged: this and what is worse")
    ] = "INFO"


def default_bands() -> dict[str, BandSection]:
    """Give the band plan of a cell that has not configured one."""
    return {
        band.name: BandSection(
            frequency_hz=band.frequency_hz,
            tau_s=band.tau_s,
            lag_s=band.lag_s,
            coherence_tau_s=band.coherence_tau_s,
        )
        for band in DEFAULT_BANDS
    }


class CellConfig(Section):
    """What every member of a cell must agree on.

    The band plan must be the same on the hub and on all nodes: a phase difference means something only between
    oscillations of the same nominal frequency.
    """

    cell: Annotated[Name, RESTART, Field(description="the deployment: a home, a laboratory, a robot")] = "home"
    root: Annotated[Root, RESTART, Field(description="first level, or levels, of every topic")] = "becomingone"
    bands: Annotated[
        dict[Name, BandSection],
        RESTART,
        Field(
            default_factory=default_bands,
            min_length=1,
            max_length=64,
            description="the cell's band plan, the same on all members",
        ),
    ]
    kairos: KairosSection = KairosSection()
    logging: LoggingSection = LoggingSection()

    @model_validator(mode="after")
    def _check_bands(self) -> CellConfig:
        for name, section in self.bands.items():
            try:
                section.band(name)
            except KernelError as error:
                msg = f"bands.{name}: {error}"
                raise ValueError(msg) from error
        return self

    def band_plan(self) -> Sequence[Band]:
        """Give the bands as the kernel's values."""
        return [section.band(name) for name, section in self.bands.items()]
