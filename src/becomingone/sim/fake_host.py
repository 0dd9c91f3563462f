"""The process of a simulated node: it takes note of what is asked of it."""

from __future__ import annotations

from becomingone.errors import ConfigError
from becomingone.node.process import Reloaded


class FakeHost:
    """A host that records.

    Attributes
    ----------
    calls : list of tuple
        What was asked, in order: ``("ready", "3 of 3 devices")``.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def restart(self, why: str) -> None:
        """See `Host.restart`."""
        self.calls.append(("restart", why))

    def reload(self) -> Reloaded:
        """See `Host.reload`; a simulated node has no file."""
        self.calls.append(("reload", ""))
        msg = "a simulated node has no configuration file"
        raise ConfigError(msg)

    def log_level(self, level: str) -> None:
        """See `Host.log_level`."""
        self.calls.append(("log_level", level))

    def log_lines(self, count: int) -> tuple[str, ...]:
        """See `Host.log_lines`."""
        self.calls.append(("log_lines", str(count)))
        return ()

    def ready(self, status: str) -> None:
        """See `Host.ready`."""
        self.calls.append(("ready", status))

    def status(self, text: str) -> None:
        """See `Host.status`."""
        self.calls.append(("status", text))
