"""A device module of somebody's own may be as broken as it likes: it is unavailable, says why, and the rest goes on."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from becomingone.node import config as node_config
from becomingone.node.config import NodeConfig
from becomingone.runner import ThreadRunner
from becomingone.sim.bench import Bench

BASE = "becomingone/home/node/n"
SENSOR = '''\
"""A sensor."""

from pydantic import BaseModel

from becomingone.devices.contract import Channel


class Options(BaseModel, frozen=True, extra="forbid"):
    pass


class Device:
    origin = "live"

    def __init__(self, options, ports):
        self.channels = (Channel("mine", "", 1000.0, "count", 0.0),)

    def read(self):
        return {"mine": 1.0}

    def close(self):
        pass
'''
LAMP = '''\
"""A lamp."""

from pydantic import BaseModel


class Options(BaseModel, frozen=True, extra="forbid"):
    pass


class Device:
    role = "display"

    def __init__(self, options, ports):
        pass

    def apply(self, values):
        pass

    def rest(self):
        pass
'''

BROKEN = {
    "a typing error": (lambda code: code + "x = (\n", "mine.py, line "),
    "a missing library": (lambda code: "import no_such_library\n" + code, "mine.py, line 1: ModuleNotFoundError"),
    "sys.exit at import": (lambda code: "import sys\nsys.exit(1)\n" + code, "mine.py, line 2: SystemExit: 1"),
    "no Device": (lambda code: code.replace("class Device", "class Thing"), "needs a class Device"),
    "fails when it is made": (lambda code: code.replace("ports):", "ports):\n        1 / 0"), "division by zero"),
    "sys.exit when it is made": (
        lambda code: code.replace("ports):", "ports):\n        raise SystemExit('enough')"),
        "enough",
    ),
}


def configured(folder: Path, *, output: bool = False) -> NodeConfig:
    """A node with a healthy tone, and a device of the user's own."""
    tone = {"name": "tone", "kind": "synthetic", "bands": ["stride"], "options": {"rate_hz": 50}}
    mine = {"name": "mine", "kind": "mine"}
    content = {
        "node": "n",
        "drop_in": folder,
        "inputs": [tone] if output else [tone, mine],
        "outputs": [mine] if output else [],
    }
    return NodeConfig.model_validate(content, context={"device_faults": "broken"})


def devices(bench: Bench) -> dict[str, dict[str, Any]]:
    about = json.loads(bench.broker.retained[f"{BASE}/about"])
    return {device["name"]: device for device in about["devices"]}


def frames(bench: Bench) -> int:
    return sum("/phase/" in entry.topic for entry in bench.broker.trace)


@pytest.mark.parametrize("output", [False, True], ids=["sensor", "output"])
@pytest.mark.parametrize(("breaking", "reason"), BROKEN.values(), ids=list(BROKEN))
def test_it_is_unavailable_until_it_is_mended(
    breaking: Callable[[str], str], reason: str, output: bool, tmp_path: Path
) -> None:
    code = LAMP if output else SENSOR
    file = tmp_path / "mine.py"
    file.write_text(breaking(code))
    bench = Bench(1)
    bench.add_node(configured(tmp_path, output=output))
    bench.run_for(2.0)
    assert bench.broker.retained[f"{BASE}/state"] == b"ready"
    assert not devices(bench)["mine"]["available"]
    assert reason in devices(bench)["mine"]["reason"]
    assert frames(bench) > 10
    file.write_text(code)
    for _ in range(60):
        bench.run_for(0.5)
        if devices(bench)["mine"]["available"]:
            return
    raise AssertionError(devices(bench)["mine"])


@pytest.mark.parametrize("what", ["raise OSError('loose')", "raise SystemExit('loose')", "1 / 0"])
def test_one_that_fails_at_every_read_is_retried_with_patience(what: str, tmp_path: Path) -> None:
    """It asks to be read at 1 kHz."""
    (tmp_path / "mine.py").write_text(SENSOR.replace('return {"mine": 1.0}', what))
    bench = Bench(1)
    bench.add_node(configured(tmp_path))
    bench.run_for(20.0)
    about = [entry for entry in bench.broker.trace if entry.topic == f"{BASE}/about"]
    assert not devices(bench)["mine"]["available"]
    assert frames(bench) > 150
    assert len(about) < 10


def test_what_it_prints_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("print('hello')\n" + SENSOR.replace("return", "print('again')\n        return"))
    bench = Bench(1)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        bench.add_node(configured(tmp_path))
        bench.run_for(1.0)
    assert devices(bench)["mine"]["available"]
    assert "hello" in said.getvalue()


def test_a_kind_that_is_not_there_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"inputs\[1\]\.kind: there is no kind of device 'mine'"):
        configured(tmp_path)


HANGING = """\
import threading

event = threading.Event()
event.wait(30)  # longer than anybody waits here
"""


def let_go() -> None:
    for name in [name for name in sys.modules if name.endswith("_mine")]:
        getattr(sys.modules[name], "event", threading.Event()).set()


def test_one_that_hangs_at_import_holds_up_neither_the_configuration_nor_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(HANGING + SENSOR)
    monkeypatch.setattr(node_config, "IMPORT_S", 0.2)
    try:
        config = configured(tmp_path)
        bench = Bench(1)
        bench.add_node(config, make_runner=lambda name: ThreadRunner(bench.scheduler, name))
        end = time.monotonic() + 60
        pause = threading.Event()
        while (b"state" not in b"".join(map(str.encode, bench.broker.retained)) or not _stalled(bench)) and (
            time.monotonic() < end
        ):
            bench.run_for(0.5)
            pause.wait(0.01)  # its thread and the tone's have to come to their turns
        assert _stalled(bench)
        assert bench.broker.retained[f"{BASE}/state"] == b"ready"
    finally:
        let_go()


def _stalled(bench: Bench) -> bool:
    return f"{BASE}/about" in bench.broker.retained and "has not returned" in devices(bench)["mine"]["reason"]
