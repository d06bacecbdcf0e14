"""The control socket: `onionskin status` and `onionskin reload`."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess

import pytest

from server.process import ONIONSKIN, wait_until


@pytest.fixture
def path(tmp_path):
    """A control socket's place."""
    return tmp_path / "control.sock"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`onionskin` with these arguments, to its end."""
    return subprocess.run([*ONIONSKIN, *arguments], capture_output=True, text=True, timeout=20)


def test_what_is_no_control_socket_is_told(serve, tmp_path):
    site = tmp_path / "site.sock"
    serve("--bind", f"unix:{site}")
    for command in ("status", "reload", "upgrade"):
        told = run(command, "--control", str(site))
        assert (told.returncode, told.stdout) == (2, "")
        assert (
            told.stderr
            == f"onionskin: what answers at {site} is no control socket of onionskin; check --control\n"
        )


def test_the_status_is_told_to_people_and_programs(serve, path):
    server = serve("--control", str(path))
    server.get("/")
    told = run("status", "--control", str(path))
    assert told.returncode == 0, told
    assert f"pid {server.popen.pid}: serving on 127.0.0.1:{server.port}" in told.stdout
    status = json.loads(run("status", "--control", str(path), "--json").stdout)
    assert {worker["pid"] for worker in status["workers"]} == server.workers()
    assert sum(worker["requests"] for worker in status["workers"]) == 1
    assert all(worker["memory"] > 1 << 20 for worker in status["workers"])
    assert (status["generation"], status["last_reload"]) == (1, None)


@pytest.mark.parametrize("broken", ["max_body = 'large'\n", "[[layers]]\n", "this is not TOML\n"])
def test_status_finds_the_server_of_a_file_that_is_broken(serve, path, site, broken):
    server = serve("--control", str(path))
    file = site.folder / "onion.toml"
    for control in (f'control = "{path}"', f"control = '{path}'", 'control = "${RUN}/control.sock"'):
        file.write_text(f"# a comment\n{control}\n{broken}")
        told = subprocess.run(
            [*ONIONSKIN, "status"],
            cwd=site.folder,
            env={"RUN": str(path.parent)},
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert told.returncode == 0, told
        assert f"pid {server.popen.pid}: serving" in told.stdout
        assert told.stderr.startswith("onionskin: warning: onion.toml:3: ")
    file.write_text(broken)
    told = subprocess.run([*ONIONSKIN, "status"], cwd=site.folder, capture_output=True, text=True, timeout=20)
    assert (told.returncode, told.stderr.startswith("onionskin: onion.toml:1: ")) == (2, True)


def test_the_status_tells_why_a_worker_is_missing(site, serve, path):
    server = serve("--control", str(path))
    victim = min(server.workers())
    site.write("2", more="raise ValueError('broken')")
    os.kill(victim, signal.SIGKILL)
    server.wait_for_line("ValueError: broken; the next try is in")
    told = run("status", "--control", str(path)).stdout
    assert "\n1 of 2 workers serve: the application could not be loaded: ValueError: broken, " in told
    site.write("3")
    wait_until(lambda: json.loads(run("status", "--control", str(path), "--json").stdout)["amiss"] is None)
    assert len(server.workers()) == 2


def test_the_status_tells_of_calls_and_of_who_waits_for_a_turn(site, serve, path):
    site.write("1", slow=4)
    server = serve("--control", str(path), "--threads", "1", workers=1)
    with server.client() as first, server.client() as second:
        first.request("GET", "/slow")
        server.wait_for_line("event: slow")
        second.request("GET", "/")

        def waits() -> bool:
            (worker,) = json.loads(run("status", "--control", str(path), "--json").stdout)["workers"]
            return (worker["calls"], worker["threads"], worker["waiting"]) == (1, 1, 1)

        wait_until(waits)
        row = run("status", "--control", str(path)).stdout.splitlines()[-1].split()
        assert row[6:8] == ["1/1", "1"]
        assert (first.response().status, second.response().status) == (200, 200)


def test_the_status_tells_what_was_turned_away(site, serve, path):
    site.write("1", slow=1)
    server = serve(
        "--control", str(path), "--threads", "1", "--queue-timeout", "200ms", "--connections", "2", workers=1
    )
    assert "closed to make room" not in run("status", "--control", str(path)).stdout
    with server.client() as idle, server.client() as busy:
        assert idle.get("/").status == 200
        busy.request("GET", "/slow")
        server.wait_for_line("event: slow")
        with server.client() as third:
            assert third.get("/").status == 503
        assert idle.is_ended()
        assert busy.response().status == 200
    (worker,) = json.loads(run("status", "--control", str(path), "--json").stdout)["workers"]
    assert (worker["shed"], worker["turned_away"], worker["accept_failures"]) == (1, 1, 0)
    told = run("status", "--control", str(path)).stdout.splitlines()[-2:]
    assert told == [
        "       1  idle connections closed to make room (connections)",
        "       1  requests turned away by the queue (queue, queue_timeout)",
    ]


def test_the_socket_is_for_its_user_alone_and_goes_with_the_server(serve, path):
    server = serve("--control", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.stop() == 0
    assert not path.exists()


def test_a_reload_waits_for_its_outcome(site, serve, path):
    server = serve("--control", str(path))
    site.write("2")
    done = run("reload", "--control", str(path))
    assert (done.returncode, done.stderr) == (0, "onionskin: generation 2 serves\n")
    assert server.answer()[0] == "2"


def test_a_reload_that_fails_says_why_and_the_status_keeps_it(site, serve, path):
    serve("--control", str(path))
    site.write("2", more="raise ValueError('broken')")
    done = run("reload", "--control", str(path))
    assert done.returncode == 1
    assert done.stderr.endswith("could not be loaded: ValueError: broken\n")
    status = json.loads(run("status", "--control", str(path), "--json").stdout)
    assert "ValueError: broken" in status["last_reload"]["failed"]
    assert "a reload failed" in run("status", "--control", str(path)).stdout


def test_what_is_no_question_is_answered_so(serve, path):
    import socket

    serve("--control", str(path))
    for question in (b"nonsense\n", b'{"ask": "everything"}\n', b'{"ask": "status"' + b" " * 5000):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(path))
            connection.sendall(question)
            assert b"error" in connection.recv(1000)


@pytest.mark.parametrize("command", ["status", "reload"])
def test_no_server_is_told_in_one_line(path, command):
    for options in ([], ["--control", str(path)]):
        done = run(command, *options)
        assert done.returncode == 2
        assert done.stderr.startswith("onionskin: ")
        assert len(done.stderr.splitlines()) == 1
