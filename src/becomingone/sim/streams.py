"""Random streams by name: each client, fault and node draws from its own, so that one more of them changes no other."""

from __future__ import annotations

import hashlib
import random


def stream(seed: int, *names: str) -> random.Random:
    """Make the stream of a name.

    Parameters
    ----------
    seed : int
        The run's seed.
    names : str
        Whose draws these are, from the general to the particular: ``"network", "up", "becomingone.home.hub"``.

    Returns
    -------
    random.Random
        The same for the same seed and names in every process, whatever ``PYTHONHASHSEED`` says.
    """
    text = "\0".join((str(seed), *names)).encode()
    key = hashlib.blake2b(text, digest_size=16).digest()
    return random.Random(int.from_bytes(key, "big"))  # noqa: S311 - replayable on purpose
