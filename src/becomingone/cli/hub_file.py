"""A hub's configuration as its process uses it: with the rules of the file that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from becomingone.config.loader import load
from becomingone.hub.config import HubConfig
from becomingone.hub.rules.load import with_file


def load_hub(path: Path, *, overrides: Sequence[str], environ: Mapping[str, str]) -> HubConfig:
    """Load ``hub.yaml`` and its rules.

    Raises
    ------
    ConfigError
        What is wrong, with file, line and field.
    """
    config = load(HubConfig, path, overrides=overrides, environ=environ)
    dispatch = with_file(config.dispatch, path.parent, config.bands)
    return config.model_copy(update={"dispatch": dispatch})
