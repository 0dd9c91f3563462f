"""How often somebody may ask: a bucket of turns for each address, and one for all of them together.

What is kept is bounded, whoever asks and from however many addresses.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

ADDRESSES: Final = 1024
"""Addresses that are remembered; beyond them the one that was quiet longest is forgotten."""

_IPV6_NETWORK: Final = 64
"""Bits of an IPv6 address that one customer, or one machine, has to itself at least (RFC 6177, 2)."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """A bucket's size.

    Parameters
    ----------
    burst : float
        Turns that may be taken at once.
    per_s : float
        Turns that come back a second.
    """

    burst: float
    per_s: float


PER_ADDRESS: Final = Allowance(burst=20, per_s=0.5)
IN_ALL: Final = Allowance(burst=60, per_s=10)


class _Bucket:
    __slots__ = ("_allowance", "_at", "_turns")

    def __init__(self, allowance: Allowance, now: float) -> None:
        self._allowance = allowance
        self._turns = allowance.burst
        self._at = now

    def wait_s(self, now: float) -> float:
        """Seconds until there is a turn; 0 where there is one."""
        gained = max(0.0, now - self._at) * self._allowance.per_s
        self._turns = min(self._allowance.burst, self._turns + gained)
        self._at = now
        return 0.0 if self._turns >= 1 else (1 - self._turns) / self._allowance.per_s

    def take(self) -> None:
        self._turns -= 1


class RateLimit:
    """Counts who has asked.

    Parameters
    ----------
    monotonic : callable
        Seconds on a clock that only moves forwards.
    per_address, in_all : Allowance, optional
        The buckets.
    addresses : int, optional
        How many are remembered.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        per_address: Allowance = PER_ADDRESS,
        in_all: Allowance = IN_ALL,
        addresses: int = ADDRESSES,
    ) -> None:
        self._monotonic = monotonic
        self._per_address = per_address
        self._addresses = addresses
        self._all = _Bucket(in_all, monotonic())
        self._each: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._each)

    def wait_s(self, address: str) -> float:
        """Take a turn for an address.

        Returns
        -------
        float
            0 where it may ask now; else the seconds until it may, and no turn is taken.
        """
        now = self._monotonic()
        name = network_of(address)
        bucket = self._each.get(name)
        if bucket is None:
            bucket = self._each[name] = _Bucket(self._per_address, now)
        self._each.move_to_end(name)
        while len(self._each) > self._addresses:
            self._each.popitem(last=False)
        # The address's own bucket first: one that asks too often must not use up what is there for all.
        wait = bucket.wait_s(now) or self._all.wait_s(now)
        if not wait:
            bucket.take()
            self._all.take()
        return wait


def network_of(address: str) -> str:
    """Give what counts as one asker: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))
