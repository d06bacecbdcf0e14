"""The results on disk: a JSON file a case with every measurement, and the report over all of them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from harness.cases import CASES
from harness.measure import Measurement
from harness.places import PROJECT, PYTHON
from harness.prepare import find_program
from harness.report import whole_report
from harness.summary import CaseResult


def save_case(folder: Path, result: CaseResult, seconds: int, rounds: int) -> None:
    document = {
        "case": result.name,
        "run": {
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "revision": revision(),
            "seconds": str(seconds),
            "rounds": str(rounds),
        },
        "machine": machine(),
        "measurements": [asdict(measurement) for measurement in result.measurements],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result.name}.json").write_text(json.dumps(document, indent=1) + "\n")


def load_cases(folder: Path) -> tuple[dict[str, CaseResult], dict[str, dict[str, str]]]:
    """The cases that were measured, now or earlier, and each one's run."""
    results, runs = {}, {}
    for name in CASES:
        path = folder / f"{name}.json"
        if path.exists():
            document = json.loads(path.read_text())
            results[name] = CaseResult(name, [Measurement(**row) for row in document["measurements"]])
            runs[name] = document["run"]
    return results, runs


def write_report(folder: Path) -> Path:
    path = folder / "latest.md"
    path.write_text(whole_report(*load_cases(folder), machine()))
    return path


def machine() -> dict[str, str]:
    versions = output(str(PYTHON), "-m", "pip", "freeze", "--exclude", "onionskin").split()
    return {
        "processor": cpu_model(),
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": output(
            str(PYTHON), "-c", "import platform as p; print(p.python_implementation(), p.python_version())"
        ),
        "nginx": output(find_program("nginx") or "nginx", "-v").rpartition("/")[2],
        "peers": ", ".join(name.replace("==", " ") for name in versions if "==" in name and is_peer(name)),
    }


def is_peer(requirement: str) -> bool:
    requirements = (Path(__file__).parent.parent / "requirements.txt").read_text().splitlines()
    return requirement in requirements and not requirement.startswith("maturin")


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def revision() -> str:
    return output("git", "-C", str(PROJECT), "describe", "--always", "--dirty") or "unknown"


def output(*command: str) -> str:
    """What a program prints, wherever it prints it; nothing when there is no such program."""
    try:
        run = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return (run.stdout or run.stderr).strip() if run.returncode == 0 else ""
