"""A systemd of a test's own: a user's manager, among processes, mounts and cgroups of its own.

It takes root. Where it can't be had the test is skipped.
"""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.process import PATIENCE, wait_until

if TYPE_CHECKING:
    from typing_extensions import Self

MANAGER = Path("/lib/systemd/systemd")
TARGETS = ("basic", "shutdown", "sockets", "timers", "paths")
SCRIPT = """
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/manager
echo $$ > /sys/fs/cgroup/manager/cgroup.procs
# By this folder programs know that systemd runs.
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
# Not as the first of its processes: that would be the system's manager.
"$0" --user --unit=basic.target --default-standard-output=null
exit $?
"""


class Systemd:
    """A running manager, whose units are the files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.units, self.runtime = folder / "units", folder / "run"
        self.cgroup = hierarchy() / f"onionskin-test-{os.getpid()}"
        self.popen: subprocess.Popen[bytes] | None = None

    @property
    def version(self) -> int:
        """The number of the version."""
        shown = subprocess.run([MANAGER, "--version"], capture_output=True, text=True, check=True).stdout
        return int(shown.split()[1])

    def __enter__(self) -> Self:
        for folder in (self.units, self.runtime, self.cgroup):
            folder.mkdir(mode=0o700)
        for target in TARGETS:
            (self.units / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        apart = ["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--cgroup"]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.runtime),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "SYSTEMD_UNIT_PATH": str(self.units),
            # Applications change within a second here, which the compiled ones would not notice.
            "PYTHONDONTWRITEBYTECODE": "1",
        }

        def enter() -> None:
            (self.cgroup / "cgroup.procs").write_text(str(os.getpid()))

        self.popen = subprocess.Popen(
            ["unshare", *apart, "bash", "-euc", SCRIPT, MANAGER],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=enter,
        )
        popen = self.popen
        try:
            wait_until(lambda: popen.poll() is not None or self.answers())
        except BaseException:
            self.end()
            raise
        if popen.poll() is not None:
            assert popen.stderr is not None
            said = popen.stderr.read().decode().strip()
            self.end()
            pytest.skip(f"no systemd can be started here: {said}")
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Ends it with all that it has started."""
        if self.popen is not None:
            self.popen.kill()
            self.popen.wait(PATIENCE)
            if self.popen.stderr is not None:
                self.popen.stderr.close()
        wait_until(self._is_empty)

    def _is_empty(self) -> bool:
        folders = [folder for folder, *_ in os.walk(self.cgroup, topdown=False)]
        with suppress(OSError):
            for folder in folders:
                Path(folder).rmdir()
        return not self.cgroup.exists()

    def answers(self) -> bool:
        """Whether it is up."""
        return (self.runtime / "systemd" / "private").exists() and self.ask("is-system-running") == "running"

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command among its processes."""
        assert self.popen is not None
        pid = self.popen.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        entered = ["nsenter", "-t", children[0], "--pid", "--mount", "--cgroup"] if children else ["false"]
        told = ["env", f"XDG_RUNTIME_DIR={self.runtime}", *command]
        return subprocess.run([*entered, *told], capture_output=True, text=True, timeout=30)

    def ask(self, *command: str) -> str:
        """What `systemctl` answers."""
        return self.inside("systemctl", "--user", *command).stdout.strip()

    def does(self, *command: str) -> None:
        """What `systemctl` must do."""
        done = self.inside("systemctl", "--user", *command)
        assert done.returncode == 0, done.stderr

    def state(self, unit: str) -> dict[str, str]:
        """Some of what it knows of a unit."""
        names = "ActiveState,MainPID,StatusText,NRestarts"
        lines = self.ask("show", unit, "-p", names).splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}


def hierarchy() -> Path:
    """Where the cgroups of version 2 are."""
    if os.geteuid() != 0 or not MANAGER.exists():
        pytest.skip("a systemd of its own takes root, and an installed one")
    mounts = re.findall(r"^\S+ (\S+) cgroup2 rw", Path("/proc/mounts").read_text(), re.MULTILINE)
    if not mounts:
        pytest.skip("there are no cgroups of version 2 that can be written to")
    return Path(mounts[-1])
