"""BecomingONE: one synchronised instrument out of many small computers.

Light agents read sensors, turn them into phase and coherence and publish them over MQTT; a hub aligns and
synchronises the mesh and drives outputs. See ``docs/architecture.md`` for the rooms of the house.
"""

__version__ = "0.1.0"
"""The one place where the version stands: asking the installed metadata for it costs every process 70 ms."""

__all__ = ["__version__"]
