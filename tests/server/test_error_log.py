"""The error log of a real server: faults, the application's words, rotation, disks and pipes that break."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from server.client import Client
from server.process import HERE, ONIONSKIN, PATIENCE, wait_until


def written(path: Path, pattern: str) -> str:
    """The first line of a file that a pattern is found in, once it is there."""

    def found() -> list[str]:
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if re.search(pattern, line)]

    wait_until(lambda: bool(found()))
    return found()[0]


def test_a_fault_of_the_application_is_in_the_file_with_its_request(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), "--layer", "request_id")
    with server.client() as client:
        response = client.get("/raises")
    assert response.status == 500
    id = response.header("X-Request-Id")
    line = written(log, "the application raised")
    assert re.fullmatch(
        rf"\d{{4}}-\S+Z \[{server.popen.pid}\] error: "
        rf"the application raised on GET /raises \(request {id}, host a\)",
        line,
    )
    assert "Traceback (most recent call last):" in log.read_text()
    assert "Traceback" not in server.log


def test_in_json_a_fault_is_one_line(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), "--error-log-format", "json", "--layer", "request_id")
    with server.client() as client:
        id = client.get("/raises").header("X-Request-Id")
    (told,) = (json.loads(line) for line in [written(log, "the application raised")])
    assert told["level"] == "error"
    assert told["message"] == "the application raised on GET /raises"
    assert told["request_id"] == id
    assert told["pid"] == server.popen.pid
    assert told["details"].startswith("Traceback (most recent call last):")


def test_json_goes_to_standard_error_too(serve):
    server = serve("--error-log-format", "json")
    with server.client() as client:
        client.get("/raises")
    told = json.loads(server.wait_for_line("the application raised"))
    assert told["details"].startswith("Traceback")


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_the_application_writes_to_its_error_stream_is_in_the_log(serve, tmp_path, form):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), "--error-log-format", form)
    with server.client() as client:
        client.request("GET", f"/hold?file={tmp_path / 'go'}")
        line = written(log, "event: holding")
        (tmp_path / "go").touch()
        assert client.response().body == b"held"
    assert "event: holding" not in server.log
    if form == "json":
        told = json.loads(line)
        assert (told["source"], told["message"].strip()) == ("application", "event: holding")
    else:
        assert line.strip() == "event: holding"


def test_what_happens_over_and_over_is_counted(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log))
    with server.client() as client:
        for _ in range(20):
            assert client.get("/raises").status == 500
    assert server.stop() == 0
    assert log.read_text().count("Traceback") == 3
    assert "error: repeated 17 times: the application raised on GET /raises" in log.read_text()


def test_only_what_is_grave_enough_is_said(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), "--error-log-level", "error")
    with server.client() as client:
        client.get("/overrun")
        client.get("/raises")
    written(log, "the application raised")
    assert "more body than its Content-Length" not in log.read_text()


def test_nothing_is_said_with_the_log_off(serve):
    server = serve("--error-log", "off")
    with server.client() as client:
        assert client.get("/raises").status == 500
    assert server.stop() == 0
    assert "Traceback" not in server.log


def test_the_file_is_opened_anew_on_sigusr1(serve, tmp_path):
    log, moved = tmp_path / "error.log", tmp_path / "error.log.1"
    server = serve("--error-log", str(log))
    with server.client() as client:
        client.get("/raises")
        written(log, "/raises")
        log.rename(moved)
        server.signal(signal.SIGUSR1)
        wait_until(log.exists)
        client.get("/overrun")
    written(log, "more body than its Content-Length")
    assert "/raises" in moved.read_text()


def test_a_disk_that_is_full_is_said_once_and_stops_nothing(serve):
    server = serve("--error-log", "/dev/full")
    with server.client() as client:
        for _ in range(2):
            assert client.get("/raises").status == 500
            server.wait_for_line("the error log cannot be written")
        assert client.get("/hello").status == 200
    assert server.stop() == 0
    assert server.log.count("cannot be written") == 1


def test_a_log_that_cannot_be_opened_stops_the_start(tmp_path):
    place = tmp_path / "no" / "error.log"
    command = [*ONIONSKIN, "serve", "applications.py:application", "--error-log", str(place)]
    ended = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2
    assert f'error_log: "{place}" cannot be opened' in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def piped(tmp_path):
    """A server whose standard error is a pipe that only the test reads: both ends of it, and a way to ask."""
    place = tmp_path / "site.sock"
    reading, writing = os.pipe()
    command = [*ONIONSKIN, "serve", "applications.py:application", "--bind", f"unix:{place}"]
    server = subprocess.Popen(command, cwd=HERE, stdin=subprocess.DEVNULL, stderr=writing)

    def ask(path: str) -> int:
        with Client(f"unix:{place}", PATIENCE) as client:
            return client.get(path).status

    try:
        announced = b""
        while b"(applications.application)\n" not in announced:
            announced += os.read(reading, 4096)
        yield reading, writing, ask
        server.terminate()
        assert server.wait(PATIENCE) == 0
    finally:
        server.kill()
        server.wait()
        for descriptor in (reading, writing):
            with contextlib.suppress(OSError):
                os.close(descriptor)


def test_who_does_not_read_standard_error_holds_nobody_up_and_what_is_lost_is_told(piped):
    reading, writing, ask = piped
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 512)
    for _ in range(3):
        assert ask("/overrun") == 200
    os.set_blocking(reading, False)
    with contextlib.suppress(BlockingIOError):
        while os.read(reading, 1 << 16):
            pass
    os.set_blocking(reading, True)
    # Another line than the one before, which was said often enough.
    assert ask("/header?name=Content-Length&value=nonsense") == 500
    assert b"standard error took nothing for a while: 3 lines were lost\n" in os.read(reading, 4096)


def test_a_pipe_that_breaks_stops_nothing(piped):
    reading, writing, ask = piped
    os.close(writing)
    os.close(reading)
    assert ask("/overrun") == 200
    assert ask("/raises") == 500
    assert ask("/hello") == 200
