"""Putting a release into force, and the one before back: on folders of the test's own, with a played machine."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILE = ROOT / "ansible/module_utils/becomingone_release.py"
SPEC = importlib.util.spec_from_file_location("becomingone_release", FILE)
assert SPEC
assert SPEC.loader
release = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(release)

NODE = {"name": "becomingone-kitchen.service", "ready": "status", "deadline_s": 10.0}
HUB = {"name": "becomingone-hub.service", "ready": "http", "url": "http://127.0.0.1:8080/healthz", "deadline_s": 5.0}
BROKER = {"name": "becomingone-broker.service", "ready": "port", "port": 8883, "deadline_s": 5.0}
GOOD = {"ActiveState": "active", "SubState": "running", "StatusText": "connected; 2 of 2 devices at work"}


class PlayedHost:
    """A machine whose services do what the current release says; time passes only when somebody waits."""

    def __init__(self, root: Path, behaviour: dict[str, dict[str, str]]) -> None:
        self._root = root
        self._behaviour = behaviour
        self._life = dict.fromkeys((NODE["name"], HUB["name"], BROKER["name"]), 1)
        self._runs: dict[str, str] = dict.fromkeys(self._life, "old")
        self.now = 0.0
        self.told: list[tuple[str, ...]] = []

    def systemctl(self, *words: str) -> str:
        self.told.append(words)
        if words[0] == "restart":
            self._life[words[-1]] += 1
            self._runs[words[-1]] = (self._root / "current").readlink().name
        return ""

    def show(self, unit: str) -> dict[str, str]:
        shown = self._behaviour.get(self._runs[unit], GOOD)
        return {"NRestarts": "0", **shown, "InvocationID": str(self._life[unit])}

    def reload(self, unit: str) -> bool:
        self.told.append(("reload", unit))
        return self._behaviour.get(self._runs[unit], {}).get("reload") != "no"

    def healthy(self, url: str) -> bool:
        assert url == HUB["url"]
        return self._behaviour.get(self._runs[HUB["name"]], {}).get("healthy") != "no"

    def listens(self, port: int) -> bool:
        assert port == BROKER["port"]
        return self._behaviour.get(self._runs[BROKER["name"]], {}).get("listens") != "no"

    def monotonic(self) -> float:
        return self.now

    def wait(self) -> None:
        self.now += release.POLL_S

    @property
    def restarted(self) -> list[str]:
        return [words[-1] for words in self.told if words[0] == "restart"]


@pytest.fixture
def place(tmp_path):
    units = tmp_path / "systemd"
    units.mkdir()
    for name in ("older", "old", "new"):
        folder = tmp_path / "releases" / name
        (folder / "units").mkdir(parents=True)
        (folder / "complete").touch()
        (folder / "units" / NODE["name"]).write_text(f"# the unit of {name}\n")
    (tmp_path / "current").symlink_to("releases/old")
    (tmp_path / "previous").symlink_to("releases/older")
    (units / NODE["name"]).write_text("# the unit of old\n")
    return tmp_path


def put(place, wanted, behaviour=None, name="new"):
    host = PlayedHost(place, behaviour or {})
    releases = release.Release(place, place / "systemd", host)
    return release.switch(name, wanted, releases, host, settle_s=1.0), host


def links(place):
    return [(place / name).readlink().name for name in ("current", "previous")]


def unit(place):
    return (place / "systemd" / NODE["name"]).read_text()


def test_a_release_that_works_stays(place):
    told, host = put(place, [BROKER, HUB, NODE])
    assert told == {
        "changed": ["current", NODE["name"]], "previous": "old", "why": None, "back": None, "back_why": None,
    }  # fmt: skip
    assert links(place) == ["new", "old"]
    assert unit(place) == "# the unit of new\n"
    assert host.restarted == [BROKER["name"], HUB["name"], NODE["name"]]
    assert host.told.index(("daemon-reload",)) < host.told.index(("restart", "--no-block", BROKER["name"]))
    assert not list(place.rglob("*.fresh"))


def test_what_is_in_force_already_is_left_alone(place):
    put(place, [NODE], name="old")
    told, host = put(place, [NODE], name="old")
    assert told["changed"] == []
    assert host.told == []
    assert links(place) == ["old", "older"]


def with_files(place):
    """A node and a broker that have read their files."""
    (place / "etc/devices").mkdir(parents=True)
    (place / "etc/node.yaml").write_text("node: kitchen\n")
    (place / "etc/crl.pem").write_text("nobody\n")
    node = {**NODE, "files": [str(place / "etc/node.yaml"), str(place / "etc/devices"), str(place / "etc/missing")]}
    wanted = [{**BROKER, "reread": [str(place / "etc/crl.pem")]}, node]
    put(place, wanted, name="old")
    return wanted


@pytest.mark.parametrize("name", ["node.yaml", "devices/gauge.py", "missing"])
def test_a_service_whose_files_differ_is_started_anew_once(place, name):
    wanted = with_files(place)
    assert put(place, wanted, name="old")[0]["changed"] == []
    (place / "etc" / name).write_text("other\n")
    told, host = put(place, wanted, name="old")
    assert (told["changed"], told["why"]) == ([NODE["name"]], None)
    assert host.restarted == [NODE["name"]]
    assert put(place, wanted, name="old")[0]["changed"] == []


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_a_service_that_does_not_run_is_started(place, state):
    put(place, [NODE], name="old")
    _, host = put(place, [NODE], {"old": {**GOOD, "ActiveState": state}}, name="old")
    assert host.restarted[:1] == [NODE["name"]]


def test_what_a_run_that_was_cut_off_has_left_to_do_is_done_by_the_next(place):
    wanted = with_files(place)
    (place / "etc/node.yaml").write_text("other\n")
    assert put(place, wanted, {"old": {**GOOD, "StatusText": "degraded"}}, name="old")[0]["why"]
    assert put(place, wanted, name="old")[0]["changed"] == [NODE["name"]]


def test_a_broker_with_another_list_of_revoked_certificates_reads_it_and_goes_on(place):
    wanted = with_files(place)
    (place / "etc/crl.pem").write_text("porch\n")
    told, host = put(place, wanted, name="old")
    assert told["changed"] == [BROKER["name"]]
    assert host.told == [("reload", BROKER["name"])]
    assert put(place, wanted, name="old")[0]["changed"] == []


def test_a_broker_that_cannot_read_its_files_is_told_and_asked_again(place):
    wanted = with_files(place)
    (place / "etc/crl.pem").write_text("porch\n")
    told, _ = put(place, wanted, {"old": {"reload": "no"}}, name="old")
    assert told["why"] == "becomingone-broker.service cannot be reloaded"
    assert put(place, wanted, name="old")[0]["changed"] == [BROKER["name"]]


@pytest.mark.parametrize(
    ("behaviour", "why", "seconds"),
    [
        pytest.param(
            {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code"},
            "becomingone-kitchen.service has ended at its start (exit-code)", 1.0,
            id="ends at its start",
        ),
        pytest.param(
            {"NRestarts": "1"} | GOOD, "becomingone-kitchen.service has ended at its start", 1.0,
            id="ended since",
        ),
        pytest.param(
            {"ActiveState": "activating", "SubState": "start", "StatusText": ""},
            "becomingone-kitchen.service was not ready within 10 s: activating, start; no status", 10.0,
            id="never gets ready",
        ),
        pytest.param(
            {**GOOD, "StatusText": "degraded: the broker is out of reach"},
            "was not ready within 10 s: degraded: the broker is out of reach", 10.0,
            id="is not connected",
        ),
        pytest.param(
            {**GOOD, "StatusText": "connected; 1 of 2 devices at work; ears: no sound card"},
            "was not ready within 10 s: connected; 1 of 2 devices at work; ears: no sound card", 10.0,
            id="has lost a device",
        ),
        pytest.param(
            {**GOOD, "StatusText": "safe mode: 5 starts in a row have failed; connected; 0 of 0 devices at work"},
            "was not ready within 10 s: safe mode", 10.0,
            id="is in safe mode",
        ),
    ],
)  # fmt: skip
def test_a_release_that_does_not_work_goes(place, behaviour, why, seconds):
    told, host = put(place, [NODE], {"new": behaviour})
    assert why in told["why"]
    assert (told["back"], told["back_why"]) == (True, None)
    assert links(place) == ["old", "older"]
    assert unit(place) == "# the unit of old\n"
    assert host.restarted == [NODE["name"], NODE["name"]]
    assert seconds - 0.5 <= host.now <= seconds + 2.5


@pytest.mark.parametrize(("wanted", "behaviour"), [(HUB, {"healthy": "no"}), (BROKER, {"listens": "no"})])
def test_a_hub_that_is_not_well_and_a_broker_that_nobody_reaches_count_as_not_ready(place, wanted, behaviour):
    told, _ = put(place, [wanted, NODE], {"new": GOOD | behaviour})
    assert told["why"].startswith(f"{wanted['name']} was not ready within 5 s")
    assert told["back"] is True
    assert links(place) == ["old", "older"]


def test_a_device_that_was_missing_before_is_no_reason_to_go_back(place):
    poor = {**GOOD, "StatusText": "connected; 1 of 2 devices at work; ears: no sound card"}
    told, _ = put(place, [NODE], {"old": poor, "new": poor})
    assert told["why"] is None
    assert links(place) == ["new", "old"]


def test_it_is_said_when_the_way_back_does_not_work_either(place):
    ends = {"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"}
    told, _ = put(place, [NODE], {"new": ends, "old": ends})
    assert told["back"] is False
    assert "has ended at its start" in told["back_why"]
    assert links(place) == ["old", "older"]


def test_the_first_release_has_no_way_back(place):
    for name in ("current", "previous"):
        (place / name).unlink()
    told, _ = put(place, [NODE], {"new": {"ActiveState": "failed", "SubState": "failed"}})
    assert told["why"]
    assert told["back"] is None
    assert (place / "current").readlink().name == "new"
    assert not (place / "previous").exists()


def test_back_and_forth(place):
    put(place, [NODE])
    told, _ = put(place, [NODE], name="old")
    assert told["why"] is None
    assert links(place) == ["old", "new"]


@pytest.mark.parametrize("name", ["nobody", "half"])
def test_what_was_not_installed_to_its_end_is_refused_and_nothing_changes(place, name):
    (place / "releases/half").mkdir()
    with pytest.raises(release.SwitchError, match="is no release, or was not installed to its end"):
        put(place, [NODE], name=name)
    assert links(place) == ["old", "older"]
    assert unit(place) == "# the unit of old\n"


def test_a_power_cut_in_the_middle_leaves_a_way_back(place):
    class Cut(PlayedHost):
        def systemctl(self, *words):
            if words[0] == "restart":
                raise KeyboardInterrupt
            return super().systemctl(*words)

    host = Cut(place, {})
    with pytest.raises(KeyboardInterrupt):
        release.switch("new", [NODE], release.Release(place, place / "systemd", host), host, settle_s=1.0)
    assert links(place) == ["new", "old"]
