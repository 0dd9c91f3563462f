"""What differs between two configurations is found, each field by its name, and nothing else is."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from becomingone.config.loader import digest
from becomingone.config.marks import fields
from becomingone.node.changes import Changes, changes
from becomingone.node.config import NodeConfig

KEYS = ["".join(f"{(7 * i + shift) % 256:02x}" for i in range(32)) for shift in range(3)]

BASE: dict[str, Any] = {
    "node": "kitchen",
    "inputs": [
        {"name": "leg", "kind": "synthetic", "options": {"rate_hz": 50, "frequency_hz": 0.78}},
        {"name": "arm", "kind": "synthetic", "options": {"rate_hz": 50.0}, "bands": ["stride"]},
        {"name": "load", "kind": "host", "options": {"measures": ["load"]}},
    ],
    "outputs": [{"name": "light", "kind": "terminal"}, {"name": "lamp", "kind": "terminal"}],
    "bands": {"stride": {"frequency_hz": 0.78, "tau_s": 1.0}, "motion": {"frequency_hz": 1.5, "tau_s": 0.5}},
    "broker": {
        "url": "mqtts://broker.example",
        "username": "kitchen",
        "password": "one",
        "ca": "a.crt",
        "certificate": "a.crt",
        "key": "a.key",
    },
    "security": {"key": KEYS[0], "hub_public_key": KEYS[0]},
}

# For every field two values that are not the base's, and where in the base it stands.
MUTATIONS: dict[str, tuple[str, list[Any]]] = {
    "node": ("node", ["hall", "attic"]),
    "hardware": ("hardware", ["pi_4", "cloud"]),
    "capability": ("capability", [0.5, 2]),
    "inputs": ("inputs", [[], BASE["inputs"][:2]]),
    "inputs[].name": ("inputs.0.name", ["toe", "knee"]),
    "inputs[].kind": ("inputs.2.kind", ["host"]),  # see below
    "inputs[].options": ("inputs.0.options.rate_hz", [51, 50.0]),
    "inputs[].prefix": ("inputs.0.prefix", ["a_", "b_"]),
    "inputs[].bands": ("inputs.0.bands", [["stride"], ["stride", "motion"]]),
    "inputs[].keep": ("inputs.0.keep", [True]),
    "inputs[].latency_s": ("inputs.0.latency_s", [0.001, 1]),
    "outputs": ("outputs", [[], BASE["outputs"][1:]]),
    "outputs[].name": ("outputs.1.name", ["bulb"]),
    "outputs[].kind": ("outputs.1.kind", ["terminal"]),
    "outputs[].options": ("outputs.1.options", [{"width": 20}, {"width": 21}]),
    "outputs[].stale_s": ("outputs.1.stale_s", [1, 3]),
    "outputs[].alone_s": ("outputs.1.alone_s", [0, 3]),
    "outputs[].band": ("outputs.1.band", ["stride", "motion"]),
    "frames_per_s": ("frames_per_s", [5, 20]),
    "health_s": ("health_s", [5, 20]),
    "drop_in": ("drop_in", ["/nowhere", "/else"]),
    "spool.max_mb": ("spool.max_mb", [1, 2]),
    "spool.sync_frames": ("spool.sync_frames", [1, 2]),
    "spool.sync_s": ("spool.sync_s", [1, 2]),
    "spool.late_per_s": ("spool.late_per_s", [1, 2]),
    "emissary.coupling": ("emissary.coupling", [0, 1]),
    "emissary.damping": ("emissary.damping", [0.5, 2]),
    "emissary.rate_hz": ("emissary.rate_hz", [10, 30]),
    "emissary.frames_per_s": ("emissary.frames_per_s", [2, 3]),
    "life.hung_s": ("life.hung_s", [10, 20]),
    "life.failed_starts": ("life.failed_starts", [3, 4]),
    "life.stable_s": ("life.stable_s", [10, 20]),
    "life.log_lines": ("life.log_lines", [10, 20]),
    "cell": ("cell", ["lab", "shed"]),
    "root": ("root", ["lab", "a/b"]),
    "bands": ("bands.extra", [{"frequency_hz": 3, "tau_s": 0.5}]),
    "bands{}.frequency_hz": ("bands.stride.frequency_hz", [0.8, 0.7]),
    "bands{}.tau_s": ("bands.stride.tau_s", [1.1, 0.9]),
    "bands{}.lag_s": ("bands.stride.lag_s", [10.0, 11.0]),
    "bands{}.coherence_tau_s": ("bands.stride.coherence_tau_s", [50, 60]),
    "kairos.p_false": ("kairos.p_false", [0.01, 0.1]),
    "logging.level": ("logging.level", ["DEBUG", "ERROR"]),
    "broker.url": ("broker.url", ["mqtts://other.example", "wss://broker.example"]),
    "broker.username": ("broker.username", ["other", "third"]),
    "broker.password": ("broker.password", ["two", "three"]),
    "broker.keepalive_s": ("broker.keepalive_s", [5, 6]),
    "broker.ca": ("broker.ca", ["b.crt", None]),
    "broker.certificate": ("broker.certificate", ["b.crt", "c.crt"]),
    "broker.key": ("broker.key", ["b.key", "c.key"]),
    "broker.protocol": ("broker.protocol", ["5", "3.1.1"]),
    "security.key": ("security.key", KEYS[1:]),
    "security.hub_public_key": ("security.hub_public_key", KEYS[1:]),
    "clock.sync": ("clock.sync", [False]),
    "clock.sigma_s": ("clock.sigma_s", [1, 2]),
    "state_dir": ("state_dir", ["/tmp/a", "/tmp/b"]),
}
SAME_KIND = {"inputs[].kind", "outputs[].kind"}  # another kind has other options: it has a test of its own
SECRET = {"broker.password", "security.key"}


def changed(path: str, value: Any) -> dict[str, Any]:
    content = copy.deepcopy(BASE)
    *above, last = path.split(".")
    here: Any = content
    for key in above:
        here = here[int(key)] if isinstance(here, list) else here.setdefault(key, {})
    here[int(last) if isinstance(here, list) else last] = value
    return content


def config(content: dict[str, Any]) -> NodeConfig:
    return NodeConfig.model_validate(content)


def test_every_field_has_its_mutation() -> None:
    assert list(MUTATIONS) == [field.path for field in fields(NodeConfig)]


@pytest.mark.parametrize("field", list(fields(NodeConfig)), ids=lambda field: field.path)
def test_every_single_change_is_found_and_nothing_else(field: Any) -> None:
    where, values = MUTATIONS[field.path]
    for value in values:
        old, new = config(BASE), config(changed(where, value))
        found = changes(old, new)
        if field.path in SAME_KIND:
            assert not found
            continue
        assert found.restart if field.restart else found.hot, (where, value)
        assert not (found.hot if field.restart else found.restart)
        top = where.split(".", maxsplit=1)[0]
        assert all(path == top or path.startswith((f"{top}.", f"{top}[")) for path in found.hot + found.restart)
        assert (digest(old) == digest(new)) == (field.path in SECRET)


@st.composite
def configs(draw: st.DrawFn) -> tuple[NodeConfig, set[str]]:
    """A configuration with any of the changes, and which of the fields that have a plain path are not the base's."""
    content = copy.deepcopy(BASE)
    picked = draw(st.sets(st.sampled_from(sorted(PLAIN)), max_size=6))
    for name in sorted(picked):
        where, values = MUTATIONS[name]
        *above, last = where.split(".")
        here: Any = content
        for key in above:
            here = here.setdefault(key, {})
        here[last] = draw(st.sampled_from(values))
    return config(content), picked


PLAIN = {
    path for path in MUTATIONS if "[" not in path and "{" not in path and path not in ("bands", "inputs", "outputs")
}


@given(one=configs(), other=configs())
@settings(max_examples=40, deadline=None)
def test_what_differs_is_what_is_found(one: tuple[NodeConfig, set[str]], other: tuple[NodeConfig, set[str]]) -> None:
    (old, ours), (new, theirs) = one, other
    assert changes(old, old) == changes(new, new) == Changes()
    assert changes(old, NodeConfig.model_validate(old)) == Changes()
    there, back = changes(old, new), changes(new, old)
    assert (set(there.hot), set(there.restart)) == (set(back.hot), set(back.restart))
    found = set(there.hot + there.restart)
    assert ours ^ theirs <= found <= ours | theirs
    if digest(old) != digest(new):
        assert found
    else:
        assert found <= SECRET


OPTIONS = st.dictionaries(
    st.sampled_from(["a", "b", "Any thing"]),
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 2) | st.floats() | st.sampled_from(["x", SecretStr("s")]),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
        max_leaves=4,
    ),
    max_size=3,
)


class Section(BaseModel):
    options: dict[str, Any]


@given(old=OPTIONS, new=OPTIONS)
@settings(max_examples=60, deadline=None)
def test_options_of_any_kind_differ_where_their_digests_do(old: dict[str, Any], new: dict[str, Any]) -> None:
    one, other = Section(options=old), Section(options=new)
    assert not changes(one, Section(options=copy.deepcopy(old)))
    assert bool(changes(one, other)) == (digest(one) != digest(other))  # there is one secret only


def test_what_is_no_number_is_itself_and_a_sign_counts() -> None:
    def of(value: object) -> Section:
        return Section(options={"a": [value]})

    assert not changes(of(float("nan")), of(float("nan")))
    for one, other in ((float("nan"), 1.0), (0.0, -0.0), (1, 1.0), (1, True), ("1", 1), (None, "")):
        assert changes(of(one), of(other)).restart == ("options.a",)


def test_devices_are_matched_by_their_names() -> None:
    new = copy.deepcopy(BASE)
    new["inputs"][0]["options"]["rate_hz"] = 60
    new["inputs"][2] = {"name": "hand", "kind": "synthetic"}
    new["outputs"][1]["kind"] = "terminal"
    new["outputs"][1]["options"] = {"width": 30}
    new["health_s"] = 5
    new["bands"]["motion"]["tau_s"] = 0.6
    new["bands"]["slow"] = {"frequency_hz": 0.1, "tau_s": 5}
    assert changes(config(BASE), config(new)) == Changes(
        hot=(
            "inputs[leg].options.rate_hz",
            "inputs[load]",
            "inputs[hand]",
            "outputs[lamp].options.width",
            "health_s",
        ),
        restart=("bands.motion.tau_s", "bands.slow"),
    )


def test_another_kind_and_another_order() -> None:
    new = copy.deepcopy(BASE)
    new["inputs"][2] = {"name": "load", "kind": "synthetic"}
    new["inputs"] = new["inputs"][::-1]
    assert changes(config(BASE), config(new)).hot == ("inputs", "inputs[load].kind", "inputs[load].options.measures")


def test_a_secret_that_differs_is_found_and_not_shown() -> None:
    new = copy.deepcopy(BASE)
    new["broker"]["password"] = "hunter2"
    found = changes(config(BASE), config(new))
    assert found == Changes(restart=("broker.password",))
    assert "hunter2" not in repr(found)


def test_a_field_that_nobody_has_marked_requires_a_restart() -> None:
    assert changes(Section(options={"a b": 1}), Section(options={})) == Changes(restart=("options['a b']",))
