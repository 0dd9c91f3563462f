"""One channel in one band: from samples to phase, coherence, frequency and temporal resonance."""

from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.channel.phase_block import PhaseBlock

__all__ = ["ChannelKernel", "PhaseBlock"]
