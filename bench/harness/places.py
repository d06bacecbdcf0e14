"""Where things are: everything that a run leaves behind is in `bench/venv` and `bench/results`."""

from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
PROJECT = BENCH.parent
APPLICATIONS = BENCH / "applications"
FLOOR = BENCH / "floor"
RESULTS = BENCH / "results"
VENV = BENCH / "venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"
WORK = VENV / "work"
LOGS = WORK / "logs"
STATIC = WORK / "static"
HOST = "127.0.0.1"
SERVER_CORE, LOAD_CORE = 0, 1
