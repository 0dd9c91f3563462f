"""Ask brokers how they behave: `python -m tests.conformance`, which `scripts/conformance` calls."""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence

from pydantic import ValidationError
from tests.broker.fabrics import mosquitto

from becomingone.broker.settings import BrokerSettings

from . import table
from .behaviour import Outcome, Verdict
from .differences import DIFFERENCES
from .fabric import Fabric
from .fabrics import OURS, Foreign
from .suite import BEHAVIOURS, Run, asked_of

KINDS = ("simulated", "embedded", "mosquitto")
_PASSWORD = "MQTT_PASSWORD"


def main(words: Sequence[str] | None = None) -> int:
    """0: all as known, or all that we depend on; 1: not; 2: it could not be asked."""
    arguments = _arguments(words)
    if arguments.markdown:
        sys.stdout.write("\n".join(table.as_markdown(BEHAVIOURS)) + "\n")
        return 0
    try:
        fabrics = _fabrics(arguments)
    except ValidationError as error:
        return _refuse(
            "; ".join(f"{one['loc'][0] if one['loc'] else 'broker'}: {one['msg']}" for one in error.errors())
        )
    except LookupError as error:
        return _refuse(str(error))
    results: dict[str, dict[str, Outcome]] = {}
    for make in fabrics:
        try:
            name, outcomes = _ask(make)
        except LookupError as error:
            return _refuse(str(error))
        results[name] = outcomes
    if arguments.json:
        sys.stdout.write(json.dumps(table.as_json(BEHAVIOURS, results)) + "\n")
    else:
        sys.stdout.write("\n".join([*table.as_text(BEHAVIOURS, results), *_verdicts(results)]) + "\n")
    return int(any(_bad(broker, results) for broker in results))


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/conformance",
        description="Ask MQTT brokers, one question after the other, whether they do what BecomingONE relies on. A "
        "broker of yours is given up to 200 clients and some 100 MB for a minute; everything stays below the topics "
        "becomingone-conformance/ and conformance/ and is taken back.",
    )
    parser.add_argument(
        "--broker",
        action="append",
        metavar="|".join((*KINDS, "mqtt://HOST[:PORT]")),
        help="which one (again for more); also mqtts://, ws:// and wss://; default: all of ours",
    )
    parser.add_argument("--protocol", choices=("3.1.1", "5"), help="only this version of MQTT; default: both")
    parser.add_argument("--username", help=f"for a broker of yours; the password is taken from ${_PASSWORD}")
    parser.add_argument("--ca", help="PEM file of the authority of a broker of yours")
    parser.add_argument("--certificate", help="PEM file of a certificate to show to it")
    parser.add_argument("--key", help="PEM file of the certificate's key")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--markdown", action="store_true", help="print what is known, as docs/brokers.md has it")
    return parser.parse_args(words)


def _fabrics(arguments: argparse.Namespace) -> list[Callable[[], Fabric]]:
    made: list[Callable[[], Fabric]] = []
    for broker in arguments.broker or KINDS:
        if "://" in broker:
            made += [functools.partial(Foreign, settings) for settings in _settings(broker, arguments)]
        elif broker not in KINDS:
            raise LookupError(f"--broker: {broker!r} is none of {', '.join(KINDS)} and no mqtt://host")
        elif broker == "mosquitto" and mosquitto() is None:
            raise LookupError("mosquitto is not installed: apt install mosquitto mosquitto-clients")
        else:
            made += [make for make in OURS if make.name.split()[0] == broker]
    return made


def _settings(url: str, arguments: argparse.Namespace) -> list[BrokerSettings]:
    given = {name: getattr(arguments, name) for name in ("username", "ca", "certificate", "key")}
    if arguments.username is not None:
        given["password"] = os.environ.get(_PASSWORD)
    given = {name: value for name, value in given.items() if value is not None}
    versions = (arguments.protocol,) if arguments.protocol else ("3.1.1", "5")
    return [BrokerSettings.model_validate({"url": url, "protocol": version, **given}) for version in versions]


def _ask(make: Callable[[], Fabric]) -> tuple[str, dict[str, Outcome]]:
    """Ask for everything; what goes wrong on our own side counts as a no, and says so."""
    run = Run(make, BEHAVIOURS)
    name = run.fabric.name
    asked = asked_of(name)
    outcomes: dict[str, Outcome] = {}
    try:
        for number, behaviour in enumerate(asked, 1):
            _progress(f"{name}: {number}/{len(asked)} {behaviour.says}")
            try:
                outcomes[behaviour.says] = run.ask(behaviour)
            except (AssertionError, OSError) as error:
                outcomes[behaviour.says] = Outcome(Verdict.NO, f"the question failed: {error}")
    finally:
        _progress("")
        run.close()
    return name, outcomes


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def _bad(broker: str, results: table.Results) -> bool:
    if broker in DIFFERENCES:
        return any(table.is_new(broker, behaviour, results[broker][behaviour.says]) for behaviour in asked_of(broker))
    return bool(table.missing(broker, BEHAVIOURS, results))


def _verdicts(results: table.Results) -> list[str]:
    lines = [""]
    for broker in results:
        lacking = table.missing(broker, BEHAVIOURS, results)
        if broker in DIFFERENCES:
            lines.append(f"{broker}: " + ("NOT what is known of it" if _bad(broker, results) else "as known"))
        elif lacking:
            lines.append(f"{broker}: NOT fit for BecomingONE, which needs: {'; '.join(lacking)}")
        else:
            lines.append(f"{broker}: fit for BecomingONE")
    return lines


def _refuse(what: str) -> int:
    sys.stderr.write(f"conformance: {what}\n")
    return 2


if __name__ == "__main__":
    logging.getLogger("becomingone").setLevel(logging.CRITICAL)  # the table says it
    sys.exit(main())
