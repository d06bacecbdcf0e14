"""Examples that are served for real: each in a process of its own."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@contextmanager
def serving(*command: str) -> Iterator[int]:
    """The port of a process that names its place on its first line, for as long as it runs; it stops well."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=EXAMPLES.parent,
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert "http://127.0.0.1:" in said, said + (
            process.communicate(timeout=10)[0] if process.poll() else ""
        )
        yield int(said.partition("http://127.0.0.1:")[2].split("/")[0].split(",")[0])
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=10)[0]
        assert process.returncode == 0, said
        assert "Traceback" not in said
    finally:
        process.kill()
        process.communicate()


def serving_example(name: str) -> AbstractContextManager[int]:
    """An example under the command line."""
    return serving("-m", "onionskin", "serve", str(EXAMPLES / name), "--bind", "127.0.0.1:0")


def ask(
    port: int, path: str = "/", method: str = "GET", **request: Any
) -> tuple[http.client.HTTPResponse, bytes]:
    """A response, and its body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, **request)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body
