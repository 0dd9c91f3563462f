"""The newest life of every node, kept on the disk over the hub's restarts."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Protocol

from pydantic import Field, TypeAdapter, ValidationError

from becomingone.config.atomic import replace_text
from becomingone.config.sections import Name
from becomingone.errors import ConfigError
from becomingone.wire.fields import UINT32

_LOG = logging.getLogger(__name__)

_CONTENT: Final = TypeAdapter(dict[Name, Annotated[int, Field(ge=0, le=UINT32, strict=True)]])


class EpochStore(Protocol):
    """Where the highest boot id of every node is kept."""

    def load(self) -> dict[str, int]:
        """Give what was kept; empty the first time."""
        ...

    def save(self, epochs: Mapping[str, int]) -> None:
        """Keep this instead of what was kept before; returns at once."""
        ...


class EpochFile:
    """One small JSON file, replaced as a whole by a thread of its own: the hub's turns never wait for a disk.

    Parameters
    ----------
    path : Path
        The file; its folder is there already.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._wanted: dict[str, int] | None = None
        self._writer: threading.Thread | None = None

    def load(self) -> dict[str, int]:
        """Give what was kept; empty where there is no file.

        Raises
        ------
        ConfigError
            The file cannot be read: without it, what earlier lives of the nodes sent might be accepted again.
        """
        try:
            return _CONTENT.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            msg = f"{self._path}: {error.strerror or error}; give a state_dir that this user may read"
            raise ConfigError(msg) from error
        except ValidationError as error:
            msg = f"{self._path} must be one JSON object of node ids and boot ids; delete it only if you accept {_RISK}"
            raise ConfigError(msg) from error

    def save(self, epochs: Mapping[str, int]) -> None:
        """Write it as soon as the last write is done; what was still waiting is left out, for this is newer."""
        with self._lock:
            self._wanted = dict(epochs)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="epochs")
                self._writer.start()

    def close(self) -> None:
        """Wait until everything is on the disk."""
        writer = self._writer
        if writer is not None:
            writer.join()

    def _write(self) -> None:
        while True:
            with self._lock:
                wanted, self._wanted = self._wanted, None
                if wanted is None:
                    self._writer = None
                    return
            try:
                replace_text(self._path, json.dumps(wanted, sort_keys=True, indent=0) + "\n")
            except OSError as error:
                _LOG.error("%s cannot be written: %s; %s after a restart", self._path, error.strerror or error, _RISK)


_RISK: Final = "that earlier lives of the nodes may be taken for the present one"
