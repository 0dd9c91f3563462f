"""The sound card of a node, through PortAudio (sounddevice)."""

from becomingone.node.audio.card import SoundCard
from becomingone.node.audio.timer import BlockTimer

__all__ = ["BlockTimer", "SoundCard"]
