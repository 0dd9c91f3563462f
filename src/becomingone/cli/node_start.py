"""How a life of a node begins: which configuration it runs with, or safe mode."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from becomingone import __version__
from becomingone.config.boot import next_boot, volatile_boot
from becomingone.config.loader import ConfigProblems
from becomingone.errors import ConfigError
from becomingone.node.config import NodeConfig
from becomingone.node.config_file import ConfigFile, Loaded
from becomingone.node.log_ring import Log, secrets_of
from becomingone.node.process import Reloaded
from becomingone.node.starts import Starts, fingerprint

_LOG = logging.getLogger(__name__)


class NodeStart:
    """One start.

    What is essential is read first, without a device module, so that the start is counted before anything runs that
    could end it.

    Parameters
    ----------
    path : Path
        ``node.yaml``.
    overrides : sequence of str
        Of the command line.
    environ : mapping
        The environment.
    log : Log
        Becomes what the configuration says.
    debug : bool
        Log everything, whatever the configuration says.

    Attributes
    ----------
    file : ConfigFile
        The configuration.
    starts : Starts or None
        The count of failed starts; None before `begin`.
    """

    def __init__(
        self, path: Path, *, overrides: Sequence[str], environ: Mapping[str, str], log: Log, debug: bool = False
    ) -> None:
        self.file = ConfigFile(path, overrides=overrides, environ=environ)
        self.starts: Starts | None = None
        self._path = path
        self._overrides = tuple(overrides)
        self._environ = environ
        self._log = log
        self._debug = debug

    def begin(self) -> tuple[Loaded, Starts, int]:
        """Count the start, and give what it runs with, the count, and its boot id.

        Raises
        ------
        ConfigError
            There is no configuration to run with, or the state folder cannot be used.
        """
        essentials = self.file.load_safe("").config
        self.configure_log(essentials)
        self.starts = starts = self._count(essentials)
        loaded = self.file.load_safe(_why(starts)) if starts.safe else self.file.load()
        self.configure_log(loaded.config)
        if loaded.mode != "normal":
            _LOG.error("%s mode: %s", loaded.mode.replace("_", " "), loaded.why)
        return self._numbered(loaded, starts)

    def _numbered(self, loaded: Loaded, starts: Starts) -> tuple[Loaded, Starts, int]:
        """Give this life its number: where none can be counted and the cell does not need it, one of its own."""
        try:
            return loaded, starts, next_boot(folder_of(loaded.config))
        except ConfigError as error:
            authenticated = loaded.config.security.node_key() is not None
            if authenticated or not isinstance(
                error.__cause__, OSError
            ):  # a hub that knows its nodes takes no such life
                raise
            why = f"{error}; until then this node runs without its disk, and what it keeps is lost when it ends"
            _LOG.error("%s", why)
            both = f"{loaded.why}; {why}" if loaded.why else why
            rng = random.SystemRandom()
            return replace(loaded, why=both), starts, volatile_boot(rng)

    def configure_log(self, config: NodeConfig) -> None:
        """Log what a configuration says."""
        level = "DEBUG" if self._debug else config.logging.level
        self._log.configure(level=level, lines=config.life.log_lines, secrets=secrets_of(config))

    def reload(self, apply: Callable[[Loaded], None]) -> Reloaded:
        """Read the configuration again, and apply what can be.

        In safe mode nothing is applied and no device module imported: what is essential is looked at, and the rest
        takes a restart.

        Raises
        ------
        ConfigError
            It is refused; nothing has changed.
        """
        if self.starts is None or not self.starts.safe:
            return self.file.reload(apply)
        fresh = ConfigFile(self._path, overrides=self._overrides, environ=self._environ)
        fresh.load_safe("")
        if fresh.problems:
            raise ConfigProblems(fresh.problems)
        return Reloaded((), ("mode",))

    def stable(self, loaded: Loaded) -> None:
        """Take note that this life is stable: what it began with is good."""
        if self.starts is not None:
            self.starts.succeeded()
        self.file.keep(loaded)

    def failing(self, why: str) -> None:
        """Keep why this start is about to fail."""
        if self.starts is not None:
            self.starts.failing(why)

    def ended_well(self) -> None:
        """Take note that this life ends as it should."""
        if self.starts is not None:
            self.starts.succeeded()

    def _count(self, essentials: NodeConfig) -> Starts:
        name = fingerprint(self.file.fingerprint(), __version__, drop_in=self.file.drop_in)
        starts = Starts(folder_of(essentials), most=essentials.life.failed_starts, fingerprint=name)
        starts.begin()
        return starts


def folder_of(config: NodeConfig) -> Path:
    """Give the folder in which a node keeps what outlives it."""
    return config.state_dir / config.cell / config.node


def _why(starts: Starts) -> str:
    why = f"{starts.failed} starts in a row have failed"
    return f"{why}; the last one: {starts.why}" if starts.why else why
