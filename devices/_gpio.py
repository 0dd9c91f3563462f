"""What the drivers of pins have in common: gpiozero, imported late, and its errors as ours."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any, TypeVar

from pydantic import Field

from becomingone.errors import DeviceUnavailableError, MissingLibraryError

T = TypeVar("T")

Pin = Annotated[int, Field(ge=0, le=27, description="GPIO number (BCM), 0..27")]
"""A pin of the 40-pin header, by its GPIO number: GPIO 17 is the header's pin 11."""


def gpiozero() -> Any:  # noqa: ANN401 - gpiozero has no types
    """Import gpiozero, which few nodes need and which takes 11 MB.

    Raises
    ------
    MissingLibraryError
        It is not installed.
    """
    try:
        return import_module("gpiozero")
    except ImportError as error:
        msg = "pins need gpiozero: pip install 'becomingone[node]'"
        raise MissingLibraryError(msg) from error


@contextmanager
def hardware(what: str) -> Generator[None]:
    """Turn whatever gpiozero and the libraries below it raise into `DeviceUnavailableError`.

    Their errors have no common root: lgpio raises one of its own, RPi.GPIO `RuntimeError`, Linux `OSError`.
    """
    try:
        yield
    except (DeviceUnavailableError, MissingLibraryError):
        raise
    except Exception as error:
        msg = f"{what}: {type(error).__name__}: {error}"
        raise DeviceUnavailableError(msg) from error


def opened(what: str, *makers: Callable[[], T]) -> list[T]:
    """Open several devices of gpiozero, all or none.

    Raises
    ------
    DeviceUnavailableError
        One of them cannot be had; those before it are closed again.
    """
    made: list[Any] = []
    try:
        with hardware(what):
            for make in makers:
                made.append(make())  # noqa: PERF401 - what was made before a failure has to be known
    except BaseException:
        for device in made:
            device.close()
        raise
    return made
