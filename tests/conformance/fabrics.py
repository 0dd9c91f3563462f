"""The brokers that the suite asks: ours, Debian's Mosquitto in several dresses, and whichever a user names."""

from __future__ import annotations

import gc
import getpass
import secrets
import subprocess
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests.broker.authority import Authority
from tests.broker.fabrics import EmbeddedFabric, RealFabric, SimFabric, answers

from becomingone.broker.config import BrokerConfig
from becomingone.broker.mosquitto import program as program_of_mosquitto
from becomingone.broker.mosquitto import render
from becomingone.broker.ports import free_port
from becomingone.broker.sections import ListenerSection, PersistenceSection, TlsSection
from becomingone.broker.settings import BrokerSettings
from becomingone.scheduling import NANOSECONDS
from becomingone.sim.session import Limits

from . import websocket_proxy
from .differences import LACKS
from .raw import RawClient
from .raw_simulated import SimRawClient


class Named:
    """What all of them have."""

    name: str
    patience_s = 5.0

    lacks: Mapping[str, str]

    def __init__(self, **options) -> None:
        self.run = secrets.token_hex(3)
        if self.name in LACKS:
            self.lacks = LACKS[self.name]
        super().__init__(**options)


class Simulated(Named, SimFabric):
    """The simulated broker, which keeps what it has to keep over a crash."""

    name = "simulated"
    version = 4

    def __init__(self) -> None:
        super().__init__(limits=Limits(version=self.version), rules=_rules)

    def now_s(self) -> float:
        return self.scheduler.monotonic_ns() / NANOSECONDS

    def raw(self) -> SimRawClient:
        return SimRawClient(self.broker, self.until)

    def crash(self) -> None:
        self.broker.crash(persistent=True)

    def take_failures(self) -> list[str]:
        return []


class Simulated5(Simulated):
    name = "simulated 5"
    version = 5


class _Real(Named):
    """Our link over TCP."""

    level = 4
    settings: Mapping[str, object] = MappingProxyType({"protocol": "3.1.1"})

    def now_s(self) -> float:
        return self.loop.time()

    def raw(self) -> RawClient:
        return RawClient("127.0.0.1", self.port, level=self.level)

    def take_failures(self) -> list[str]:
        taken = [repr(context.get("exception") or context["message"]) for context in self.failures]
        self.failures.clear()
        return taken


class Embedded(_Real, EmbeddedFabric):
    name = "embedded"

    def close(self) -> None:
        super().close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()  # what amqtt has not even begun to serve, nobody could close


class Mosquitto(_Real, RealFabric):
    """A Mosquitto of its own, configured as ours is but for a rule to ask about and for writing at each change."""

    name = "mosquitto"

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-")
        self.folder = Path(self._folder.name)
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__()

    def start_broker(self) -> None:
        self.run_mosquitto(ListenerSection(port=self.port))

    def run_mosquitto(self, listener: ListenerSection, tls: TlsSection | None = None) -> None:
        # What is asked of a crash needs what is acknowledged to be on the disk.
        config = BrokerConfig(listeners=(listener,), tls=tls, persistence=PersistenceSection(every_s=0))
        rules, written, log = (self.folder / name for name in ("rules", "mosquitto.conf", "log"))
        rules.write_text("topic readwrite #\ntopic readwrite $conformance/#\ntopic deny forbidden/#\n")
        program = program_of_mosquitto.find()
        text = render.configuration(config, program, render.Files(self.folder), user=getpass.getuser())
        # Above the first listener, where everything holds for all of them.
        written.write_text(f"acl_file {rules}\n{text}")
        with log.open("ab") as said:
            self._process = subprocess.Popen([program.program, "-c", written], stdout=said, stderr=said)
        if not self.until(lambda: answers(listener.port)):
            self.crash()
            raise AssertionError(f"mosquitto does not listen: {log.read_text()}")

    def crash(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        super().close()
        self._folder.cleanup()


class Mosquitto5(Mosquitto):
    name = "mosquitto 5"
    level = 5
    settings = MappingProxyType({"protocol": "5"})


class MosquittoTls(Mosquitto5):
    """Over TLS, with a certificate that was made for the occasion."""

    name = "mosquitto TLS"
    scheme = "mqtts"

    def start_broker(self) -> None:
        if "ca" not in self.settings:  # once: it is the same broker that comes back after a crash
            authority = Authority(self.folder)
            self._identity = authority.server()
            self.settings = {**self.settings, "ca": authority.ca}
        self.run_mosquitto(
            ListenerSection(port=self.port, tls=True, login="anonymous"),
            TlsSection(certificate=self._identity.certificate, key=self._identity.key),
        )


class MosquittoWebSocket(Mosquitto5):
    """Behind a proxy."""

    name = "mosquitto WebSocket"
    scheme = "ws"

    def start_broker(self) -> None:
        if not hasattr(self, "_proxy"):
            self._behind = free_port("127.0.0.1")
            self._proxy = self.loop.run_until_complete(websocket_proxy.start(self.port, self._behind))
        self.run_mosquitto(ListenerSection(port=self._behind))

    def close(self) -> None:
        self._proxy.close()
        super().close()


class Foreign(_Real, RealFabric):
    """A broker that somebody else runs; nothing is known of it, and it cannot be killed.

    Parameters
    ----------
    settings : BrokerSettings
        How to reach it; the protocol is 5 or 3.1.1.
    """

    patience_s = 15.0

    def __init__(self, settings: BrokerSettings) -> None:
        self.name = f"{settings.address}, {settings.protocol}"
        self.level = 5 if settings.protocol == "5" else 4
        self.settings = {name: getattr(settings, name) for name in settings.model_fields_set}
        self.lacks = {
            "crash": "it is not ours to kill",
            "persistence": "it is not ours to kill",
            "rules": "its rules are not known",
            "size": "its limit is not known",
        }
        if self.level == 4:
            self.lacks["mqtt5"] = LACKS["mosquitto"]["mqtt5"]
        if settings.tls or settings.websocket:
            self.lacks["raw"] = self.lacks["bytes"] = "a bare client speaks plain TCP alone"
        super().__init__()

    @property
    def url(self) -> str:
        return self.settings["url"]

    def raw(self) -> RawClient:
        settings = BrokerSettings.model_validate(self.settings)
        password = settings.password.get_secret_value() if settings.password else None
        return RawClient(settings.host, settings.port, self.level, settings.username, password)

    def start_broker(self) -> None:
        """Find out whether it answers.

        Raises
        ------
        LookupError
            It does not, or refuses us; says why.
        """
        link = self.link(f"{self.run}probe")
        reasons: list[str] = []
        link.on_down(reasons.append)
        link.start()
        if not self.until(lambda: link.connected or reasons, self.patience_s) or not link.connected:
            self.close()
            raise LookupError(reasons[0] if reasons else f"{self.name}: no answer")
        link.close()

    def crash(self) -> None:
        """Not ours to kill."""


OURS = (Simulated, Simulated5, Embedded, Mosquitto, Mosquitto5, MosquittoTls, MosquittoWebSocket)
"""The brokers that we know."""


def _rules(_user: str, action: str, topic: str) -> bool:
    return action == "connect" or not topic.startswith("forbidden/")
