"""What a node may ask of the process that it runs in."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Reloaded(NamedTuple):
    """What became of reading the configuration again.

    Parameters
    ----------
    changed : tuple of str
        Dotted fields that have another value now, and are in effect.
    needs_restart : tuple of str
        Dotted fields whose new value takes effect with the next start only.
    """

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


class Host(Protocol):
    """Starts, restarts and supervises a node, and keeps its log."""

    def restart(self, why: str) -> None:
        """End in an orderly way, and be started again."""
        ...

    def reload(self) -> Reloaded:
        """Read the configuration again, and apply what can be applied while running.

        Raises
        ------
        ConfigError
            It is refused; nothing has changed.
        """
        ...

    def log_level(self, level: str) -> None:
        """Log this and what is worse: ``debug``, ``info``, ``warning`` or ``error``."""
        ...

    def log_lines(self, count: int) -> tuple[str, ...]:
        """Give the last lines of the log, oldest first."""
        ...

    def ready(self, status: str) -> None:
        """Tell the supervisor that the node is at work, or explicitly degraded."""
        ...

    def status(self, text: str) -> None:
        """Tell the supervisor, in one line, how things are."""
        ...
