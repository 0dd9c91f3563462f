"""``becomingone sim``: what it prints, what it refuses, and that its traces can be replayed."""

import json

import pytest

from becomingone.cli import main
from becomingone.cli.exits import Exit


def told(capsys, *words):
    code = main(["sim", *words])
    out, err = capsys.readouterr()
    return code, out, err


def report(capsys, *words):
    code, out, _ = told(capsys, "run", "--json", *words)
    assert code == Exit.DONE
    (line,) = out.splitlines()
    return json.loads(line)


def test_a_calm_run(capsys):
    came = report(capsys, "--nodes", "3", "--duration", "10", "--seed", "9")
    assert came["simulation"] is True
    assert (came["nodes"], came["nodes_configured"], came["states"]) == (3, 3, {"ready": 3})
    assert (came["connects"], came["attempts"]) == (4, 4)
    assert (came["dropped"], came["dropped_reasons"]) == (0, {})
    # For a second after its start a hub takes nothing that might be older than itself.
    assert came["refused_reasons"] == {"before_start": came["refused"]}
    assert came["frames"] + came["refused"] == pytest.approx(3 * 100, abs=6)
    assert came["frames"] > 250
    assert came["order"] > 0.9
    assert came["virtual_s"] == 10.0
    assert came["node_seconds_per_s"] == pytest.approx(3 * 10.0 / came["wall_s"], rel=0.01)
    assert len(came["digest"]) == 32
    assert came["seed"] == 9
    assert came == report(capsys, "--nodes", "3", "--duration", "10", "--seed", "9") | {
        name: came[name] for name in ("wall_s", "cpu_s", "node_seconds_per_s")
    }


def test_faults_are_counted(capsys, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        """
        title: a hub that dies and a broker that forgets
        faults:
          - {kind: broker_crash, at_s: 4, lasts_s: 1}
          - {kind: kill, clients: [hub], at_s: 8, lasts_s: 1}
        network:
          paths:
            - clients: ["n*"]
              up: {corrupt: 0.05}
        """
    )
    came = report(capsys, "--nodes", "2", "--duration", "14", "--faults", str(plan))
    assert came["faults"] == "a hub that dies and a broker that forgets"
    assert came["events"]["crash"] == came["events"]["restart"] == 1
    assert came["connects"] == 2 * 3 + 1
    assert came["nodes"] == 2
    assert came["refused_reasons"]["forged"] > 0
    assert came["dropped_reasons"]["node: link down"] > 0
    assert 100 < came["frames"] < 280
    unsealed = report(capsys, "--nodes", "2", "--duration", "14", "--faults", str(plan), "--unsealed")
    assert "forged" not in unsealed["refused_reasons"]


def test_a_scenario_whose_live_devices_are_exchanged(capsys):
    came = report(capsys, "home", "--duration", "2")
    assert came["nodes_configured"] == 6
    assert came["exchanged_devices"] == [
        "kitchen/host (host)",
        "desk/host (host)",
        "desk/ears (microphone)",
        "cloud/host (host)",
    ]
    assert came["frames"] > 0
    few = report(capsys, "home", "--duration", "1", "--nodes", "2")
    assert (few["nodes_configured"], few["exchanged_devices"]) == (2, [])
    many = report(capsys, "home", "--duration", "1", "--nodes", "8")
    assert many["nodes_configured"] == 8
    assert many["connects"] == 9


def test_for_people(capsys):
    code, out, err = told(capsys, "run", "--nodes", "2", "--duration", "2")
    assert (code, err) == (Exit.DONE, "")
    assert out.startswith("a simulation in virtual time, seed 1: nothing goes wrong\n")
    assert "2 of 2 ready" in out
    assert "node s/s" in out


@pytest.mark.parametrize("payloads", [[], ["--payloads"]])
def test_a_trace_is_replayed(capsys, tmp_path, payloads):
    trace = tmp_path / "trace.jsonl"
    came = report(
        capsys, "--nodes", "2", "--duration", "5", "--faults", "storm", "--trace", str(trace), "--seed", "4", *payloads
    )
    lines = trace.read_text().splitlines()
    assert len(lines) == 1 + sum(came["events"].values())
    code, out, _ = told(capsys, "replay", str(trace), "--json")
    again = json.loads(out)
    assert code == Exit.DONE
    assert again == {
        "simulation": True,
        "same": True,
        "lines": len(lines),
        "digest": came["digest"],
        "difference": None,
    }


def test_a_trace_that_was_tampered_with(capsys, tmp_path):
    trace = tmp_path / "trace.jsonl"
    report(capsys, "--nodes", "1", "--duration", "2", "--trace", str(trace))
    lines = trace.read_text().splitlines(keepends=True)
    lines[20] = lines[20].replace('"t":', '"t":1')
    trace.write_text("".join(lines))
    code, out, _ = told(capsys, "replay", str(trace))
    assert code == Exit.FAILED
    assert out.startswith('line 21 differs: it was {"t":1')
    trace.write_text("".join(lines[:20]))
    code, out, _ = told(capsys, "replay", str(trace))
    assert code == Exit.FAILED
    assert "line 21 differs: it was the end" in out


def test_the_fault_plans(capsys):
    code, out, _ = told(capsys, "faults")
    assert code == Exit.DONE
    assert [line.split()[0] for line in out.splitlines()] == ["calm", "crashes", "storm", "wifi"]
    code, out, _ = told(capsys, "faults", "wifi")
    assert code == Exit.DONE
    assert "loss: 0.02" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "moon"], "there is no scenario 'moon'"),
        (["run", "--faults", "fog"], "there is no fault plan 'fog'"),
        (["run", "--set", "cell=x"], "--set cell=x: there is a scenario's setting"),
        (["run", "--duration", "1", "--trace", "/nonexistent/t"], "--trace /nonexistent/t: No such file"),
        (["replay", "/nonexistent/t"], "/nonexistent/t: No such file"),
        (["replay", __file__], "test_command.py: the first line is not a trace's"),
        (["faults", "fog"], "there is no fault plan 'fog'"),
    ],
)
def test_bad_input_is_one_line(capsys, words, says):
    code, out, err = told(capsys, *words)
    assert (code, out) == (Exit.BAD_INPUT, "")
    assert err.startswith("becomingone: ")
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["run", "--nodes", "0"], ["run", "--nodes", "x"], ["run", "--duration", "0"], []])
def test_wrong_arguments_end_with_2(capsys, words):
    with pytest.raises(SystemExit, match="2"):
        main(["sim", *words])
