"""``becomingone operate``: asks the hub for something that a node is to do, and tells what became of it."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import sys
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from becomingone.broker.backoff import Backoff
from becomingone.broker.link import Message
from becomingone.broker.paho import PahoLink
from becomingone.broker.settings import BrokerSettings
from becomingone.cli import process
from becomingone.cli.exits import Exit
from becomingone.config.loader import load
from becomingone.config.sections import Name, Root, Section
from becomingone.errors import ConfigError, FrameError, LinkError, TopicError
from becomingone.scheduling import LoopScheduler
from becomingone.wire.announce import State, parse_announcement, parse_state
from becomingone.wire.operate import Operation, Outcome
from becomingone.wire.topics import Topics, check_name
from becomingone.wire.verbs import FORGET, Value, Verb, read_arguments

CONNECT_S: Final = 5.0
"""Seconds within which the broker must answer."""

HUB_S: Final = 4.0
"""Seconds that the hub has beyond the request's own time: it waits for the node 2 s longer."""

GOODBYE_S: Final = 1.0


class OperatorConfig(Section):
    """Where the cell is: what ``--config`` holds."""

    cell: Annotated[Name, Field(description="the deployment: a home, a laboratory, a robot")] = "home"
    root: Annotated[Root, Field(description="first level, or levels, of every topic")] = "becomingone"
    broker: BrokerSettings = BrokerSettings()


def run(arguments: argparse.Namespace) -> int:
    """Ask, wait for the outcome, print it."""
    process.set_up_logging("DEBUG" if arguments.debug else "ERROR")
    config = _config(arguments)
    verb: str = arguments.verb
    given = _arguments(verb, arguments.arguments)
    try:
        node = check_name(arguments.node, "the node")
    except TopicError as error:
        raise ConfigError(str(error)) from error
    token = f"cli-{secrets.token_hex(8)}"
    operation = Operation(token=token, arguments=given, timeout_s=arguments.timeout)
    outcome = asyncio.run(_Asking(config, node, verb, operation).run())
    if arguments.json:
        print(outcome.model_dump_json(), flush=True)
    else:
        _tell(outcome)
    return Exit.DONE if outcome.result == "done" else Exit.FAILED


def _config(arguments: argparse.Namespace) -> OperatorConfig:
    told = {"broker.url": arguments.broker, "cell": arguments.cell, "root": arguments.root}
    overrides = [f"{field}={value}" for field, value in told.items() if value is not None]
    if arguments.config is not None:
        return load(OperatorConfig, arguments.config, overrides=overrides, environ=os.environ)
    broker = {} if arguments.broker is None else {"url": arguments.broker}
    names = {field: told[field] for field in ("cell", "root") if told[field] is not None}
    try:
        return OperatorConfig.model_validate({**names, "broker": broker})
    except ValueError as error:
        msg = f"{' '.join(overrides)}: --broker must be mqtt://host:port (or mqtts, ws, wss), --cell and --root names"
        raise ConfigError(msg) from error


def _arguments(verb: str, words: Sequence[str]) -> dict[str, Value]:
    given: dict[str, Value] = {}
    if verb == FORGET:  # the hub's own to do: it is no command to the node, and takes nothing
        if words:
            msg = f"{words[0]}: forget takes no arguments"
            raise ConfigError(msg)
        return given
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            msg = f"{word}: must be key=value"
            raise ConfigError(msg)
        given[name] = _value(text)
    try:
        return dict(read_arguments(Verb(verb), given))
    except FrameError as error:
        raise ConfigError(error.detail) from error


def _value(text: str) -> Value:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _tell(outcome: Outcome) -> None:
    head = f"{outcome.node}: {outcome.verb}: {outcome.result}"
    line = f"{head}: {outcome.why}" if outcome.why else head
    if outcome.result != "done":
        print(f"becomingone: {line}", file=sys.stderr)
    elif outcome.verb == Verb.LOG:
        print("\n".join(outcome.log))
    else:
        print(line)


class _Asking:
    def __init__(self, config: OperatorConfig, node: str, verb: str, operation: Operation) -> None:
        self._config = config
        self._topics = Topics(config.root, config.cell)
        self._node = node
        self._verb = verb
        self._operation = operation
        self._asked = False

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[Outcome] = loop.create_future()
        self._up: asyncio.Future[str | None] = loop.create_future()
        token = str(self._operation.token)
        link = self._link = PahoLink(
            self._topics.client_id("operator", token),
            None,
            settings=self._config.broker,
            scheduler=LoopScheduler(loop),
            backoff=Backoff(random.Random()),  # noqa: S311 - paces reconnections
        )
        link.subscribe(self._topics.answer(self._node, token), self._take, qos=1)
        link.subscribe(self._topics.hub_state, self._hub_is, qos=1)
        link.on_up(self._ask)
        link.on_down(self._down)
        link.start()
        try:
            await self._reach()
            timeout_s = self._operation.timeout_s + HUB_S
            await asyncio.wait([self._outcome], timeout=timeout_s)
            if not self._outcome.done():
                self._end(f"no hub of {self._topics.base} has answered within {timeout_s:g} s")
            return self._outcome.result()
        finally:
            closed = asyncio.Event()
            link.close(closed.set)
            await asyncio.wait([loop.create_task(closed.wait())], timeout=GOODBYE_S)

    async def _reach(self) -> None:
        await asyncio.wait([self._up], timeout=CONNECT_S)
        reason = self._up.result() if self._up.done() else f"no answer within {CONNECT_S:g} s"
        if reason is not None:
            raise LinkError(f"the broker {self._config.broker.url} cannot be reached: {reason}")

    def _ask(self) -> None:
        if not self._asked:  # the link sends it again by itself where the connection breaks
            self._asked = True
            payload = self._operation.model_dump_json().encode()
            self._link.publish(self._topics.operate(self._node, self._verb), payload, qos=1)
        if not self._up.done():
            self._up.set_result(None)

    def _down(self, reason: str) -> None:
        if not self._up.done():
            self._up.set_result(reason)

    def _take(self, message: Message) -> None:
        try:
            outcome = parse_announcement(Outcome, message.payload)
        except FrameError as error:
            self._end(f"the hub's answer cannot be read: {error}")
        else:
            if not self._outcome.done():
                self._outcome.set_result(outcome)

    def _hub_is(self, message: Message) -> None:
        try:
            state = parse_state(message.payload)
        except FrameError as error:
            self._end(f"the hub's state cannot be read: {error}")
        else:
            if state not in (State.INIT, State.READY):
                self._end(f"the hub of {self._topics.base} is {state}")

    def _end(self, why: str) -> None:
        """Give up; nobody knows that anything was done."""
        if not self._outcome.done():
            self._outcome.set_result(
                Outcome(
                    node=self._node,
                    verb=self._verb,
                    token=self._operation.token,
                    time_us=LoopScheduler(asyncio.get_running_loop()).time_us(),
                    result="unanswered",
                    why=why,
                )
            )
