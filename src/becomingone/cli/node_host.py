"""The process that a node runs in, as the node sees it: its supervisor, its log, its configuration file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from becomingone.errors import ConfigError
from becomingone.node.log_ring import Log
from becomingone.node.notify import Notifier
from becomingone.node.process import Reloaded
from becomingone.node.starts import Starts
from becomingone.scheduling import Clock

_LOG = logging.getLogger(__name__)

Reload = Callable[[], Reloaded]
"""Reads the configuration and applies what can be; raises ConfigError where it is refused and nothing has changed."""


class NodeHost:
    """A `becomingone.node.process.Host` with a supervisor, or with none: then its words go nowhere.

    Parameters
    ----------
    notifier : Notifier
        Tells the supervisor.
    log : Log
        The log.
    starts : Starts
        Counts failed starts.
    clock : Clock
        Tells when a reload has begun.
    end : asyncio.Event
        Set to end the process in an orderly way.
    """

    def __init__(self, *, notifier: Notifier, log: Log, starts: Starts, clock: Clock, end: asyncio.Event) -> None:
        self._notifier = notifier
        self._log = log
        self._starts = starts
        self._clock = clock
        self._end = end
        self._reload: Reload | None = None
        self._status = ""

    def serve(self, reload: Reload) -> None:
        """Say how the configuration is read again."""
        self._reload = reload

    def restart(self, why: str) -> None:
        """See `Host.restart`; failed starts are forgotten, so that this is the way out of safe mode."""
        _LOG.warning("restarts: %s", why)
        self._starts.clear()
        self._end.set()

    def try_again(self, why: str) -> None:
        """Restart from safe mode; when that start fails too, the one after it is in safe mode again."""
        _LOG.warning("restarts: %s", why)
        self._starts.once_more()
        self._end.set()

    def reload(self) -> Reloaded:
        """See `Host.reload`."""
        if self._reload is None:
            raise ConfigError("the node has only just been started: ask again")
        self._notifier.reloading(self._clock.monotonic_ns() // 1_000)
        try:
            done = self._reload()
        except ConfigError as error:
            self._notifier.ready(f"configuration refused, nothing has changed: {error}")
            raise
        except Exception:
            self._notifier.ready("reading the configuration failed; see the log")
            raise
        self._notifier.ready(self._status)
        return done

    def hang_up(self) -> None:
        """Do what SIGHUP asks for: read the configuration again."""
        try:
            done = self.reload()
        except ConfigError as error:
            _LOG.error("configuration refused, nothing has changed: %s", error)
            return
        _LOG.info("configuration read: %s", ", ".join(done.changed) or "nothing that is in effect at once has changed")
        if done.needs_restart:
            _LOG.warning("takes effect with the next start only: %s", ", ".join(done.needs_restart))

    def log_level(self, level: str) -> None:
        """See `Host.log_level`."""
        self._log.level(level)

    def log_lines(self, count: int) -> tuple[str, ...]:
        """See `Host.log_lines`."""
        return self._log.ring.lines(count)

    def ready(self, status: str) -> None:
        """See `Host.ready`."""
        _LOG.info("ready: %s", status)
        self._status = status
        self._notifier.ready(status)

    def status(self, text: str) -> None:
        """See `Host.status`."""
        self._status = text
        self._notifier.status(text)
