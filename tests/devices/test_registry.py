"""Kinds are found by presence, checked when loaded, and refused with a reason that can be acted on."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from becomingone.devices import registry
from becomingone.devices.contract import Output, Sensor
from becomingone.errors import DeviceBrokenError, DeviceError, MissingLibraryError

from .fakes import FakePorts

BUILT_IN = [
    "button",
    "cpu_temperature",
    "daily",
    "host",
    "led",
    "microphone",
    "motor",
    "recording",
    "speaker",
    "synthetic",
    "terminal",
]
MINIMAL: dict[str, dict[str, Any]] = {
    "daily": {"quantity": "sound"},
    "button": {"pin": 17},
    "led": {"pin": 17},
    "motor": {"left": {"forward": 17, "backward": 18}},
    "recording": {
        "file": "package:walking-two-imus/upper_leg.csv",
        "columns": {"x": "counter"},
        "unit": "",
        "quantity": "count",
        "floor": 0,
        "rate_hz": 120,
    },
}
TWENTY_LINES = '''"""Counts its own readings."""
from __future__ import annotations
from typing import Annotated
from pydantic import BaseModel, Field
from becomingone.devices.contract import Channel, Ports

class Options(BaseModel, frozen=True, extra="forbid"):
    """Where to begin."""
    first: Annotated[int, Field(ge=0, description="first value")] = 0

class Device:
    """A sensor of one channel."""
    origin = "simulated"
    def __init__(self, options: Options, ports: Ports) -> None:
        self.channels = (Channel("count", "", 1.0, "count", 0.0),)
        self._next = options.first
    def read(self) -> dict[str, float | None]:
        self._next += 1
        return {"count": self._next - 1}
    def close(self) -> None: ...
'''


def drop(folder: Path, kind: str, text: str) -> Path:
    (folder / f"{kind}.py").write_text(text)
    return folder


def test_the_catalogue_holds_what_is_present_and_no_helper() -> None:
    assert registry.catalogue() == BUILT_IN


@pytest.mark.parametrize("kind", BUILT_IN)
def test_a_built_in_keeps_the_contract(kind: str) -> None:
    module = registry.load(kind)
    assert module.kind == kind
    assert module.summary.endswith(".")
    options = module.options(**MINIMAL.get(kind, {}))
    with pytest.raises(ValidationError, match="surprise"):
        module.options(**MINIMAL.get(kind, {}), surprise=1)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(options, next(iter(module.options.model_fields)), 1)
    for name, described in module.options.model_fields.items():
        assert described.description, f"{kind}.{name} says nothing of its unit and range"
    assert module.options.model_json_schema()["properties"]


@pytest.mark.parametrize("kind", ["button", "host", "microphone", "recording", "synthetic"])
def test_a_built_in_sensor_is_one(kind: str) -> None:
    module = registry.load(kind)
    device = module.device(module.options(**MINIMAL.get(kind, {})), FakePorts())
    assert isinstance(device, Sensor)
    assert device.channels
    device.read()
    device.close()


@pytest.mark.parametrize("kind", ["led", "motor", "terminal"])
def test_a_built_in_output_is_one_and_says_its_role_in_its_class(kind: str) -> None:
    module = registry.load(kind)
    assert module.device.role in {"display", "motor"}
    device = module.device(module.options(**MINIMAL.get(kind, {})), FakePorts())
    assert isinstance(device, Output)
    device.rest()


def test_a_drop_in_file_is_a_kind(tmp_path: Path) -> None:
    drop(tmp_path, "counter", TWENTY_LINES)
    assert "counter" in registry.catalogue(tmp_path)
    module = registry.load("counter", drop_in=tmp_path)
    device = module.device(module.options(first=3), FakePorts())
    assert isinstance(device, Sensor)
    assert [device.read() for _ in range(2)] == [{"count": 3}, {"count": 4}]
    assert module.summary == "Counts its own readings."
    assert module.options.__module__.startswith("_becomingone_drop_in_")


def test_a_drop_in_wins_over_a_built_in_and_is_read_anew(tmp_path: Path) -> None:
    for summary in ("One.", "Two."):
        drop(tmp_path, "host", TWENTY_LINES.replace("Counts its own readings.", summary))
        assert registry.load("host", drop_in=tmp_path).summary == summary
    assert [path.name for path in tmp_path.iterdir()] == ["host.py"]  # no cache in the user's folder


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert registry.catalogue(tmp_path / "none") == BUILT_IN
    assert registry.load("synthetic", drop_in=tmp_path / "none").kind == "synthetic"


def test_a_folder_that_must_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(DeviceError, match=r"host\.py cannot be read: Permission denied"):
        registry.load("host", drop_in=Path("/secret"))


def test_helpers_in_the_drop_in_folder_are_no_kinds(tmp_path: Path) -> None:
    for name in ("_helper", "contract", "registry", "conftest", "test_host", "Big", "a-b"):
        drop(tmp_path, name, TWENTY_LINES)
    assert registry.catalogue(tmp_path) == BUILT_IN


@pytest.mark.parametrize(
    "kind", ["", "Host", "_pace", "../etc/passwd", "os.path", "1wire", "höst", "host\n", "a-b", "test_host"]
)
def test_a_bad_name_is_refused_before_anything_is_imported(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot be a kind"):
        registry.load(kind, drop_in=tmp_path)


@pytest.mark.parametrize("kind", ["contract", "registry"])
def test_the_rooms_own_files_are_no_kinds(kind: str) -> None:
    with pytest.raises(DeviceError):
        registry.load(kind)


def test_an_unknown_kind_is_answered_with_near_and_known_ones(tmp_path: Path) -> None:
    drop(tmp_path, "microphones", TWENTY_LINES)
    with pytest.raises(DeviceError, match=r"did you mean microphone or microphones\?.*known kinds are button, cpu"):
        registry.load("microfone", drop_in=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import os\n1/0\n", r"broken\.py, line 2: ZeroDivisionError: division by zero"),
        ("\n\nimport no_such_library\n", r"broken\.py, line 3: ModuleNotFoundError: No module named"),
        ("def f(:\n", r"broken\.py, line 1: SyntaxError: "),
        ("raise SystemExit(3)\n", r"broken\.py, line 1: SystemExit: 3"),
        ("import json\n\njson.loads('{')\n", r"broken\.py, line 3: JSONDecodeError: "),
        ("class Device: ...\n", r"broken\.py: .*needs a class Options"),
        (TWENTY_LINES.replace("frozen=True, ", ""), r"broken\.py: Options must be declared as"),
        (TWENTY_LINES.replace(', extra="forbid"', ""), r"broken\.py: Options must be declared as"),
        (TWENTY_LINES.replace("class Device", "class Devise"), r"broken\.py: .*needs a class Device"),
        (TWENTY_LINES.replace("def read", "def reed"), r"broken\.py: Device needs read\(\) and close\(\)"),
    ],
)
def test_a_broken_file_is_named_with_its_line_and_cause(text: str, message: str, tmp_path: Path) -> None:
    drop(tmp_path, "broken", text)
    before = set(sys.modules)
    with pytest.raises(DeviceBrokenError, match=message) as caught:
        registry.load("broken", drop_in=tmp_path)
    assert "\n" not in str(caught.value)
    if "line" in message:
        assert not [name for name in set(sys.modules) - before if "broken" in name]


def test_everything_that_breaks_the_contract_is_named_at_once(tmp_path: Path) -> None:
    drop(tmp_path, "broken", "class Device: ...\n")
    with pytest.raises(DeviceBrokenError, match=r"needs a class Options.*; Device needs read\(\)"):
        registry.load("broken", drop_in=tmp_path)


def test_a_mended_file_works(tmp_path: Path) -> None:
    drop(tmp_path, "counter", "import no_such_library\n")
    with pytest.raises(DeviceBrokenError):
        registry.load("counter", drop_in=tmp_path)
    drop(tmp_path, "counter", TWENTY_LINES)
    assert registry.load("counter", drop_in=tmp_path).kind == "counter"


HANGING = """\
import threading

event = threading.Event()
event.wait(60)  # longer than anybody waits
"""


def test_an_import_that_does_not_return_is_given_up(tmp_path: Path) -> None:
    drop(tmp_path, "hanging", HANGING)
    with pytest.raises(DeviceBrokenError, match=r"hanging\.py, line 4: its import has not returned within 0\.2 s"):
        registry.load("hanging", drop_in=tmp_path, patience_s=0.2)
    for name in [name for name in sys.modules if name.endswith("_hanging")]:
        sys.modules.pop(name).event.set()


@pytest.mark.parametrize("text", ["raise SystemExit\n", "raise KeyboardInterrupt\n", "1/0\n", TWENTY_LINES])
def test_with_patience_it_is_the_same(text: str, tmp_path: Path) -> None:
    drop(tmp_path, "counter", text)
    if text is TWENTY_LINES:
        assert registry.load("counter", drop_in=tmp_path, patience_s=60).kind == "counter"
    else:
        with pytest.raises(DeviceBrokenError, match=r"counter\.py, line 1"):
            registry.load("counter", drop_in=tmp_path, patience_s=60)


def test_a_module_may_say_that_its_library_is_missing(tmp_path: Path) -> None:
    text = "from becomingone.errors import MissingLibraryError\nraise MissingLibraryError('pip install x')\n"
    drop(tmp_path, "needy", text)
    with pytest.raises(MissingLibraryError, match="pip install x"):
        registry.load("needy", drop_in=tmp_path)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another package's modules, named by entry points."""
    monkeypatch.syspath_prepend(tmp_path)
    drop(tmp_path, "other_counter", TWENTY_LINES)
    drop(tmp_path, "other_broken", "x = 1\nx.y\n")
    points = [
        EntryPoint("counter", "other_counter", registry.GROUP),
        EntryPoint("broken", "other_broken", registry.GROUP),
        EntryPoint("Odd", "other_counter", registry.GROUP),
    ]

    def entry_points(group: str, **wanted: str) -> list[EntryPoint]:
        assert group == registry.GROUP
        return [point for point in points if point.name == wanted.get("name", point.name)]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    return tmp_path


@pytest.mark.usefixtures("elsewhere")
def test_another_package_adds_a_kind_through_an_entry_point() -> None:
    assert registry.catalogue() == sorted([*BUILT_IN, "counter", "broken"])
    assert registry.load("counter").summary == "Counts its own readings."
    with pytest.raises(DeviceError, match=r"entry point broken = other_broken: .*other_broken\.py, line 2: Attribute"):
        registry.load("broken")


def test_a_broken_built_in_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ValueError("first\nsecond")

    monkeypatch.setattr(registry, "importlib", SimpleNamespace(import_module=fail, util=registry.importlib.util))
    with pytest.raises(DeviceError, match=r"host\.py: ValueError: first second"):
        registry.load("host")
