"""Witnessing: the mesh observes itself, in four layers, each of which looks at the one below."""

from becomingone.hub.witnessing.section import WitnessingSection
from becomingone.hub.witnessing.witnesses import Witnesses

__all__ = ["Witnesses", "WitnessingSection"]
