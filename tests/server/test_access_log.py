"""The access log of a real server: rotated, started wrong, written while Python is busy."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from server.process import HERE, ONIONSKIN, wait_until


def lines(path, count):
    """The lines of a log, once there are `count`."""
    wait_until(lambda: path.exists() and path.read_text().count("\n") >= count)
    return path.read_text().splitlines()


def test_a_line_in_json_tells_of_the_call_into_python(serve, tmp_path):
    log = tmp_path / "access.log"
    server = serve("--access-log", str(log), "--access-log-format", "json", "--layer", "request_id")
    with server.client() as client:
        response = client.get("/environ_as_json?a=1", "User-Agent: test")
    (line,) = lines(log, 1)
    told = json.loads(line)
    assert told["target"] == "/environ_as_json?a=1"
    assert told["status"] == 200
    assert told["body_bytes"] == len(response.body)
    assert told["request_id"] == response.header("X-Request-Id")
    assert told["user_agent"] == "test"
    assert told["pid"] == server.popen.pid
    assert 0 <= told["queue"] <= told["first_byte"] <= told["duration"] < 10
    assert "abort" not in told


def test_what_was_read_of_a_request_is_in_the_log(serve, tmp_path):
    log = tmp_path / "access.log"
    server = serve("--access-log", str(log), "--access-log-format", "{method} {received_bytes}")
    with server.client() as client:
        client.request("POST", "/echo", body=b"12345")
        assert client.response().status == 200
        assert client.get("/hello").status == 200
    assert lines(log, 2) == ["POST 5", "GET 0"]


def test_the_file_is_opened_anew_on_sigusr1(serve, tmp_path):
    log, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    server = serve("--access-log", str(log), "--access-log-format", "{path}")
    server.get("/first")
    lines(log, 1)
    log.rename(moved)
    server.signal(signal.SIGUSR1)
    wait_until(log.exists)
    server.get("/second")
    assert lines(log, 1) == ["/second"]
    assert moved.read_text() == "/first\n"


def test_sigusr1_does_not_end_a_server_without_a_log(serve):
    server = serve()
    server.get("/hello")
    server.signal(signal.SIGUSR1)
    assert server.get("/hello") == b"hello"


def test_what_was_answered_is_in_the_log_after_a_stop(serve, tmp_path):
    log = tmp_path / "access.log"
    server = serve("--access-log", str(log), "--access-log-format", "{path} {status}")
    server.get("/last")
    assert server.stop() == 0
    assert log.read_text() == "/last 200\n"


def test_a_full_disk_is_said_once_and_serving_goes_on(serve):
    server = serve("--access-log", "/dev/full")
    for _ in range(3):
        assert server.get("/hello") == b"hello"
    server.wait_for_line(r"the access log cannot be written, its lines are lost until it can: ")
    assert server.stop() == 0
    assert server.log.count("access log") == 1


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--access-log-format", "{statsu}", "--access-log-format: {statsu} is not known; the names are time"),
        ("--access-log", "/nowhere/access.log", 'access_log: "/nowhere/access.log" cannot be opened'),
        ("--access-log-skip", "static", 'access_log_skip: "static" matches no path'),
    ],
)
def test_what_is_wrong_is_refused_at_start_up(option, value, said):
    command = [*ONIONSKIN, "serve", "applications.py", "--bind", "127.0.0.1:0"]
    log = [] if option == "--access-log" else ["--access-log", "/dev/null"]
    outcome = subprocess.run(
        [*command, *log, option, value], cwd=HERE, check=False, capture_output=True, text=True, timeout=20
    )
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert outcome.stderr.count("\n") == 1
