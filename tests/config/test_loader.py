"""What the loader says of bad files, where its values come from, and that it never tells a secret."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import time
import traceback
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from becomingone.config.loader import ConfigProblems, canonical, digest, load, schema
from becomingone.errors import ConfigError

SECRET = "hunter2-Zq9"  # appears in no key, path or message of these tests


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Thermometer(Strict):
    kind: Literal["thermometer"]
    name: Annotated[str, Field(min_length=1)]
    rate_hz: Annotated[float, Field(gt=0, le=20)] = 1.0
    address: int = 0x40


class Options(Strict):
    gain: Annotated[float, Field(ge=0, le=10)] = 1.0
    tags: Annotated[list[str], Field(max_length=3)] = []


class Microphone(Strict):
    kind: Literal["microphone"]
    options: Options = Options()
    channels: int | list[int] = 1


Device = Annotated[Thermometer | Microphone, Field(discriminator="kind")]


class Mode(Enum):
    CALM = "calm"
    WILD = "wild"


def refuse(value: object) -> object:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    msg = f"the pin {text!r} is not good"
    raise ValueError(msg)


class Link(Strict):
    host: str = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    username: str | None = None
    password: Annotated[SecretStr, Field(min_length=6)] | None = None
    pins: list[SecretStr] = []
    pin: Annotated[int, BeforeValidator(refuse)] = 0

    @model_validator(mode="after")
    def _needs_name(self) -> Link:
        if self.password is not None and self.username is None:
            msg = f"a password ({self.password.get_secret_value()}) needs\na username"
            raise ValueError(msg)
        return self


class Kairos(Strict):
    tau: Annotated[float, Field(gt=0, description="s")] = 0.5
    bands: dict[Annotated[str, Field(pattern="^[a-z]+$")], float] = {"slow": 0.1}

    @field_validator("tau")
    @classmethod
    def _not_thirteen(cls, tau: float) -> float:
        if tau == 13:
            msg = "thirteen is unlucky"
            raise ValueError(msg)
        return tau


class Node(Strict):
    id: str
    enabled: bool = True
    mode: Mode = Mode.CALM
    devices: list[Device] = []
    link: Link = Link()
    kairos: Kairos = Kairos()
    source: str | Kairos = "file"
    extra: dict[str, Any] = {}
    folder: Path = Path("data")

    @model_validator(mode="after")
    def _check(self) -> Node:
        if self.kairos.bands.get("bad") is not None:
            msg = "kairos.bands.bad: must not be bad"
            raise ValueError(msg)
        return self


def read(tmp_path: Path, text: str | bytes, *overrides: str, **environ: str) -> Node:
    path = tmp_path / "node.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(Node, path, overrides=overrides, environ=environ)


def problems(tmp_path: Path, text: str | bytes, *overrides: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigProblems) as caught:
        read(tmp_path, text, *overrides, **environ)
    assert isinstance(caught.value, ConfigError)
    assert str(caught.value) == "\n".join(caught.value.problems)
    assert all(line.isprintable() for line in caught.value.problems)
    return [line.replace(f"{tmp_path}{os.sep}", "") for line in caught.value.problems]


FULL = """\
id: kitchen
enabled: true
devices:
  - kind: thermometer
    name: air
    rate_hz: 5
    address: 0x41
  - kind: microphone
    channels: [0, 1]
    options: {gain: 2, tags: [on, off, yes]}
link:
  host: broker.local
kairos:
  tau: 2.5e-1
  bands: {slow: .1, fast: 1.}
extra:
  time: 12:30:00
  date: 2024-01-01
  id: 007
  grouped: 1_000
  none: ~
  empty:
  hex: 0x1f
  octal: 0o17
  word: No
  big: .inf
"""


def test_a_good_file_is_read(tmp_path: Path) -> None:
    node = read(tmp_path, FULL)
    assert node.devices[0] == Thermometer(kind="thermometer", name="air", rate_hz=5, address=0x41)
    assert node.devices[1] == Microphone(
        kind="microphone", channels=[0, 1], options=Options(gain=2, tags=["on", "off", "yes"])
    )
    assert node.kairos == Kairos(tau=0.25, bands={"slow": 0.1, "fast": 1.0})


def test_the_traps_of_yaml_1_1_are_gone(tmp_path: Path) -> None:
    assert read(tmp_path, FULL).extra == {
        "time": "12:30:00",
        "date": "2024-01-01",
        "id": "007",
        "grouped": "1_000",
        "none": None,
        "empty": None,
        "hex": 31,
        "octal": 15,
        "word": "No",
        "big": float("inf"),
    }


BAD = [
    ("unknown field", "id: a\nkairos:\n  tua: 1\n", ["node.yaml:3: kairos.tua: unknown field; did you mean 'tau'?"]),
    (
        "unknown field, nothing near",
        "id: a\nkairos:\n  zzz: 1\n",
        ["node.yaml:3: kairos.zzz: unknown field; known here: tau, bands"],
    ),
    (
        "range in a branch of a union",
        "id: a\ndevices:\n- kind: thermometer\n  name: x\n  rate_hz: 50\n",
        ["node.yaml:5: devices[0].rate_hz: must be at most 20 (got 50)"],
    ),
    (
        "nested",
        "id: a\ndevices:\n- kind: microphone\n  options:\n    gain: -1\n    gian: 3\n",
        [
            "node.yaml:5: devices[0].options.gain: must be at least 0 (got -1)",
            "node.yaml:6: devices[0].options.gian: unknown field; did you mean 'gain'?",
        ],
    ),
    (
        "missing",
        "devices:\n- kind: microphone\n- kind: thermometer\n",
        [
            "node.yaml:1: id: is missing (must be text)",
            "node.yaml:3: devices[1].name: is missing (must be text)",
        ],
    ),
    (
        "unknown kind",
        "id: a\ndevices: [{kind: termometer}]\n",
        [
            (
                "node.yaml:2: devices[0].kind: "
                "must be one of 'thermometer', 'microphone' (got 'termometer'); did you mean 'thermometer'?"
            )
        ],
    ),
    (
        "no kind",
        "id: a\ndevices:\n- {name: x}\n",
        ["node.yaml:3: devices[0].kind: is missing (must be 'thermometer' or 'microphone')"],
    ),
    (
        "kind is a list",
        "id: a\ndevices:\n- {kind: [x]}\n",
        ["node.yaml:3: devices[0].kind: must be one of 'thermometer', 'microphone' (got a list of 1)"],
    ),
    (
        "no branch of a union",
        "id: a\ndevices:\n- kind: microphone\n  channels: many\n",
        ["node.yaml:4: devices[0].channels: must be a whole number or a list (got 'many')"],
    ),
    (
        "the branch that came furthest",
        "id: a\nsource:\n  tau: -1\n",
        ["node.yaml:3: source.tau: must be greater than 0 (got -1)"],
    ),
    ("enum", "id: a\nmode: clam\n", ["node.yaml:2: mode: must be 'calm' or 'wild' (got 'clam'); did you mean 'calm'?"]),
    ("number for text", "id: 1.10\n", ["node.yaml:1: id: must be text (got 1.10); put it in quotes"]),
    ("text for a number", "id: a\nkairos: {tau: fast}\n", ["node.yaml:2: kairos.tau: must be a number (got 'fast')"]),
    ("nothing for a number", "id: a\nkairos:\n  tau:\n", ["node.yaml:3: kairos.tau: must be a number (got nothing)"]),
    ("fraction", "id: a\nlink: {port: 1.5}\n", ["node.yaml:2: link.port: must be a whole number (got 1.5)"]),
    ("boolean", "id: a\nenabled: maybe\n", ["node.yaml:2: enabled: must be true or false (got 'maybe')"]),
    (
        "list for a mapping",
        "id: a\nlink: [1]\n",
        ["node.yaml:2: link: must be a mapping (name: value) (got a list of 1)"],
    ),
    ("mapping for a list", "id: a\ndevices: {}\n", ["node.yaml:2: devices: must be a list (got a mapping)"]),
    (
        "too many",
        "id: a\ndevices:\n- kind: microphone\n  options: {tags: [a, b, c, d]}\n",
        ["node.yaml:4: devices[0].options.tags: must have at most 3 items (got a list of 4)"],
    ),
    ("own rule", "id: a\nkairos:\n  tau: 13\n", ["node.yaml:3: kairos.tau: thirteen is unlucky (got 13)"]),
    (
        "own rule, pointing",
        "id: a\nkairos:\n  bands:\n    bad: 1\n",
        ["node.yaml:4: kairos.bands.bad: must not be bad (got 1)"],
    ),
    (
        "bad key of a mapping",
        "id: a\nkairos:\n  bands:\n    a: 1\n    B: 2\n",
        ["node.yaml:5: kairos.bands.B: must match the pattern ^[a-z]+$ (got 2)"],
    ),
    (
        "several, in the order of the file",
        "kairos: {tau: 0}\nid: 5\nlink:\n  port: 0\n  hots: x\n",
        [
            "node.yaml:1: kairos.tau: must be greater than 0 (got 0)",
            "node.yaml:2: id: must be text (got 5); put it in quotes",
            "node.yaml:4: link.port: must be at least 1 (got 0)",
            "node.yaml:5: link.hots: unknown field; did you mean 'host'?",
        ],
    ),
    ("twice", "id: a\nlink:\n  port: 1\n  port: 2\n", ["node.yaml:4: link.port: is written twice (first on line 3)"]),
    (
        "twice, and more",
        "id: a\nid: b\nenabled: 3\n",
        ["node.yaml:2: id: is written twice (first on line 1)", "node.yaml:3: enabled: must be true or false (got 3)"],
    ),
    ("number as key", "id: a\nextra:\n  1: x\n", ["node.yaml:3: extra: a key must be text; put '1' in quotes"]),
    ("boolean as key", "id: a\ntrue: x\n", ["node.yaml:2: a key must be text; put 'true' in quotes"]),
    ("list as key", "id: a\nextra:\n  ? [1]\n  : x\n", ["node.yaml:3: extra: a key must be text"]),
    (
        "merge",
        "id: a\nextra: &e {}\nlink:\n  <<: *e\n",
        ["node.yaml:4: link: '<<' (merge) is not supported; write the keys out"],
    ),
    (
        "unknown tag",
        "id: a\nkairos:\n  tau: !python/name:os.system x\n",
        [
            (
                "node.yaml:3: kairos.tau: has a tag that has no meaning here; "
                "only !secret has (text that begins with ! needs quotes)"
            )
        ],
    ),
    ("wrong tag", "id: !!int x\n", ["node.yaml:1: id: is tagged !!int but is not written as one"]),
    ("too large", "id: a\nkairos: {tau: 1e999}\n", ["node.yaml:2: kairos.tau: is too large for a number"]),
    ("surrogate", 'id: "\\ud800"\n', ["node.yaml:1: id: must be text; half of a surrogate pair is none"]),
    ("odd key", 'id: a\nextra: {"a\\n.b": !x 1}\n', None),
    ("empty", "", ["node.yaml:1: is empty; must hold a mapping (name: value)"]),
    ("only a comment", "# nothing\n", ["node.yaml:1: is empty; must hold a mapping (name: value)"]),
    ("only a marker", "---\n", ["node.yaml:1: is empty; must hold a mapping (name: value)"]),
    ("list at the top", "# x\n- a\n", ["node.yaml:2: must be a mapping (name: value), not a list"]),
    ("text at the top", "hello\n", ["node.yaml:1: must be a mapping (name: value), not a single value"]),
    ("secret at the top", "!secret x\n", None),
    (
        "tab",
        "id: a\nlink:\n\tport: 1\n",
        ["node.yaml:3: is not YAML: a tab cannot indent or begin a value; use spaces"],
    ),
    (
        "second colon",
        "id: a\nlink:\n  host: a: b\n",
        ["node.yaml:3: is not YAML: a second ': ' or a wrong indentation; text with ': ' needs quotes"],
    ),
    ("no colon", "id: a\nlink\nkairos: {}\n", ["node.yaml:2: is not YAML: a ':' is missing after the key"]),
    ("quote", "id: a\nlink:\n  host: 'a\n  port: 1\n", ["node.yaml:3: is not YAML: a quote is not closed"]),
    ("bracket", "id: a\ndevices: [\n", ["node.yaml:3: is not YAML: the text ends before a '[' or '{' is closed"]),
    ("comma", "id: a\ndevices: [1\nlink: {}\n", ["node.yaml:2: is not YAML: a '[' is not closed, or a ',' is missing"]),
    ("anchor", "id: &a x\nmode: &a y\n", ["node.yaml:2: is not YAML: an anchor (&name) is defined twice"]),
    ("alias", "id: *nobody\n", ["node.yaml:1: is not YAML: found undefined alias 'nobody'"]),
    (
        "two documents",
        "id: a\n---\nid: b\n",
        ["node.yaml:2: is not YAML: only one document is allowed (a second '---')"],
    ),
    ("escape", 'id: a\nmode: "\\UFFFFFFFF"\n', ["node.yaml:2: is not YAML"]),
    ("version", f"%YAML {'1' * 5000}.1\n---\nid: a\n", ["node.yaml:1: is not YAML"]),
    ("control", "id: a\nmode: \x07\n", ["node.yaml:2: holds a character that YAML forbids"]),
    ("not UTF-8", b"id: a\nmode: \xff\n", ["node.yaml:2: must be UTF-8 text (got the byte 0xff)"]),
    ("UTF-16", "id: a\n".encode("utf-16"), ["node.yaml:1: must be UTF-8 text (got the byte 0xff)"]),
    ("large", b"#" * (1 << 20) + b"\n", ["node.yaml: must be at most 1048576 bytes long"]),
    ("deep", "id: a\nextra: " + "[" * 5000, ["node.yaml:2: must be nested at most 32 levels deep"]),
    ("deep blocks", "? " * 5000, ["node.yaml:1: must be nested at most 32 levels deep"]),
    ("self", "id: a\nextra: {x: &x [*x]}\n", ["node.yaml:2: must be nested at most 32 levels deep"]),
    (
        "bomb",
        "id: a\nextra:\n  a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"  {n}: &{n} [{','.join([f'*{m}'] * 10)}]\n" for m, n in itertools.pairwise("abcdefgh")),
        ["node.yaml:3: must hold at most 100000 values (aliases counted each time)"],
    ),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_file_is_explained(tmp_path: Path, text: str | bytes, expected: list[str] | None) -> None:
    found = problems(tmp_path, text)
    assert found == expected if expected is not None else found


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match=r"none\.yaml: there is no such file"):
        load(Node, tmp_path / "none.yaml", environ={})
    with pytest.raises(ConfigProblems, match="is a directory; must be a file"):
        load(Node, tmp_path, environ={})
    with pytest.raises(ConfigProblems, match="cannot be read"):
        load(Node, tmp_path / "a\0b", environ={})


def test_problems_survive_pickling() -> None:
    error = ConfigProblems(["a", "b"])
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.problems, str(copy)) == (("a", "b"), "a\nb")


def test_an_alias_is_a_copy(tmp_path: Path) -> None:
    node = read(tmp_path, "id: a\nextra: {a: &a [1, 2], b: *a}\n", "extra.a[0]=5")
    assert node.extra == {"a": [5, 2], "b": [1, 2]}


# Overrides


def test_the_command_line_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    text = "id: a\nkairos: {tau: 1}\n"
    assert read(tmp_path, text).kairos.tau == 1
    assert read(tmp_path, text, BECOMINGONE__KAIROS__TAU="2").kairos.tau == 2
    assert read(tmp_path, text, "kairos.tau=3", BECOMINGONE__KAIROS__TAU="2").kairos.tau == 3
    assert read(tmp_path, text, "kairos.tau=3", "kairos.tau=4", BECOMINGONE__KAIROS__TAU="2").kairos.tau == 4
    assert read(tmp_path, text, BECOMINGONE__KAIROS="{tau: 5}", BECOMINGONE__KAIROS__TAU="6").kairos.tau == 6
    assert read(tmp_path, text, becomingone__Kairos__Tau="7").kairos.tau == 7
    assert read(tmp_path, text, "link.port=9", BECOMINGONE_OTHER="x").link.port == 9
    assert read(tmp_path, text + "link:\n", "link.port=9").link.port == 9
    assert read(tmp_path, "devices: []", "id='5'", "folder=/x=y").folder == Path("/x=y")


def test_an_item_of_a_list_is_overridden(tmp_path: Path) -> None:
    assert read(tmp_path, FULL, "devices[0].rate_hz=7").devices[0].rate_hz == 7  # type: ignore[union-attr]
    assert read(tmp_path, FULL, "devices.0.rate_hz=8").devices[0].rate_hz == 8  # type: ignore[union-attr]
    node = read(tmp_path, FULL, BECOMINGONE__DEVICES__1__CHANNELS="[3, 4]")
    assert node.devices[1].channels == [3, 4]  # type: ignore[union-attr]
    assert read(tmp_path, FULL, "devices[1]={kind: thermometer, name: b}").devices[1].kind == "thermometer"
    assert read(tmp_path, FULL, "devices=[]").devices == []


BAD_OVERRIDES = [
    ("kairos.tau=-1", "--set kairos.tau: must be greater than 0 (got -1)"),
    ("kairos.tua=1", "--set kairos.tua: unknown field; did you mean 'tau'?"),
    ("kairo.tau=1", "--set kairo.tau: kairo: unknown field; did you mean 'kairos'?"),
    ("link={port: 0}", "--set link: link.port: must be at least 1 (got 0)"),
    ("devices[5].rate_hz=1", "--set devices[5].rate_hz: devices[5] does not exist (devices has 2 items)"),
    ("devices.x=1", "--set devices.x: devices is a list; a number must follow, such as devices[0]"),
    ("link[0]=1", "--set link[0]: link is not a list in the file, so link[0] does not exist"),
    ("id.x=1", "--set id.x: id is not a mapping, so id.x does not exist"),
    ("link.port", "--set link.port: must be written as key=value"),
    ("link.host:" + SECRET, "--set link.host: must be written as key=value"),
    ("", "--set: must be written as key=value"),
    ("=1", "--set: the key must be names with a '.' (in the environment '__') between them"),
    ("link..port=1", "--set link..port: the key must be names with a '.' (in the environment '__') between them"),
    ("link.host=[1", "--set link.host: the value is not YAML; put it in quotes"),
    ("link.host=a: b", "--set link.host: the value must be a scalar, [a, b] or {a: b}; put text in quotes"),
    ("link.host=a #b", "--set link.host: the value must be a scalar, [a, b] or {a: b}; put text in quotes"),
    ("link={port: 1, port: 2}", "--set link: link.port: is written twice"),
    ("link.port=", "--set link.port: must be a whole number (got nothing)"),
]


@pytest.mark.parametrize(("override", "expected"), BAD_OVERRIDES)
def test_a_bad_override_is_named(tmp_path: Path, override: str, expected: str) -> None:
    assert problems(tmp_path, FULL, override) == [expected]


def test_a_bad_variable_is_named(tmp_path: Path) -> None:
    found = problems(tmp_path, FULL + "x: 1\n", "link.port=0", BECOMINGONE__KAIROS__TAU="fast", BECOMINGONE__="1")
    assert found == [
        "node.yaml:27: x: unknown field; known here: id, enabled, mode, devices, link, kairos, source, extra, folder",
        "environment BECOMINGONE__: the key must be names with a '.' (in the environment '__') between them",
        "environment BECOMINGONE__KAIROS__TAU: must be a number (got 'fast')",
        "--set link.port: must be at least 1 (got 0)",
    ]


def test_an_override_mends_a_value_that_cannot_be_read(tmp_path: Path) -> None:
    text = "id: a\nlink:\n  host: !secret nowhere\n  username: u\n"
    assert read(tmp_path, text, "link.host=h").link.host == "h"


# Secrets

WITH_SECRET = "id: a\nlink:\n  username: u\n  password: !secret mqtt-pass\n"


def secrets_file(tmp_path: Path, text: str, mode: int = 0o600) -> None:
    path = tmp_path / "secrets.yaml"
    path.write_text(text)
    path.chmod(mode)


def password(node: Node) -> str | None:
    return None if node.link.password is None else node.link.password.get_secret_value()


def test_a_secret_is_found_in_three_places(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    secrets_file(tmp_path, "mqtt-pass: from-file\nnumber: 0123456\n")
    assert password(read(tmp_path, WITH_SECRET)) == "from-file"
    assert password(read(tmp_path, WITH_SECRET.replace("mqtt-pass", "number"))) == "0123456"
    variable = {"BECOMINGONE_SECRET_MQTT_PASS": "from-environment"}
    assert password(read(tmp_path, WITH_SECRET, **variable)) == "from-environment"
    both = {**variable, "CREDENTIALS_DIRECTORY": str(folder)}
    assert password(read(tmp_path, WITH_SECRET, **both)) == "from-environment"
    (folder / "mqtt-pass").write_text("from-systemd\n")
    assert password(read(tmp_path, WITH_SECRET, **both)) == "from-systemd"
    assert (
        password(read(tmp_path, "id: a", "link={username: u, password: !secret mqtt-pass}", **both)) == "from-systemd"
    )


def test_a_secret_that_is_nowhere(tmp_path: Path) -> None:
    assert problems(tmp_path, WITH_SECRET, CREDENTIALS_DIRECTORY="/nowhere") == [
        (
            "node.yaml:4: link.password: no secret 'mqtt-pass'; looked in /nowhere/mqtt-pass, "
            "$BECOMINGONE_SECRET_MQTT_PASS and secrets.yaml (no such file)"
        )
    ]
    secrets_file(tmp_path, "other: x\n")
    assert problems(tmp_path, "enabled: 3\n" + WITH_SECRET) == [
        "node.yaml:1: enabled: must be true or false (got 3)",
        (
            "node.yaml:5: link.password: no secret 'mqtt-pass'; looked in $CREDENTIALS_DIRECTORY (not set), "
            "$BECOMINGONE_SECRET_MQTT_PASS and secrets.yaml"
        ),
    ]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_secrets_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    secrets_file(tmp_path, f"mqtt-pass: {SECRET}\n", mode)
    (found,) = problems(tmp_path, WITH_SECRET)
    assert found.endswith(f"must be for its owner alone (its mode is {mode:o}): chmod 600 secrets.yaml")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", ".x", "a b", "''", "[a]"])
def test_the_name_of_a_secret_is_a_name(tmp_path: Path, name: str) -> None:
    (found,) = problems(tmp_path, f"id: a\nlink:\n  username: u\n  password: !secret {name}\n")
    assert found.startswith("node.yaml:4: link.password: ")


BAD_SECRETS = [
    f"mqtt-pass: *{SECRET}\n",
    f"mqtt-pass: !{SECRET}\n",
    f"mqtt-pass: @{SECRET}\n",
    f"mqtt-pass: '{SECRET}\n",
    f"mqtt-pass: [{SECRET}]\n",
    f"mqtt-pass: {SECRET}: x\n",
    f"mqtt-pass: !secret {SECRET}!\n",
    f"mqtt-pass: !!int {SECRET}\n",
    f"mqtt-pass: a\nmqtt-pass: {SECRET}\n",
    f"- {SECRET}\n",
    f"{SECRET}\n",
    "mqtt-pass: ''\n",
]


@pytest.mark.parametrize("text", BAD_SECRETS)
def test_a_bad_secrets_file_tells_nothing(tmp_path: Path, text: str) -> None:
    secrets_file(tmp_path, text)
    (found,) = problems(tmp_path, WITH_SECRET)
    assert found.startswith("node.yaml:4: link.password: ")
    assert SECRET not in found


def test_a_secrets_file_that_is_not_utf_8_tells_nothing(tmp_path: Path) -> None:
    secrets_file(tmp_path, "")
    (tmp_path / "secrets.yaml").write_bytes(b"mqtt-pass: " + SECRET.encode() + b"\xff\n")
    (found,) = problems(tmp_path, WITH_SECRET)
    assert SECRET not in found


FIELDS = {
    "id": "must not be a secret",
    "enabled": "must be true or false (a secret)",
    "mode": "(a secret)",
    "devices": "must be a list (a secret)",
    "devices[0].kind": "(a secret)",
    "devices[0].rate_hz": "must be a number (a secret)",
    "link": "must be a mapping (name: value) (a secret)",
    "link.port": "must be a whole number (a secret)",
    "link.username": "must not be a secret",
    "link.pin": "the pin '(a secret)' is not good (a secret)",
    "link.zzz": "unknown field",
    "kairos.tau": "must be a number (a secret)",
    "source": "must",
    "folder": "(a secret)",
}


@pytest.mark.parametrize("field", FIELDS)
def test_no_error_tells_a_secret(tmp_path: Path, field: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        read(tmp_path, FULL, f"{field}=!secret x", BECOMINGONE_SECRET_X=SECRET)
    assert FIELDS[field] in str(caught.value)
    whole = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert SECRET not in whole
    assert caught.value.__context__ is None


SECRET_FIELDS = [
    (("link={username: u, password: '%s'}", "link.username=5"), SECRET),
    (("link.password=%s",), SECRET),  # no username: the model's own message shows it
    (("link.password={%s: 1}",), ""),
    (("link.pins=[a, %s, [%s]]",), SECRET),
    (("link.pins=[[%s]]",), SECRET),
    (("link.username=u", "link.password=%s"), SECRET[:3]),  # too short
    (("link.username=u", "link.password=%s"), "987654"),  # a number
    (("link.password=*%s",), SECRET),
    (("link.password=!%s",), SECRET),
    (("link.password=a: %s",), SECRET),
]


@pytest.mark.parametrize(("sets", "secret"), SECRET_FIELDS)
def test_no_error_tells_what_is_written_in_a_secret_field(tmp_path: Path, sets: tuple[str, ...], secret: str) -> None:
    secret = secret or SECRET
    found = "\n".join(problems(tmp_path, FULL, *(item.replace("%s", secret) for item in sets)))
    if sets != ("link.password={%s: 1}",):  # there it is a key
        assert secret not in found


def test_a_secret_stays_secret_in_a_free_mapping(tmp_path: Path) -> None:
    node = read(tmp_path, "id: a\nextra: {key: !secret x}\n", BECOMINGONE_SECRET_X=SECRET)
    assert node.extra["key"].get_secret_value() == SECRET
    assert SECRET not in repr(node)
    assert SECRET.encode() not in canonical(node)


# What is said of a model


def test_the_canonical_form(tmp_path: Path) -> None:
    node = read(tmp_path, FULL, "link={username: u, password: !secret x}", BECOMINGONE_SECRET_X=SECRET)
    form = json.loads(canonical(node))
    assert form["link"]["password"] == "(secret)"
    assert form["extra"]["big"] == "inf"
    assert form["mode"] == "calm"
    assert form["folder"] == "data"
    assert canonical(node).startswith(b'{"devices":[{"address":65,"kind":"thermometer"')


def test_the_digest_is_that_of_the_effective_configuration(tmp_path: Path) -> None:
    short = read(tmp_path, "id: a\nkairos: {tau: 1}\n")
    long = read(tmp_path, "# said otherwise\nenabled: true\nkairos:\n  tau: 1.0\nid: 'a'\nlink: {port: 0x75b}\n")
    assert digest(short) == digest(long) == digest(read(tmp_path, "id: b", "id=a", BECOMINGONE__KAIROS__TAU="1e0"))
    assert digest(short) != digest(read(tmp_path, "id: a\nkairos: {tau: 2}\n"))
    assert len(digest(short)) == 64
    one = read(tmp_path, WITH_SECRET, BECOMINGONE_SECRET_MQTT_PASS="first-secret")
    two = read(tmp_path, WITH_SECRET, BECOMINGONE_SECRET_MQTT_PASS="second-secret")
    assert digest(one) == digest(two)


def test_the_schema() -> None:
    made = schema(Node)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert made["title"] == "Node"
    assert made["required"] == ["id"]
    json.dumps(made)


# Properties

WORDS = [
    "id",
    "kind",
    "<<",
    "devices",
    "null",
    "thermometer",
    "link",
    "0x",
    "1e9",
    ".nan",
    "&a",
    "*a",
    "password",
    "kairos",
    "bands",
    "extra",
    "source",
    "tau",
]
MARKS = [
    *"{}[],:?-!&*#|>%@`'\"\\~ \t\n=<",
    "!secret ",
    "!!int ",
    "---\n",
    "\n  ",
    "\n- ",
    ": ",
    "\x85",
    "\ufeff",
    "\\ud800",
]
PIECES = st.sampled_from(MARKS + WORDS)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    text = FULL
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(PIECES) + text[start + draw(st.integers(0, 12)) :]
    return text.encode("utf-8", "surrogatepass")


def attempt(path: Path, *, overrides: Sequence[str] = (), environ: Mapping[str, str]) -> Node | tuple[str, ...]:
    """Load, or give the problems; nothing else may happen."""
    try:
        return load(Node, path, overrides=overrides, environ=environ)
    except ConfigProblems as exc:
        problems = exc.problems
    assert problems
    assert all(line.isprintable() and SECRET not in line for line in problems)
    return problems


@settings(max_examples=600, deadline=2000)
@given(raw=st.binary(max_size=300) | st.lists(PIECES, max_size=40).map(lambda p: "".join(p).encode()) | damaged())
@example(raw=b"id: " + b"9" * 10_000)
@example(raw=b'"\\uD800": 1')
@example(raw=b"id: a\nextra: {a: !!float .nan, b: !!null x, c: !!set {a}, d: !!binary aGk=}")
def test_any_bytes_load_or_are_refused(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(raw)
    result = attempt(path, environ={"BECOMINGONE_SECRET_A": SECRET})
    if isinstance(result, Node):
        assert json.loads(canonical(result))
    else:
        assert all(line.startswith(str(path)) for line in result)


@settings(max_examples=400, deadline=2000)
@given(
    overrides=st.lists(st.text(max_size=20) | st.lists(PIECES, max_size=12).map("".join), max_size=3),
    keys=st.lists(st.sampled_from(["id", "devices", "0", "1", "link", "kairos", "tau", "", "extra"]), max_size=4),
    text=st.text(max_size=20) | st.lists(PIECES, max_size=8).map("".join),
)
def test_any_override_loads_or_is_refused(
    overrides: list[str], keys: list[str], text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "overridden.yaml"
    path.write_text(FULL)
    environ = {f"BECOMINGONE__{'__'.join(keys)}": text}
    attempt(path, overrides=[*overrides, f"{'.'.join(keys)}={text}"], environ=environ)


def test_many_mistakes_take_no_longer_than_many_values(tmp_path: Path) -> None:
    text = "id: a\ndevices:\n" + "- {kind: microphone, optoins: 1}\n" * 3000
    begin = time.process_time()
    found = problems(tmp_path, text)
    assert len(found) == 3000
    assert time.process_time() - begin < 20
