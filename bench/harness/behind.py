"""The server behind those that pass requests on: an nginx beside the load, so that its work is not theirs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

from harness.places import FLOOR, HOST, LOAD_CORE, LOGS, WORK


class Behind:
    """A context in which it runs; servers find its port in ``BEHIND``."""

    def __enter__(self) -> Behind:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        path = WORK / "behind.conf"
        text = (FLOOR / "behind.conf").read_text()
        path.write_text(text.replace("@PORT@", str(port)).replace("@WORK@", str(WORK)))
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        command = ["taskset", "-c", str(LOAD_CORE), program, "-c", str(path), "-p", str(WORK)]
        self.process = subprocess.Popen([*command, "-e", f"{LOGS}/behind-errors.log"])
        os.environ["BEHIND"] = str(port)
        for _ in range(200):
            try:
                socket.create_connection((HOST, port), timeout=3).close()
                break
            except OSError:
                time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        os.environ.pop("BEHIND", None)
        self.process.terminate()
        self.process.wait(10)
