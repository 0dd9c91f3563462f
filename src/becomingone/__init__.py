"""BecomingONE: one synchronised instrument out of many small computers.

Light agents read sensors, turn them into phase and coherence and publish them over MQTT; a hub aligns and
synchronises the mesh and drives outputs. See ``docs/architecture.md`` for the rooms of the house.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("becomingone")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
