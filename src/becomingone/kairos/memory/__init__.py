"""BLEND: what is remembered of phases, for how long, and how far a reconstruction may be off."""
