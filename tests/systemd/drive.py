"""Runs a node as its unit says under the systemd of this machine, and breaks it. Started inside a container by
scripts/systemd-test; prints one JSON object a step and ends with 1 when a step has failed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ETC = Path("/etc/becomingone")
UNITS = Path("/etc/systemd/system")
UNIT = "becomingone-kitchen.service"
CONFIG = """\
node: kitchen
security: {key: !secret node_key}
drop_in: /etc/becomingone/devices
life: {hung_s: 3, failed_starts: 3, stable_s: 6}
inputs:
  - {name: tone, kind: synthetic, bands: [stride], options: {rate_hz: 10}}
  - {name: wire, kind: hangs}
"""
HANGS = '''\
"""A sensor that blocks for ever once a file is there."""

import time
from pathlib import Path

from pydantic import BaseModel

from becomingone.devices.contract import Channel


class Options(BaseModel, frozen=True, extra="forbid"):
    pass


class Device:
    origin = "live"
    channels = (Channel("a", "V", 10.0, "voltage", 0.0),)

    def __init__(self, options, ports):
        pass

    def read(self):
        if Path("/etc/becomingone/hang").exists():
            time.sleep(1e9)
        return {"a": 1.0}

    def close(self):
        pass
'''
FAST = "[Service]\nWatchdogSec=4\nRestartSec=1\nTimeoutAbortSec=2\n"


def systemctl(*words: str) -> str:
    return subprocess.run(
        ["systemctl", *words], capture_output=True, text=True, timeout=120, check=False
    ).stdout.strip()


def show(name: str) -> str:
    return systemctl("show", UNIT, "--value", "-p", name)


def journal() -> str:
    told = subprocess.run(["journalctl", "-u", UNIT, "-o", "cat"], capture_output=True, text=True, check=True)
    return told.stdout


def wait(condition: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


def active(status: str, restarts: int | None = None) -> Callable[[], bool]:
    return lambda: (
        show("ActiveState") == "active"
        and show("StatusText").startswith(status)
        and (restarts is None or show("NRestarts") == str(restarts))
    )


def prepare() -> None:
    (ETC / "devices").mkdir(parents=True, exist_ok=True)
    (ETC / "node.yaml").write_text(CONFIG)
    (ETC / "devices" / "hangs.py").write_text(HANGS)
    credstore = Path("/etc/credstore")
    credstore.mkdir(exist_ok=True)
    (credstore / "becomingone.node_key").write_text(os.urandom(32).hex())
    (credstore / "becomingone.node_key").chmod(0o600)
    made = subprocess.run(
        [sys.executable, "-m", "becomingone", "node", "unit", str(ETC / "node.yaml")],
        capture_output=True,
        text=True,
        check=True,
    )
    (UNITS / UNIT).write_text(made.stdout)
    fast = UNITS / f"{UNIT}.d"
    fast.mkdir(exist_ok=True)
    (fast / "fast.conf").write_text(FAST)  # the same unit, in less of the tester's time
    systemctl("daemon-reload")


def the_unit_is_sound() -> object:
    verify = subprocess.run(["systemd-analyze", "verify", UNIT], capture_output=True, text=True, check=False)
    security = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", UNIT], capture_output=True, text=True, check=True
    )
    score = re.search(r"exposure level for \S+: ([\d.]+)", security.stdout)
    assert verify.returncode == 0, verify.stderr
    assert score, security
    assert float(score[1]) <= 3.0, score[0]
    return {"exposure": float(score[1]), "said": verify.stderr}


def it_starts() -> object:
    began = time.monotonic()
    systemctl("start", UNIT)
    took = time.monotonic() - began
    assert active("connected; 2 of 2")(), show("StatusText")
    assert show("Type") == "notify-reload"
    pid = show("MainPID")
    status = Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert re.search(r"CapBnd:\s+0+\n", status)
    uid = re.search(r"Uid:\t(\d+)", status)
    assert uid
    assert int(uid[1]) != 0
    return {"ready_s": round(took, 2)}


def it_reloads() -> object:
    pid = show("MainPID")
    (ETC / "node.yaml").write_text(CONFIG + "health_s: 20\n")
    began = time.monotonic()
    systemctl("reload", UNIT)
    took = time.monotonic() - began
    assert active("connected; 2 of 2")()
    assert show("MainPID") == pid
    assert wait(lambda: "configuration read: health_s" in journal(), 5)
    (ETC / "node.yaml").write_text("node: kitchen\ninputs: [\n")
    systemctl("reload", UNIT)
    assert active("configuration refused")(), show("StatusText")
    (ETC / "node.yaml").write_text(CONFIG + "health_s: 20\n")
    systemctl("reload", UNIT)
    assert active("connected; 2 of 2")(), show("StatusText")
    return {"reload_s": round(took, 2)}


def a_stopped_one_is_struck() -> object:
    began = time.monotonic()
    os.kill(int(show("MainPID")), signal.SIGSTOP)
    assert wait(active("connected; 2 of 2", 1), 60), (show("NRestarts"), show("StatusText"))
    assert "Watchdog timeout" in journal()
    return {"back_s": round(time.monotonic() - began, 2)}


def a_hung_sensor_starves_the_watchdog_once() -> object:
    began = time.monotonic()
    (ETC / "hang").touch()
    assert wait(active("connected; 1 of 2", 2), 60), (show("NRestarts"), show("StatusText"))
    back = time.monotonic() - began
    assert "the watchdog is no longer fed: wire has not returned" in journal()
    assert "Fatal Python error: Aborted" in journal()
    assert "hangs.py" in journal()  # every thread is shown where it was
    time.sleep(12)  # three of the watchdog's intervals: it must be left alone
    assert active("connected; 1 of 2", 2)(), (show("NRestarts"), show("StatusText"))
    (ETC / "hang").unlink()
    return {"back_s": round(back, 2)}


def it_starts_without_a_broker() -> object:
    systemctl("stop", "mosquitto")
    began = time.monotonic()
    systemctl("restart", UNIT)
    took = time.monotonic() - began
    assert active("degraded: the broker is out of reach")(), show("StatusText")
    systemctl("start", "mosquitto")
    assert wait(active("connected; 2 of 2"), 60), show("StatusText")
    return {"ready_s": round(took, 2)}


def early_ends_lead_to_safe_mode_and_out_again() -> object:
    systemctl("restart", UNIT)
    before = int(show("NRestarts"))
    for kill in range(1, 4):
        os.kill(int(show("MainPID")), signal.SIGKILL)
        assert wait(lambda many=before + kill: show("NRestarts") == str(many) and show("ActiveState") == "active", 60)
    assert wait(active("safe mode: 3 starts in a row have failed; connected; 0 of 0"), 30), show("StatusText")
    pid = show("MainPID")
    os.kill(int(pid), signal.SIGKILL)  # still
    assert wait(lambda: show("MainPID") not in (pid, "0") and active("safe mode: ")(), 60)
    (ETC / "node.yaml").write_text(CONFIG + "health_s: 21\n")
    systemctl("restart", UNIT)
    assert wait(active("connected; 2 of 2"), 30), show("StatusText")
    return {}


def it_stops() -> object:
    began = time.monotonic()
    systemctl("stop", UNIT)
    took = time.monotonic() - began
    assert (show("Result"), show("ExecMainStatus"), show("ActiveState")) == ("success", "0", "inactive")
    return {"stop_s": round(took, 2)}


def the_card_is_spared() -> object:
    files = sorted(str(file) for file in Path("/var/lib/private/becomingone").rglob("*") if file.is_file())
    assert not any(file.endswith(".log") for file in files), files
    return {"files": files}


STEPS = (
    the_unit_is_sound,
    it_starts,
    it_reloads,
    a_stopped_one_is_struck,
    a_hung_sensor_starves_the_watchdog_once,
    it_starts_without_a_broker,
    early_ends_lead_to_safe_mode_and_out_again,
    it_stops,
    the_card_is_spared,
)


def main() -> int:
    prepare()
    systemctl("start", "mosquitto")
    failed = False
    for step in STEPS:
        try:
            figures = step()
        except Exception as error:  # noqa: BLE001 - the other steps tell more
            failed = True
            told = {"step": step.__name__, "ok": False, "why": f"{type(error).__name__}: {error}"}
        else:
            told = {"step": step.__name__, "ok": True, "figures": figures}
        print(json.dumps(told), flush=True)
    if failed:
        print(journal())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
