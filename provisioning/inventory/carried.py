"""Bands that nobody can carry: none of the cell's sensors is fast enough, or no node's hardware class reaches them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pydantic import BaseModel

from becomingone.config.shape import child
from becomingone.devices.contract import Module
from becomingone.kairos.bands import HARDWARE_CLASSES, Band, bands_for
from becomingone.provisioning.inventory.devices_of import Fitted
from becomingone.provisioning.inventory.sections import MeshFile
from becomingone.provisioning.inventory.structure import Fault


def uncarried(
    mesh: MeshFile,
    devices: Sequence[Fitted],
    rates_of: Callable[[Module, BaseModel], Sequence[float] | None],
) -> Iterator[Fault]:
    """Find the bands of the file's own plan, and those that an input names, which nothing can be heard in.

    The built-in plan is for every kind of cell, so that a small one leaves some of it empty: no fault.
    """
    sensors = [device for device in devices if device.part == "inputs"]
    rates = {device.keys: rates_of(device.module, device.options) for device in sensors}
    plan = mesh.band_plan()
    if "bands" in mesh.model_fields_set:
        for band in plan:
            why = _why_not(band, mesh, sensors, rates.get)
            if why:
                yield Fault(("bands", band.name), why)
    for device in sensors:
        named = child(device.entry, "bands")
        if named is None or not isinstance(named.value, list):
            continue
        for number, one in enumerate(named.value):
            for band in plan:
                why = _why_not(band, mesh, [device], rates.get) if band.name == one.value else ""
                if why:
                    yield Fault((*device.keys, "bands", number), why)


def _why_not(
    band: Band, mesh: MeshFile, sensors: Sequence[Fitted], rates: Callable[..., Sequence[float] | None]
) -> str:
    """Say why none of these sensors can carry a band; empty where one can, or may."""
    ranges = {device.node: HARDWARE_CLASSES.get(mesh.nodes[device.node].hardware) for device in sensors}
    if not ranges or None in ranges.values():
        return ""
    reached = [
        device for device in sensors if (span := ranges[device.node]) is not None and span[0] <= band.tau_s <= span[1]
    ]
    if not reached:
        classes = [name for name, (low, high) in HARDWARE_CLASSES.items() if low <= band.tau_s <= high]
        wanted = f"{' or '.join(classes)} reach it" if classes else "no hardware class reaches that"
        return f"no sensor here can carry {band.name}, whose τ is {band.tau_s:g} s: {wanted}"
    fastest = 0.0
    for device in reached:
        given = rates(device.keys)
        if given is None:
            return ""
        span = ranges[device.node]
        if span and any(bands_for([band], sample_rate_hz=rate, tau_range=span) for rate in given):
            return ""
        fastest = max([fastest, *given])
    return (
        f"no sensor here can carry {band.name}: {band.frequency_hz:g} Hz take {4 * band.frequency_hz:g} samples a "
        f"second, and the fastest that could gives {fastest:g}"
    )
