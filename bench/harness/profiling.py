"""Where a server's CPU time goes: `perf record` on it under load, the top symbols into a file."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import threading

from harness.cases import CASES
from harness.load import run_load
from harness.measure import wrong_answers
from harness.places import LOGS, RESULTS, WORK
from harness.process import Server
from harness.servers import SERVERS

FREQUENCY = 1_999  # samples a second; not a multiple of the timer's, so that the two do not march in step
TOP = 60
REPORT = ("--stdio", "--percent-limit", "0.2")


def main() -> None:
    parser = argparse.ArgumentParser(prog="profile.sh", description=__doc__)
    parser.add_argument("--server", default="onionskin", choices=SERVERS)
    parser.add_argument("--case", default="hello", choices=[name for name in CASES if CASES[name].under_load])
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    if not shutil.which("perf"):
        sys.exit("missing: linux-perf. On Debian: apt-get install linux-perf")
    LOGS.mkdir(parents=True, exist_ok=True)
    RESULTS.mkdir(exist_ok=True)
    stem = f"profile-{options.case}" + ("" if options.server == "onionskin" else f"-{options.server}")
    target = RESULTS / f"{stem}.txt"
    target.write_text(profile(options.server, options.case, options.seconds))
    print(target.read_text())
    print(f"written: {target.relative_to(RESULTS.parent.parent)}")


def profile(server: str, case: str, seconds: int) -> str:
    event = working_event()
    recording = str(WORK / "perf.data")
    with Server(server, CASES[case].app_of(server)) as running:
        if problems := wrong_answers(running.port, CASES[case]):
            sys.exit(f"{server}: {'; '.join(problems)}")
        load = threading.Thread(target=run_load, args=(CASES[case], running.port, seconds + 2))
        load.start()
        threading.Event().wait(1)  # the warm-up
        pids = ",".join(str(pid) for pid in running.pids())
        record = [
            "perf",
            "record",
            "--quiet",
            "-e",
            event,
            "-F",
            str(FREQUENCY),
            "-p",
            pids,
            "-o",
            recording,
        ]
        subprocess.run([*record, "--", "sleep", str(seconds)], check=True)
        load.join()
        head = (
            f"{server}, {case}: {seconds} s of `{event}` at {FREQUENCY} samples a second, of all its threads"
        )
        return "\n\n".join([head, table(recording, "dso"), table(recording, "dso,symbol")]) + "\n"


def working_event() -> str:
    """Cycles, or the clock where the machine has no counters (a virtual one).

    `perf record` takes the clock by itself then, but does not say so; `perf stat` does.
    """
    trial = ["perf", "stat", "-x", ",", "-e", "cycles", "--", "true"]
    counted = subprocess.run(trial, capture_output=True, text=True).stderr
    return "cpu-clock" if "not supported" in counted or "not counted" in counted else "cycles"


def table(recording: str, sort: str) -> str:
    command = ["perf", "report", "-i", recording, *REPORT, "--sort", sort]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.rstrip(" -") for line in report.splitlines() if line.strip() and not line.startswith("#")]
    return "\n".join([f"by {sort}", *lines[:TOP]])


if __name__ == "__main__":
    main()
