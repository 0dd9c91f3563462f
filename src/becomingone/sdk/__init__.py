"""The kernel as one object: feed it samples, read what the channels are together. No broker, no clock, no threads."""

from becomingone.kairos.bands import DEFAULT_BANDS, Band
from becomingone.sdk.engine import Chunk, CoherenceEngine
from becomingone.sdk.state import BandState, EngineState

__all__ = ["DEFAULT_BANDS", "Band", "BandState", "Chunk", "CoherenceEngine", "EngineState"]
