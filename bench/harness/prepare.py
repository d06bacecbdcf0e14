"""What a run needs: programs of the system, the virtual environment with the peers, the floor, our wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from harness.cases import STATIC_FILES
from harness.places import BENCH, BIN, FLOOR, LOGS, PROJECT, PYTHON, STATIC, VENV, WORK

# program -> Debian's package
PROGRAMS = {
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "curl": "curl",
    "openssl": "openssl",
    "nginx": "nginx",
    "taskset": "util-linux",
    "cc": "gcc",
}


class Missing(Exception):
    """Something that only the user can install."""


def prepare(build: bool) -> None:
    check_programs(build)
    LOGS.mkdir(parents=True, exist_ok=True)
    install_peers()
    compile_floor()
    make_files()
    make_certificate()
    if build:
        install_onionskin()


def check_programs(build: bool) -> None:
    missing = [package for program, package in PROGRAMS.items() if not find_program(program)]
    if not peers_are_installed() and "gcc" not in missing and not has_header("ev.h"):
        missing.append("libev-dev")  # bjoern is built from its source
    if missing:
        raise Missing(f"missing: {', '.join(missing)}. On Debian: apt-get install {' '.join(missing)}")
    if build and not find_program("cargo"):
        raise Missing(
            "missing: cargo (https://rustup.rs), to build the wheel; --no-build uses the installed one"
        )


def find_program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def has_header(name: str) -> bool:
    return (
        subprocess.run(
            ["cc", "-E", "-"], input=f"#include <{name}>\n", text=True, capture_output=True
        ).returncode
        == 0
    )


def peers_are_installed() -> bool:
    """Whether the environment was made from the requirements as they are now."""
    stamp = VENV / "requirements.txt"
    return stamp.exists() and stamp.read_text() == (BENCH / "requirements.txt").read_text()


def install_peers() -> None:
    if peers_are_installed():
        return
    requirements = BENCH / "requirements.txt"
    say("installing the peers into bench/venv")
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    pip("install", "--requirement", str(requirements))
    shutil.copy(requirements, VENV)


def compile_floor() -> None:
    source, program = FLOOR / "floor.c", WORK / "floor"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-o", str(program), str(source)], check=True)


def make_files() -> None:
    STATIC.mkdir(exist_ok=True)
    for name, content in STATIC_FILES.items():
        path = STATIC / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def make_certificate() -> None:
    """Two self-signed ones: ECDSA on P-256, the usual kind today, and RSA. No load verifies them."""
    for prefix, kind in (("", ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")), ("rsa-", ("rsa:2048",))):
        key, certificate = WORK / f"{prefix}key.pem", WORK / f"{prefix}certificate.pem"
        if not key.exists():
            made = ["-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)]
            command = ["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-days", "3650", *made]
            subprocess.run(command, check=True, capture_output=True)


def install_onionskin() -> None:
    say("building onionskin in release mode, by a profile: some minutes")
    with tempfile.TemporaryDirectory() as folder:
        wheel = ["sh", str(PROJECT / "tools" / "wheel.sh"), str(BIN), "--out", folder]
        subprocess.run(wheel, cwd=PROJECT, check=True)
        pip("install", "--force-reinstall", *(str(wheel) for wheel in Path(folder).glob("*.whl")))


def pip(*arguments: str) -> None:
    subprocess.run([str(PYTHON), "-m", "pip", "--quiet", *arguments], check=True)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
