"""How a delay, a duration or an offset is distributed: frozen values that can be written in YAML.

A plain number is always that number; otherwise ``kind`` says which distribution. The unit is that of the field that
the value stands in (``delay_ms``, ``lasts_s``).
"""

from __future__ import annotations

import math
import random
from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from becomingone.config.sections import Section

Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]

_STANDARD = NormalDist()


class Constant(Section):
    """Always the same."""

    kind: Literal["constant"] = "constant"
    value: Number

    def sample(self, _rng: random.Random) -> float:
        """Give the value."""
        return self.value


class Uniform(Section):
    """Anything from `low` to `high`, each as likely."""

    kind: Literal["uniform"]
    low: Number = 0.0
    high: Number

    @model_validator(mode="after")
    def _ordered(self) -> Uniform:
        if self.low > self.high:
            msg = f"low ({self.low:g}) must be at most high ({self.high:g})"
            raise ValueError(msg)
        return self

    def sample(self, rng: random.Random) -> float:
        """Draw a value."""
        return self.low + (self.high - self.low) * rng.random()


class Exponential(Section):
    """`least` and something on top whose mean is `mean`: what waits in a queue."""

    kind: Literal["exponential"]
    mean: Annotated[Number, Field(gt=0, description="mean of what comes on top of least")]
    least: Number = 0.0

    def sample(self, rng: random.Random) -> float:
        """Draw a value."""
        return self.least - self.mean * math.log(1.0 - rng.random())


class Normal(Section):
    """Normal with `mean` and `sigma`, cut off below `least`; the mean of what remains is above `mean`."""

    kind: Literal["normal"]
    mean: Number
    sigma: Annotated[Number, Field(gt=0)]
    least: Number = 0.0

    @model_validator(mode="after")
    def _something_remains(self) -> Normal:
        if self.least > self.mean + 6 * self.sigma:
            msg = f"least ({self.least:g}) must be at most mean + 6 sigma ({self.mean + 6 * self.sigma:g})"
            raise ValueError(msg)
        return self

    def sample(self, rng: random.Random) -> float:
        """Draw a value by the inverse of the distribution function: one draw each, however much is cut off."""
        # Drawn in the upper tail, where doubles are dense enough for a cut six sigmas up.
        above = 0.5 * math.erfc((self.least - self.mean) / (self.sigma * math.sqrt(2.0)))
        tail = above * (rng.getrandbits(53) + 0.5) * 2.0**-53
        return max(self.least, self.mean - self.sigma * _STANDARD.inv_cdf(tail))


class Empirical(Section):
    """One of the measured `values`, each as likely."""

    kind: Literal["empirical"]
    values: Annotated[tuple[Number, ...], Field(min_length=1, max_length=65_536)]

    def sample(self, rng: random.Random) -> float:
        """Draw a value."""
        return self.values[int(rng.random() * len(self.values))]


def _number(value: object) -> object:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return {"kind": "constant", "value": value} if plain else value


Spread = Annotated[
    Annotated[Constant | Uniform | Exponential | Normal | Empirical, Field(discriminator="kind")],
    BeforeValidator(_number),
]
"""A number, or one of the distributions."""
