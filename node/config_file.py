"""The node's configuration file, and what became of it.

At the start the file decides; where it is refused, the last configuration that ran without a fault is taken in its
place, so that a slip of the pen takes no node down. A reload takes the whole of a new file or nothing of it: what a
node says of its configuration stays the truth.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from becomingone.config.last_good import LastGood, to_text
from becomingone.config.loader import ConfigProblems, Layers, read_layers
from becomingone.config.override import PREFIX, lay_over
from becomingone.config.secret import Secrets
from becomingone.config.settled import SettledFile
from becomingone.config.tree import DocumentError, Node, Place, Problem
from becomingone.errors import ConfigError
from becomingone.node.changes import changes
from becomingone.node.config import DeviceFaults, NodeConfig
from becomingone.node.effective import Loaded, Proposal, made, made_safe, not_to_keep
from becomingone.node.process import Reloaded

__all__ = ["ConfigFile", "Loaded", "Proposal"]

_LOG = logging.getLogger(__name__)

_STATE_DIR: Final = re.compile(r"^state_dir:[ \t]+[\"']?([^\"'#\n]*[^\"'#\s])", re.MULTILINE)


class ConfigFile:
    """A node's configuration file with what is laid over it.

    Parameters
    ----------
    path : Path
        ``node.yaml``, or a symbolic link to it; ``secrets.yaml`` is looked for beside it.
    overrides : sequence of str, optional
        ``key=value`` each, as for `becomingone.config.loader.load`.
    environ : mapping of str to str
        The environment.
    state_dir : Path, optional
        Where the last good configuration is kept; by default where the configuration says, as far as it can be made
        out when it is refused.
    sleep : callable, optional
        Waits for so many seconds, between two looks at the file.

    Attributes
    ----------
    problems : tuple of str
        All that was wrong with the file when `load` or `load_safe` took something else, a line each.
    """

    def __init__(
        self,
        path: Path,
        *,
        overrides: Sequence[str] = (),
        environ: Mapping[str, str],
        state_dir: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.problems: tuple[str, ...] = ()
        self._path = path
        self._overrides = tuple(overrides)
        self._environ = environ
        self._state_dir = state_dir
        self._file = SettledFile(path, sleep)
        self._current: Proposal | None = None
        self._seen = b""  # what the file held when it was last read
        self._keeping = threading.Lock()

    @property
    def current(self) -> Loaded | None:
        """What the node runs with; None before the first `load`."""
        return self._current.loaded if self._current is not None else None

    @property
    def drop_in(self) -> Path | None:
        """The folder of further device modules that was last read of, also where the rest was refused."""
        root = self._current.tree.value if self._current is not None else None
        found = root.get("drop_in") if isinstance(root, dict) else None
        return Path(found.value) if found is not None and isinstance(found.value, str) else None

    def fingerprint(self) -> str:
        """Name what the next start would read, good or bad: the SHA-256 of the file and of what is laid over it.

        Nothing is validated and no device module imported, so that a node can tell in safe mode whether anything has
        changed. The secrets that it refers to do not count.
        """
        try:
            raw = self._file.read()
        except DocumentError as error:
            raw = str(error).encode()
        laid = [item for item in sorted(self._environ.items()) if item[0].upper().startswith(PREFIX)]
        return hashlib.sha256(repr((raw, self._overrides, laid)).encode("utf-8", "backslashreplace")).hexdigest()

    def load(self) -> Loaded:
        """Give what to start with: the file, or else the last good configuration.

        A device whose module is there and cannot be imported is no fault of the file: the node runs without it.

        Raises
        ------
        ConfigProblems
            The file is refused, and there is no last good configuration or it cannot be used either.
        """
        return self._start(made, "last_good", "")

    def load_safe(self, why: str) -> Loaded:
        """Give what to start with in safe mode: who the node is and how it reaches its broker, and no device.

        No device module is imported. Its digest is that of the little which is in effect.

        Parameters
        ----------
        why : str
            Why the node starts in safe mode.

        Raises
        ------
        ConfigProblems
            Not even that can be made out.
        """
        return self._start(lambda layers, _faults: made_safe(layers, why), "safe", why)

    def propose(self) -> Proposal:
        """Read the file anew without changing anything; may run in a thread of its own, for it waits for the disk.

        In safe mode only what safe mode needs of it is looked at, and no device module is imported.

        Raises
        ------
        ConfigProblems
            It is refused.
        """
        layers = self._read()
        if self.current is not None and self.current.mode == "safe":
            return Proposal(made_safe(layers, self.current.why), layers.root)
        return Proposal(made(layers, "broken"), layers.root)

    def adopt(self, proposal: Proposal, apply: Callable[[Loaded], None]) -> Reloaded:
        """Put a proposal into effect, as a whole or not at all.

        Where any of it needs a restart, nothing is applied; in safe mode, everything needs one.

        Parameters
        ----------
        proposal : Proposal
            From `propose`.
        apply : callable
            Makes the running node what it is given. Where it raises, it is called again with what was in effect, and
            the exception passes on.

        Raises
        ------
        RuntimeError
            Nothing has been loaded yet.
        """
        if self._current is None:
            msg = "load a configuration before adopting another"
            raise RuntimeError(msg)
        before = self._current.loaded
        found = changes(before.config, proposal.loaded.config)
        if before.mode == "safe":
            return Reloaded((), (*found.restart, *found.hot) or ("mode",))
        if found.restart:
            return Reloaded((), found.restart)
        if found or proposal.loaded != before:
            try:
                apply(proposal.loaded)
            except Exception:
                apply(before)
                raise
            self._current = proposal
        return Reloaded(found.hot, ())

    def reload(self, apply: Callable[[Loaded], None]) -> Reloaded:
        """Read the file anew and put it into effect: `propose` and `adopt`.

        Raises
        ------
        ConfigProblems
            It is refused; nothing has changed.
        """
        return self.adopt(self.propose(), apply)

    def keep(self, loaded: Loaded) -> bool:
        """Keep a configuration as the last good one, once it has run for long enough without a fault.

        May run in a thread of its own, for it waits for the disk.

        Parameters
        ----------
        loaded : Loaded
            What has run; nothing is kept where something else is in effect by now, or it is not normal.

        Returns
        -------
        bool
            Whether anything was written: a configuration that is kept already is not written again.
        """
        current = self._current
        if current is None or current.loaded is not loaded or loaded.mode != "normal":
            return False
        if reasons := list(not_to_keep(loaded.config, current.tree)):
            _LOG.warning("not kept as the last good configuration: %s", "; ".join(reasons))
            return False
        try:
            with self._keeping:
                return self._last_good(self._state_dir or loaded.config.state_dir).write(to_text(current.tree))
        except ConfigError as error:
            _LOG.error("this configuration cannot be kept as the last good one: %s", error)
            return False

    # -- how -------------------------------------------------------------------------------------------------------

    def _start(
        self, make: Callable[[Layers, DeviceFaults], Loaded], mode: Literal["last_good", "safe"], why: str
    ) -> Loaded:
        try:
            layers = self._read()
            self._current = Proposal(make(layers, "broken"), layers.root)
        except ConfigProblems as refused:
            self.problems = refused.problems
            self._current = self._fall_back(make, refused, mode, why)
        return self._current.loaded

    def _read(self) -> Layers:
        try:
            raw = self._file.read()
        except DocumentError as error:
            problem = Problem(Place(str(self._path)), (), str(error))
            raise ConfigProblems([str(problem)], [problem]) from None
        self._seen = raw
        return read_layers(self._path, raw=raw, overrides=self._overrides, environ=self._environ)

    def _fall_back(
        self,
        make: Callable[[Layers, DeviceFaults], Loaded],
        refused: ConfigProblems,
        mode: Literal["last_good", "safe"],
        why: str,
    ) -> Proposal:
        first, more = refused.problems[0], len(refused.problems) - 1
        reason = "; ".join(text for text in (why, first + (f" (and {more} more)" if more else "")) if text)
        secrets = {name: text for name, text in self._environ.items() if not name.upper().startswith(PREFIX)}
        beyond: list[str] = []
        for state_dir in self._state_dirs():
            kept = self._last_good(state_dir)
            try:
                raw = kept.read()
                if raw is None:
                    continue
                layers = read_layers(kept.path, raw=raw, folder=self._path.parent, environ=secrets)
                loaded = make(layers, "all")
            except ConfigError as error:
                beyond += [
                    f"the last good configuration cannot be used either: {line}" for line in f"{error}".split("\n")
                ]
                continue
            return Proposal(Loaded(loaded.config, loaded.sha256, mode, reason), layers.root)
        raise ConfigProblems([*refused.problems, *beyond], refused.details)

    def _last_good(self, state_dir: Path) -> LastGood:
        return LastGood(state_dir, self._path)

    def _state_dirs(self) -> list[Path]:
        """Where the last good configuration may be, though nothing is certain of a file that is refused."""
        if self._state_dir is not None:
            return [self._state_dir]
        return list(dict.fromkeys(self._guesses()))

    def _guesses(self) -> Iterator[Path]:
        root = Node(Place("overrides"), {})
        resolve = Secrets(self._path.parent, {}).resolve
        lay_over(root, [], overrides=self._overrides, environ=self._environ, secret=resolve)
        found = root.value.get("state_dir") if isinstance(root.value, dict) else None
        if found is not None and isinstance(found.value, str):
            yield Path(found.value)
        if written := _STATE_DIR.search(self._seen.decode("utf-8", "replace")):
            yield Path(written[1])
        yield NodeConfig.model_fields["state_dir"].default
