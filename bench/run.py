#!/usr/bin/env python3
"""Runs the benchmark: `python3 bench/run.py CASES=hello,echo SECONDS=2 ROUNDS=3`; see README.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from subprocess import CalledProcessError

from harness import noise, store
from harness.cases import CASES
from harness.idle import measure_idle
from harness.measure import Measurement, measure
from harness.places import PROJECT, RESULTS
from harness.prepare import Missing, prepare
from harness.report import case_report, goals_report
from harness.servers import SERVERS
from harness.summary import CaseResult

ATTEMPTS = 3  # of one measurement, while others use the machine


def main() -> None:
    options = parse(sys.argv[1:])
    try:
        prepare(build=not options.no_build)
    except Missing as missing:
        sys.exit(str(missing))
    except CalledProcessError as failure:
        sys.exit(f"failed: {' '.join(str(word) for word in failure.cmd)}")
    for name in options.cases:
        result = run_case(name, options)
        store.save_case(options.results, result, options.seconds, options.rounds)
        print(case_report(result), flush=True)
    report = store.write_report(options.results).resolve()
    results, _ = store.load_cases(options.results)
    print(goals_report(results))
    print(f"\nwritten: {report.relative_to(PROJECT) if report.is_relative_to(PROJECT) else report}")


def run_case(name: str, options: argparse.Namespace) -> CaseResult:
    """The servers in turn, round after round."""
    measurements = []
    for turn in range(options.rounds):
        for server in options.servers or CASES[name].servers:
            measurement = run_one(name, server, turn, options)
            measurements.append(measurement)
            say(measurement)
    return CaseResult(name, measurements)


def run_one(name: str, server: str, turn: int, options: argparse.Namespace) -> Measurement:
    """The quietest of a few attempts."""
    if not CASES[name].under_load:
        return measure_idle(name, server, turn)
    attempts: list[Measurement] = []
    for _ in range(ATTEMPTS if options.patience else 1):
        noise.wait_for_quiet(options.patience)
        attempts.append(measure(name, server, turn, options.seconds))
        if attempts[-1].problems or not noise.is_noisy(attempts[-1].figures):
            return attempts[-1]
    return min(
        attempts, key=lambda attempt: attempt.figures["foreign_percent"] + attempt.figures["steal_percent"]
    )


def say(measurement: Measurement) -> None:
    figures = measurement.figures
    parts = [f"{measurement.case} {measurement.round + 1}", f"{measurement.server:<18}"]
    if "cpu_us" in figures:
        parts += [f"{figures['cpu_us']:7.1f} µs", f"{figures['requests_per_second']:9,.0f}/s"]
        parts += ["(noisy)"] if noise.is_noisy(figures) else []
    elif figures:
        parts.append(f"{figures['pss_above_mib']:7.1f} MiB above the interpreter")
    print("  ".join([*parts, *measurement.problems]), file=sys.stderr, flush=True)


def parse(words: list[str]) -> argparse.Namespace:
    """Both `--cases hello` and make's way, `CASES=hello`; an empty value is the default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=names_of(CASES), help=f"of: {', '.join(CASES)}", metavar="A,B")
    parser.add_argument("--servers", type=names_of(SERVERS), help="instead of the case's own", metavar="A,B")
    parser.add_argument("--seconds", type=int, default=4, help="of load in each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--patience", type=float, default=45, help="seconds to wait for a quiet machine; 0: do not"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder to write to")
    parser.add_argument("--no-build", action="store_true", help="use the onionskin that bench/venv has")
    arguments = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name.isupper():
            arguments += [f"--{name.lower()}={value}"] if value else []
        else:
            arguments.append(word)
    options = parser.parse_args(arguments)
    options.cases = options.cases or list(CASES)
    return options


def names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """A comma-separated list of known names."""

    def names(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",") if name.strip()]
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return chosen

    return names


if __name__ == "__main__":
    main()
