"""A node starts with the file, or with what was good before; a reload takes all of a new file or nothing."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.config.last_good import LastGood
from becomingone.config.loader import ConfigProblems, digest, load
from becomingone.errors import ConfigError
from becomingone.node.config import NodeConfig
from becomingone.node.config_file import ConfigFile, Loaded
from becomingone.node.process import Reloaded

SECRET = "hunter2-Zq9"
GOOD = """\
node: kitchen
state_dir: {state}
broker:
  username: kitchen
  password: !secret mqtt
inputs:
  - {{name: leg, kind: synthetic, options: {{rate_hz: 50}}}}
"""
ENVIRON = {"BECOMINGONE_SECRET_MQTT": SECRET}


class Place:
    """A configuration file, a state directory, and a node that applies what it is given."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "node.yaml"
        self.state = folder / "state"
        self.good = GOOD.format(state=self.state)
        self.environ: dict[str, str] = dict(ENVIRON)
        self.applied: list[Loaded] = []
        self.write(self.good)

    def write(self, text: str | bytes) -> None:
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def file(self, *overrides: str, **options: Any) -> ConfigFile:
        """A new life of the node; nobody writes the file meanwhile."""
        return ConfigFile(self.path, overrides=overrides, environ=self.environ, sleep=lambda _seconds: None, **options)

    def kept(self) -> bytes | None:
        return LastGood(self.state, self.path).read()

    def stable(self, *overrides: str) -> Loaded:
        """A life of the node that goes well."""
        file = self.file(*overrides)
        loaded = file.load()
        assert file.keep(loaded)
        return loaded


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# -- the start ---------------------------------------------------------------------------------------------------------


def test_a_good_file_is_what_the_node_runs_with(place: Place) -> None:
    file = place.file("health_s=5")
    loaded = file.load()
    config = load(NodeConfig, place.path, overrides=["health_s=5"], environ=ENVIRON)
    assert loaded == Loaded(config, digest(config))
    assert (file.current, file.problems) == (loaded, ())
    assert place.kept() is None  # it has not run stably yet


def test_a_bad_file_is_replaced_by_what_was_good_before(place: Place) -> None:
    before = place.stable("health_s=5")
    place.write(place.good + "frames_per_s: 0\nhealth: 3\n")
    file = place.file()
    loaded = file.load()
    assert (loaded.config, loaded.sha256, loaded.mode) == (before.config, before.sha256, "last_good")
    assert loaded.why == f"{place.path}:8: frames_per_s: must be greater than 0 (got 0) (and 1 more)"
    assert file.problems == (
        f"{place.path}:8: frames_per_s: must be greater than 0 (got 0)",
        f"{place.path}:9: health: unknown field; did you mean 'health_s'?",
    )
    assert loaded.config.broker.password is not None
    assert loaded.config.broker.password.get_secret_value() == SECRET


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "\xff", "node: [}", "\t"])
def test_whatever_is_wrong_with_it(place: Place, text: str) -> None:
    before = place.stable()
    place.write(text.encode("latin-1") + f"\nstate_dir: {place.state} # here\n".encode())
    assert place.file().load().config == before.config


def test_a_file_that_has_vanished(place: Place) -> None:
    before = place.stable()
    place.path.unlink()
    loaded = place.file(state_dir=place.state).load()
    assert (loaded.config, loaded.mode) == (before.config, "last_good")
    assert loaded.why == f"{place.path}: there is no such file"


@pytest.mark.parametrize("how", ["argument", "override", "environment", "file"])
def test_the_kept_one_is_found_though_the_file_cannot_be_read(place: Place, how: str) -> None:
    place.stable()
    place.write(f"state_dir: '{place.state}'\n  x: [\n" if how == "file" else "a: [\n")
    if how == "environment":
        place.environ["BECOMINGONE__STATE_DIR"] = str(place.state)
    file = {
        "argument": lambda: place.file(state_dir=place.state),
        "override": lambda: place.file(f"state_dir={place.state}"),
    }.get(how, place.file)()
    assert file.load().mode == "last_good"


def test_without_one_that_was_good_before_the_faults_are_told(place: Place) -> None:
    place.write(place.good + "frames_per_s: 0\n")
    file = place.file()
    with pytest.raises(ConfigProblems) as caught:
        file.load()
    assert caught.value.problems == (f"{place.path}:8: frames_per_s: must be greater than 0 (got 0)",)
    assert file.current is None


def test_one_that_cannot_be_used_either_is_told_too(place: Place) -> None:
    place.stable()
    del place.environ["BECOMINGONE_SECRET_MQTT"]
    place.write("frames_per_s: 0\n" + place.good)
    with pytest.raises(ConfigProblems) as caught:
        place.file().load()
    lines = caught.value.problems
    assert [line.startswith("the last good configuration cannot be used either: ") for line in lines] == [
        False,
        False,
        True,
    ]
    assert "no secret 'mqtt'" in lines[2]


def test_a_variable_that_is_wrong_is_outlived_too(place: Place) -> None:
    before = place.stable()
    place.environ["BECOMINGONE__KAIROS__P_FALSE"] = "2"
    loaded = place.file("health_s=never").load()
    assert loaded.config == before.config
    assert loaded.why.startswith("environment BECOMINGONE__KAIROS__P_FALSE: must be less than 0.5")


def test_secrets_are_looked_up_beside_the_file_for_the_kept_one_too(place: Place) -> None:
    secrets = place.path.with_name("secrets.yaml")
    secrets.touch(mode=0o600)
    secrets.write_text(f"mqtt: {SECRET}\n")
    del place.environ["BECOMINGONE_SECRET_MQTT"]
    before = place.stable()
    place.write("x: 1\n" + place.good)
    assert place.file().load().config == before.config


def test_a_kept_one_that_is_damaged_does_no_harm(place: Place) -> None:
    place.stable()
    LastGood(place.state, place.path).path.write_bytes(b"\xff\x00: [")
    assert place.file().load().mode == "normal"
    place.write("x: 1")
    with pytest.raises(ConfigProblems, match="cannot be used either"):
        place.file(state_dir=place.state).load()


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_no_secret_is_kept_and_the_card_is_written_once_a_change(place: Place) -> None:
    place.stable()
    kept = place.kept()
    assert kept is not None
    assert SECRET.encode() not in kept
    assert b'!secret "mqtt"' in kept
    again = place.file()
    assert not again.keep(again.load())  # another life with the same: nothing to write
    place.write("# a comment\n" + place.good)
    assert not again.keep(again.load())
    place.write(place.good + "health_s: 5\n")
    assert again.keep(again.load())
    assert place.kept() != kept


def test_only_what_runs_and_is_as_it_should_be_is_kept(place: Place) -> None:
    file = place.file()
    first = file.load()
    place.write(place.good + "health_s: 5\n")
    file.reload(place.applied.append)
    assert not file.keep(first)  # it ran for long enough, and then something else came
    assert place.kept() is None
    assert file.current is not None
    assert file.keep(file.current)
    place.write("x")
    life = place.file(state_dir=place.state)
    assert not life.keep(life.load())
    assert not place.file().keep(first)
    place.write(place.good)
    safe = place.file()
    assert not safe.keep(safe.load_safe("why"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("broker: {username: k, password: SECRET}", "broker.password is a secret in the clear"),
        ("drop_in: HERE\ninputs: [{name: a, kind: own, options: {pin: SECRET}}]", "inputs[a].options.pin is a secret"),
        ("drop_in: HERE\ninputs: [{name: a, kind: own, options: {pins: [SECRET]}}]", "inputs[a].options.pins is a"),
        ("drop_in: HERE\noutputs: [{name: b, kind: broken}]", "outputs[b].kind: "),
    ],
)
def test_a_secret_in_the_clear_is_not_kept(
    place: Place, text: str, says: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('no')\n")
    (tmp_path / "own.py").write_text(OWN)
    content = text.replace("SECRET", SECRET).replace("HERE", str(tmp_path))
    place.write(f"node: n\nstate_dir: {place.state}\n{content}\n")
    file = place.file()
    loaded = file.load()
    assert loaded.mode == "normal"
    with caplog.at_level(logging.WARNING):
        assert not file.keep(loaded)
    assert says in caplog.text
    assert SECRET not in caplog.text
    assert place.kept() is None


def test_a_disk_that_refuses_is_told_and_takes_nothing_down(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.state.write_text("a file where the directory should be")
    file = place.file()
    with caplog.at_level(logging.ERROR):
        assert not file.keep(file.load())
    assert "cannot be kept as the last good one" in caplog.text


# -- device modules that are broken ------------------------------------------------------------------------------------

OWN = '''
"""My own."""
from pydantic import BaseModel, SecretStr
class Options(BaseModel, frozen=True, extra="forbid"):
    pin: SecretStr = SecretStr("x")
    pins: list[SecretStr] = []
class Device:
    channels, origin, role = (), "live", "display"
    def __init__(self, options, ports): pass
    def read(self): return []
    def close(self): pass
'''


def test_a_broken_module_is_no_fault_of_the_file(place: Place, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    place.write(place.good + f"  - {{name: mine, kind: own}}\ndrop_in: {tmp_path}\n")
    before = place.stable()
    (tmp_path / "own.py").write_text("import nothing_of_that_name\n")
    loaded = place.file().load()
    assert (loaded.config, loaded.mode) == (before.config, "normal")  # the node shows the device as not available
    with pytest.raises(ConfigProblems, match=r"inputs\[1\].kind: .*nothing_of_that_name"):
        load(NodeConfig, place.path, environ=ENVIRON)  # a person who checks the file is told


def test_a_kind_that_does_not_exist_is_a_fault_of_the_file(place: Place, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    place.write(place.good + f"  - {{name: mine, kind: own}}\ndrop_in: {tmp_path}\n")
    before = place.stable()
    (tmp_path / "own.py").rename(tmp_path / "owm.py")
    loaded = place.file().load()  # the file is refused; the kept one may name what is no more
    assert (loaded.config, loaded.mode) == (before.config, "last_good")
    assert "there is no kind of device 'own': did you mean owm?" in loaded.why


# -- safe mode ---------------------------------------------------------------------------------------------------------


def test_safe_mode_imports_nothing_and_knows_its_broker(place: Place, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n")
    place.write(place.good + f"  - {{name: mine, kind: own}}\ndrop_in: {tmp_path}\nhardware: pi_4\nfoo: 1\n")
    file = place.file("health_s=never", "nonsense")
    loaded = file.load_safe("5 starts in a row have failed")
    assert (loaded.mode, loaded.why) == ("safe", "5 starts in a row have failed")
    assert (loaded.config.inputs, loaded.config.outputs, loaded.config.drop_in) == ((), (), None)
    assert (loaded.config.node, loaded.config.hardware) == ("kitchen", "pi_4")
    assert loaded.config.broker.username == "kitchen"
    assert loaded.sha256 == digest(loaded.config)
    assert file.problems == ()
    assert not (tmp_path / "imported").exists()


def test_safe_mode_goes_without_what_is_wrong(place: Place) -> None:
    place.write(place.good + "hardware: pi_9\nlogging: {level: LOUD}\n")
    loaded = place.file().load_safe("why")
    assert (loaded.config.hardware, loaded.config.logging.level) == ("pi_zero", "INFO")


def test_safe_mode_with_a_file_that_says_nothing_of_the_broker(place: Place) -> None:
    before = place.stable()
    place.write(f"state_dir: {place.state}\nbroker: {{url: tcp://x}}\n")
    loaded = place.file().load_safe("5 starts")
    assert (loaded.mode, loaded.config.broker, loaded.config.inputs) == ("safe", before.config.broker, ())
    assert loaded.why.startswith(f"5 starts; {place.path}:")
    assert loaded.why.endswith("(and 1 more)")
    LastGood(place.state, place.path).path.unlink()
    with pytest.raises(ConfigProblems):
        place.file().load_safe("5 starts")


def test_in_safe_mode_everything_needs_a_restart(place: Place, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n")
    file = place.file()
    loaded = file.load_safe("why")
    place.write(place.good + f"  - {{name: mine, kind: own}}\ndrop_in: {tmp_path}\n")
    assert file.reload(place.applied.append) == Reloaded((), ("mode",))
    place.write(place.good + "logging: {level: DEBUG}\ncell: lab\n")
    assert file.reload(place.applied.append) == Reloaded((), ("cell", "logging.level"))
    place.write("broker: {url: x}\n" + place.good)
    with pytest.raises(ConfigProblems):
        file.reload(place.applied.append)
    assert (file.current, place.applied) == (loaded, [])
    assert not (tmp_path / "imported").exists()


def test_the_fingerprint_is_that_of_what_the_next_start_would_read(place: Place, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n")
    place.write(f"node: n\ndrop_in: {tmp_path}\ninputs: [{{name: a, kind: own}}]\n")
    seen = [place.file().fingerprint(), place.file("health_s=5").fingerprint()]
    assert place.file().fingerprint() == seen[0]
    place.environ["BECOMINGONE__HEALTH_S"] = "5"
    seen.append(place.file().fingerprint())
    place.environ["UNRELATED"] = "5"
    assert place.file().fingerprint() == seen[-1]
    for text in ("[[[", b"\xff\xfe"):
        place.write(text)
        seen.append(place.file().fingerprint())
    place.path.unlink()
    seen.append(place.file().fingerprint())
    assert len(set(seen)) == len(seen)
    assert not (tmp_path / "imported").exists()


# -- the reload --------------------------------------------------------------------------------------------------------


def test_what_is_hot_is_applied(place: Place) -> None:
    file = place.file()
    file.load()
    place.write(place.good.replace("rate_hz: 50", "rate_hz: 60") + "health_s: 5\n")
    assert file.reload(place.applied.append) == Reloaded(("inputs[leg].options.rate_hz", "health_s"), ())
    assert [place.applied[-1]] == place.applied == [file.current]
    assert place.applied[0].config.health_s == 5
    assert place.applied[0].sha256 == digest(place.applied[0].config)


def test_nothing_is_applied_twice(place: Place) -> None:
    file = place.file()
    file.load()
    assert file.reload(place.applied.append) == Reloaded((), ())
    place.write("# the same in other words\n" + place.good)
    assert file.reload(place.applied.append) == Reloaded((), ())
    assert place.applied == []
    for rate in (60, 70):  # two in a row
        place.write(place.good.replace("rate_hz: 50", f"rate_hz: {rate}"))
        assert file.reload(place.applied.append).changed == ("inputs[leg].options.rate_hz",)
    assert [loaded.config.inputs[0].options["rate_hz"] for loaded in place.applied] == [60, 70]


def test_where_anything_needs_a_restart_nothing_is_applied(place: Place) -> None:
    file = place.file()
    before = file.load()
    place.write(place.good.replace("rate_hz: 50", "rate_hz: 60") + "cell: lab\nkairos: {p_false: 0.01}\n")
    assert file.reload(place.applied.append) == Reloaded((), ("cell", "kairos.p_false"))
    assert (place.applied, file.current) == ([], before)


def test_a_secret_that_has_changed_needs_a_restart(place: Place) -> None:
    file = place.file()
    before = file.load()
    place.environ["BECOMINGONE_SECRET_MQTT"] = "another"
    assert file.reload(place.applied.append) == Reloaded((), ("broker.password",))
    assert file.propose().loaded.sha256 == before.sha256  # which says nothing of secrets


def test_a_new_file_that_is_refused_changes_nothing(place: Place) -> None:
    place.stable()
    file = place.file()
    before = file.load()
    for text in ("", "x: [", place.good + "frames_per_s: 0\n"):
        place.write(text)
        with pytest.raises(ConfigError):
            file.reload(place.applied.append)
    place.path.unlink()
    with pytest.raises(ConfigProblems, match="no such file"):
        file.reload(place.applied.append)
    assert (place.applied, file.current) == ([], before)


def test_a_node_that_cannot_do_it_goes_back(place: Place) -> None:
    file = place.file()
    before = file.load()

    def apply(loaded: Loaded) -> None:
        place.applied.append(loaded)
        if loaded is not before:
            msg = "no such pin"
            raise OSError(msg)

    place.write(place.good + "health_s: 5\n")
    with pytest.raises(OSError, match="no such pin"):
        file.reload(apply)
    assert place.applied[1:] == [before]
    assert file.current == before


def test_a_file_that_has_been_mended_is_normal_again(place: Place) -> None:
    place.stable()
    place.write("x: 1\n" + place.good)
    file = place.file()
    assert file.load().mode == "last_good"
    place.write(place.good)
    assert file.reload(place.applied.append) == Reloaded((), ())
    assert [loaded.mode for loaded in place.applied] == ["normal"]


def test_another_thread_may_read_while_the_node_runs(place: Place) -> None:
    file = place.file()
    before = file.load()
    place.write(place.good + "health_s: 5\n")
    proposals: list[Any] = []
    reader = threading.Thread(target=lambda: proposals.append(file.propose()))
    reader.start()
    reader.join()
    assert file.current == before
    assert file.adopt(proposals[0], place.applied.append) == Reloaded(("health_s",), ())
    with pytest.raises(RuntimeError, match="load"):
        place.file().adopt(proposals[0], place.applied.append)


PIECES = st.fixed_dictionaries(
    {},
    optional={
        "health_s": st.sampled_from(["5", "6", "0"]),
        "frames_per_s": st.sampled_from(["5", "x"]),
        "cell": st.sampled_from(["lab", "home", "No"]),
        "capability": st.sampled_from(["1", "2"]),
        "outputs": st.sampled_from(["[]", "[{name: a, kind: terminal}]", "[{name: b, kind: terminal}]", "[{name: c}]"]),
        "nonsense": st.just("1"),
    },
)


@given(steps=st.lists(st.tuples(PIECES, st.booleans(), st.booleans()), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_a_reload_never_applies_a_part(
    steps: list[tuple[Mapping[str, str], bool, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = Place(tmp_path_factory.mktemp("place", numbered=True))
    file = place.file()
    running = [file.load()]

    for pieces, cut, fails in steps:
        text = place.good + "".join(f"{name}: {value}\n" for name, value in pieces.items())
        place.write(text[: len(text) // 2] if cut else text)
        before = running[-1]

        def apply(loaded: Loaded, *, fails: bool = fails, before: Loaded = before) -> None:
            running.append(loaded)
            if fails and loaded is not before:
                msg = "a device is on fire"
                raise RuntimeError(msg)

        try:
            wanted = load(NodeConfig, place.path, environ=ENVIRON)
        except ConfigError:
            wanted = None
        try:
            result = file.reload(apply)
        except (ConfigError, RuntimeError):
            assert wanted is None or fails
            assert running[-1] == before
        else:
            assert wanted is not None
            if result.needs_restart:
                assert result.changed == ()
                assert running[-1] is before
            else:
                assert running[-1].config == wanted  # the whole of it
                assert bool(result.changed) == (before.config != wanted)
        assert file.current == running[-1]
        assert file.current.sha256 == digest(file.current.config)


def test_reading_waits_for_a_writer(place: Place) -> None:
    half = place.good[: place.good.index("inputs")]
    assert load(NodeConfig, place.path, environ=ENVIRON).inputs
    later = [half, place.good + "health_s: 5\n"]

    def sleep(_seconds: float) -> None:
        if later:
            place.write(later.pop(0))

    file = ConfigFile(place.path, environ=place.environ, sleep=sleep)
    place.write("")
    loaded = file.load()  # neither the empty file nor its first half, which alone would be a configuration
    assert (len(loaded.config.inputs), loaded.config.health_s) == (1, 5)


def test_the_real_clock_is_waited_by(place: Place) -> None:
    assert ConfigFile(place.path, environ=dict(os.environ) | ENVIRON).load().mode == "normal"
