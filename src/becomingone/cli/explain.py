"""``becomingone explain``: why the hub said so, in words, from its memory or from the broker."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import closing
from importlib import import_module
from typing import Any, Final

from becomingone.broker.backoff import Backoff
from becomingone.broker.link import Message
from becomingone.broker.paho import PahoLink
from becomingone.broker.settings import BrokerSettings
from becomingone.cli import process
from becomingone.cli.exits import Exit
from becomingone.cli.memory_source import database
from becomingone.errors import ConfigError, LinkError, TopicError
from becomingone.hub.memory.reader import MemoryReader
from becomingone.hub.memory.shapes import as_object
from becomingone.kairos.memory.intake import MAX_TIME_US
from becomingone.scheduling import LoopScheduler
from becomingone.wire.topics import Topics, check_name

ANSWER_S: Final = 5.0
"""Seconds for the broker to give what it has retained."""

GOODBYE_S: Final = 1.0

_ID: Final = re.compile(r"\d+-\d+")
_LAST: Final = "last"


def run(arguments: argparse.Namespace) -> int:
    """Explain; 1 when there is no such event."""
    wanted: str = arguments.event
    if not _ID.fullmatch(wanted) and wanted != _LAST:
        try:
            check_name(wanted, "the kind of event")
        except TopicError as error:
            msg = f"EVENT {wanted!r}: must be an id such as 7-12, a kind such as emergence, or last"
            raise ConfigError(msg) from error
    if arguments.broker is not None:
        if arguments.config is not None or arguments.database is not None:
            msg = "--broker asks the broker, CONFIG and --database the memory: give one of them"
            raise ConfigError(msg)
        event = asyncio.run(_ask(arguments, wanted))
    else:
        event = _look_up(arguments, wanted)
    if arguments.json:
        print(json.dumps(event, sort_keys=True))
    else:
        explain: Callable[[Mapping[str, Any]], str] = import_module("becomingone.hub.emergence.explain").explain
        print(explain(event))
    return Exit.DONE


def _look_up(arguments: argparse.Namespace, wanted: str) -> Mapping[str, Any]:
    path, _ = database(arguments)
    found: Mapping[str, Any] | None = None
    kinds: set[str] = set()
    with closing(MemoryReader(path)) as past:
        if wanted == _LAST:
            newest = past.last("event")
            found = newest.body if newest is not None else None
        else:
            for entry in past.entries("event", 0, MAX_TIME_US):
                kinds.add(str(entry.body.get("kind")))
                if wanted in (entry.body.get("id"), entry.body.get("kind")):
                    found = entry.body
    if found is None:
        told = f"; there are events of kind {', '.join(sorted(kinds))}" if kinds else "; it has no events"
        msg = f"EVENT {wanted}: {path} has no such event{told}"
        raise ConfigError(msg)
    return found


async def _ask(arguments: argparse.Namespace, wanted: str) -> Mapping[str, Any]:
    """Give the last event of a kind that the broker has, or of all kinds."""
    process.set_up_logging("DEBUG" if arguments.debug else "ERROR")
    try:
        settings = BrokerSettings(url=arguments.broker)
        topics = Topics(arguments.root or "becomingone", arguments.cell or "home")
    except ValueError as error:
        msg = "--broker must be mqtt://host:port (or mqtts, ws, wss), --cell and --root names"
        raise ConfigError(msg) from error
    loop = asyncio.get_running_loop()
    scheduler = LoopScheduler(loop)
    name = topics.client_id("observer", f"cli-{secrets.token_hex(8)}")
    link = PahoLink(name, None, settings=settings, scheduler=scheduler, backoff=Backoff(random.Random()))  # noqa: S311
    found: list[Mapping[str, Any]] = []
    down: list[str] = []
    up = asyncio.Event()
    given = asyncio.Event()

    def take(message: Message) -> None:
        try:
            body = as_object(json.loads(message.payload))
        except ValueError:  # whoever may write there wrote nonsense: it is no event
            return
        if body and wanted in (_LAST, body.get("kind"), body.get("id")):
            found.append(body)
            if wanted != _LAST:
                given.set()

    kind = "+" if wanted == _LAST or _ID.fullmatch(wanted) else wanted
    link.subscribe(f"{topics.event(kind)}/last", take, qos=1)
    # The broker gives what it has retained in the order of the subscriptions: with this one it has given all there is.
    link.subscribe(topics.hub_state, lambda _message: given.set(), qos=1)
    link.on_up(up.set)
    link.on_down(down.append)
    link.start()
    try:
        await asyncio.wait([loop.create_task(up.wait())], timeout=ANSWER_S)
        if not up.is_set():
            why = down[-1] if down else f"no answer within {ANSWER_S:g} s"
            raise LinkError(f"the broker {arguments.broker} cannot be reached: {why}")
        await asyncio.wait([loop.create_task(given.wait())], timeout=ANSWER_S)
    finally:
        closed = asyncio.Event()
        link.close(closed.set)
        await asyncio.wait([loop.create_task(closed.wait())], timeout=GOODBYE_S)
    if not found:
        msg = f"EVENT {wanted}: {topics.base}/event/{kind}/last holds none"
        raise ConfigError(msg)
    return max(found, key=lambda body: body.get("time_us", 0))
