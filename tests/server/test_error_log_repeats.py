"""What a client can have logged: a few lines of each kind, and how many were left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.process import Server

APPLICATION = """
import onionskin as on

def raising(number):
    raise (ValueError, KeyError, TypeError)[number % 3](f"request {number}")

lines = "".join(f"def raise_{n}():\\n    raise ValueError('here')\\n" for n in range(30))
exec(compile(lines, "elsewhere.py", "exec"))

def application(environ, start_response):
    path, _, query = environ["PATH_INFO"], None, environ["QUERY_STRING"]
    if path.startswith("/kind/"):
        raising(int(path[6:]))
    if path.startswith("/place/"):
        globals()[f"raise_{path[7:]}"]()
    environ["onionskin.session"].get("visits")
    if path.startswith("/size/"):
        environ["onionskin.session"]["x"] = "x" * int(path[6:])
    start_response("200 OK", [("Content-Length", "0")])
    return []

application = on.Session(application, secret=["3fW9s0Qd7LkXz2Vb8NmRtYcU5hJ1aPeG"], secure=False)
"""
MODES = {
    "text on standard error": (),
    "JSON on standard error": ("--error-log-format", "json"),
    "text in a file": ("--error-log", "error.log"),
    "JSON in a file": ("--error-log", "error.log", "--error-log-format", "json"),
}


@pytest.fixture
def logged(serve: Callable[..., Server], tmp_path: Path) -> Callable[..., list[str]]:
    """Makes requests of a server; the messages of its log, once it has ended."""

    def logged(options: tuple[str, ...], *requests: tuple[str, str]) -> list[str]:
        (tmp_path / "site.py").write_text(APPLICATION)
        server = serve(*options, target="site.py", cwd=tmp_path)
        with server.client() as client:
            for path, cookie in requests:
                client.get(path, *([f"Cookie: {cookie}"] if cookie else []))
        assert server.stop() == 0
        file = tmp_path / "error.log"
        lines = (file.read_text() if file.exists() else server.log).splitlines()
        if "json" in options:
            lines = [json.loads(line)["message"] for line in lines if line.startswith("{")]
        return [line for line in lines if "onionskin 0" not in line]

    return logged


@pytest.mark.parametrize("mode", MODES)
def test_junk_cookies_fill_no_log(logged: Callable[..., list[str]], mode: str) -> None:
    lines = logged(MODES[mode], *((f"/page/{number}", f"sid=junk{number}") for number in range(2000)))
    about = [line for line in lines if "was not sealed here" in line]
    left_out = [line for line in about if "repeated" in line]
    assert len(about) - len(left_out) <= 3 * (1 + len(left_out))
    counted = sum(int(line.partition("repeated ")[2].split()[0]) for line in left_out)
    assert counted + len(about) - len(left_out) == 2000
    assert len(about) < 40


def test_lines_that_a_client_makes_differ_fill_no_log(logged: Callable[..., list[str]]) -> None:
    lines = logged((), *((f"/size/{number}", "") for number in range(5000, 6000)))
    about = [line for line in lines if "its cookie would have" in line]
    assert len(about) < 100
    left_out = [line for line in about if "left out" in line]
    counted = sum(int(line.partition("left out ")[2].split()[0]) for line in left_out)
    assert counted + len(about) - len(left_out) == 1000


def test_faults_are_counted_by_their_type_whatever_they_say(logged: Callable[..., list[str]]) -> None:
    lines = logged((), *((f"/kind/{number}", "") for number in range(300)))
    assert sum(line.startswith("Traceback") for line in lines) == 9
    assert sum("repeated 97 times: the application raised" in line for line in lines) == 3


def test_the_lines_that_are_left_out_are_counted(serve: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "site.py").write_text(APPLICATION)
    server = serve("--metrics-path", "/-/metrics", target="site.py", cwd=tmp_path)
    with server.client() as client:
        for _ in range(20):
            assert client.get("/kind/0").status == 500
        told = client.get("/-/metrics").body.decode()
    assert "onionskin_error_log_lines_left_out_total 17" in told


def test_no_fault_of_another_line_is_lost(logged: Callable[..., list[str]]) -> None:
    lines = logged((), *((f"/place/{number % 30}", "") for number in range(300)))
    for number in range(30):
        assert sum(line.endswith(f"in raise_{number}") for line in lines) == 3
