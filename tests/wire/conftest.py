"""Examples of a property may take as long as a busy machine needs; the work itself is bounded by counts."""

from hypothesis import settings

settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")
