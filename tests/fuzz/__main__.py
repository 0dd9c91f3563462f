"""Fuzz the parsers of `becomingone.wire`: ``scripts/fuzz [--runs N] [--seconds S] [--target NAME]... [--keep]``."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from . import corpus
from .limits import TooCostlyError, check_traced
from .targets import Target, all_targets

RUNS = 10_000_000
SLICE = 100_000
LONGEST = 4096
"""Bytes of an input; what grows with the length is tested at 1 MiB in `test_corpus`."""

OPTIONS = (
    f"-max_len={LONGEST}",
    "-mutate_depth=1",
    "-timeout=20",
    "-rss_limit_mb=1024",
    "-print_final_stats=1",
)
DONE = re.compile(r"^#\d+\s+DONE\s+cov: (\d+) ft: (\d+)", re.MULTILINE)
BEGUN = re.compile(r"^#\d+\s+INITED\s+cov: (\d+) ft: (\d+)", re.MULTILINE)
RUN = re.compile(r"^stat::number_of_executed_units:\s+(\d+)", re.MULTILINE)


@dataclass
class Progress:
    """What a target has been through."""

    target: Target
    folder: Path
    runs: int = 0
    seconds: float = 0.0
    coverage: list[tuple[int, int]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def fuzz(self, runs: int, seconds: float | None, seed: int) -> None:
        """Run one process of libFuzzer, unless there is a finding already: it would only be found again."""
        if self.findings:
            return
        report = self.folder / f"report-{seed}.json"
        options = [*OPTIONS, f"-runs={runs}", f"-seed={seed}", f"-artifact_prefix={self.folder}/"]
        if seconds is not None:
            options.append(f"-max_total_time={max(1, round(seconds))}")
        words = [sys.executable, "-m", f"{__package__}.child", self.target.name, str(report), *options]
        done = subprocess.run(
            [*words, str(self.folder / "corpus")], check=False, capture_output=True, text=True, errors="replace"
        )
        self._note(done.stderr, report)
        if done.returncode:
            self._find(done.stderr)

    def _note(self, log: str, report: Path) -> None:
        for pattern in (BEGUN, DONE):
            if found := pattern.search(log):
                self.coverage.append((int(found[1]), int(found[2])))
        if found := RUN.search(log):
            self.runs += int(found[1])
        if found := re.search(r"in (\d+) second\(s\)", log):
            self.seconds += int(found[1])
        if report.exists():
            self.outcomes.update(json.loads(report.read_text()))

    def _find(self, log: str) -> None:
        artifacts = [file for file in self.folder.iterdir() if re.match(r"(crash|timeout|oom|leak)-", file.name)]
        for file in artifacts:
            self.findings.append(f"{file.name.partition('-')[0]}: {file.read_bytes().hex()}")
        traceback = log.partition("Uncaught Python exception")[2].strip().splitlines()
        lines = [line for line in traceback if line.strip() and not line.startswith("==")][:12]
        self.findings.append("\n".join(lines or log.strip().splitlines()[-12:]))

    def inputs(self) -> list[bytes]:
        """What libFuzzer has kept."""
        return [file.read_bytes() for file in (self.folder / "corpus").iterdir()]

    def measure(self) -> None:
        """Record the allocations of every input that was kept."""
        for data in self.inputs():
            try:
                check_traced(self.target, data)
            except TooCostlyError as error:
                self.findings.append(f"{error}: {data.hex()}")

    def row(self) -> str:
        """The target's line of the table."""
        cov = [f"{first}" for first, _ in self.coverage] or ["-"]
        features = [f"{second}" for _, second in self.coverage] or ["-"]
        taken = 100 * self.outcomes["taken"] / max(1, self.outcomes.total())
        speed = self.runs / max(1.0, self.seconds)
        return (
            f"{self.target.name:16} {self.runs:>10,} {speed:>8,.0f} {cov[0]:>5} → {cov[-1]:<5}"
            f" {features[0]:>5} → {features[-1]:<5} {len(self.inputs()):>6} {taken:>6.1f} % {len(self.outcomes):>8}"
            f" {'FOUND' if self.findings else 'none':>8}"
        )


HEAD = (
    f"{'target':16} {'runs':>10} {'runs/s':>8} {'coverage':>13} {'features':>13} {'inputs':>6} {'taken':>8}"
    f" {'outcomes':>8} {'findings':>8}"
)


def main() -> int:
    """Fuzz, say what came of it, and keep the inputs if asked to."""
    options = _options()
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: atheris is not installed: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    os.nice(10)
    targets = all_targets()
    chosen = [targets[name] for name in options.target or targets]
    with tempfile.TemporaryDirectory(prefix="becomingone-fuzz-") as folder:
        parts = [Progress(target, Path(folder) / target.name) for target in chosen]
        for part in parts:
            corpus.unpack([*corpus.load(part.target.name), *part.target.seeds()], part.folder / "corpus")
        _fuzz(parts, options)
        print(HEAD)
        for part in parts:
            part.measure()
            print(part.row())
        if options.keep:
            for part in parts:
                corpus.save(part.target.name, corpus.distil(part.target, part.inputs()))
    findings = [f"{part.target.name}: {finding}" for part in parts for finding in part.findings]
    print(f"{sum(part.runs for part in parts):,} runs, {len(findings)} findings", *findings, sep="\n")
    return 1 if findings else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz", description="Fuzz the parsers of what others send.")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"executions over all targets (default: {RUNS:,})")
    parser.add_argument("--seconds", type=float, help="end after this many seconds, whatever was done until then")
    parser.add_argument("--target", action="append", choices=sorted(all_targets()), help="only this one; repeatable")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes at the same time")
    parser.add_argument("--keep", action="store_true", help="put what was found worth keeping into tests/fuzz/corpus")
    return parser.parse_args()


def _fuzz(parts: list[Progress], options: argparse.Namespace) -> None:
    """Divide the runs among the targets by their shares and each target's into slices, which take turns."""
    shares = sum(part.target.share for part in parts)
    slices: list[tuple[int, int, Progress, int]] = []
    for number, part in enumerate(parts):
        left, turn = -(-options.runs * part.target.share // shares), 0
        while left > 0:
            slices.append((turn, number, part, min(left, SLICE)))
            left, turn = left - SLICE, turn + 1
    slices.sort(key=lambda part: part[:2])
    seconds = None if options.seconds is None else options.seconds * options.jobs / len(slices)
    with ThreadPoolExecutor(options.jobs) as pool:
        waiting = [pool.submit(part.fuzz, runs, seconds, seed) for seed, (*_, part, runs) in enumerate(slices, 1)]
        for number, future in enumerate(waiting, 1):
            future.result()
            runs = sum(part.runs for part in parts)
            print(f"fuzz: slice {number} of {len(waiting)}, {runs:,} runs so far", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
