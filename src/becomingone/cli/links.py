"""Links to a real broker, for the parts that run as processes."""

from __future__ import annotations

import random

from becomingone.broker.backoff import Backoff
from becomingone.broker.link import Link, LinkFactory, Will
from becomingone.broker.paho import PahoLink
from becomingone.broker.settings import BrokerSettings
from becomingone.scheduling import LoopScheduler


def paho_links(settings: BrokerSettings, scheduler: LoopScheduler, rng: random.Random) -> LinkFactory:
    """Give a factory of links to one broker.

    Parameters
    ----------
    settings : BrokerSettings
        Which broker, and how.
    scheduler : LoopScheduler
        Gives the turns.
    rng : random.Random
        Spreads reconnections.
    """

    def make(client_id: str, will: Will | None, *, session_s: int = 0) -> Link:
        backoff = Backoff(rng)
        return PahoLink(client_id, will, settings=settings, scheduler=scheduler, backoff=backoff, session_s=session_s)

    return make
