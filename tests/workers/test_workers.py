"""Workers: how they start, who replaces them, and how they end."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from server.client import Ended
from server.process import ONIONSKIN, Process, Server, wait_until
from workers.conftest import is_alive

FATAL = """
inner = application

def application(environ, start_response):
    if environ["PATH_INFO"] == "/fatal":
        os._exit(1)
    return inner(environ, start_response)
"""
BROKEN_ONCE = """
from pathlib import Path

try:
    Path("broken").unlink()
except FileNotFoundError:
    pass
else:
    raise RuntimeError("broken once")
"""


def start_in_vain(site, *options: str) -> Process:
    """A start that fails; all of its output."""
    command = [*ONIONSKIN, "serve", "site_of_test.py", "--bind", "127.0.0.1:0", "--workers", "2", *options]
    process = Process(command, cwd=site.folder)
    try:
        assert process.wait() == 2, process.log
        return process
    finally:
        process.kill()


@pytest.mark.smoke
def test_workers_serve_and_say_that_they_are_several(serve):
    server = serve()
    assert "2 workers, 4 threads each" in server.lines[0]
    assert len(server.workers()) == 2
    version, pid, multiprocess = server.get("/").decode().split()
    assert (version, multiprocess) == ("1", "True")
    assert int(pid) in server.workers()
    assert server.stop() == 0


def test_one_worker_is_not_several(serve):
    server = serve(workers=1)
    assert "1 worker, 4 threads" in server.lines[0]
    assert server.get("/").endswith(b" False")


def test_every_worker_gets_the_same_sockets(serve):
    server = serve()
    wait_until(lambda: {server.answer()[1] for _ in range(20)} == server.workers())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_answered_before_the_end(serve, number):
    server = serve()
    with server.client() as client:
        client.request("GET", "/slow")
        server.wait_for_line("event: slow")
        server.signal(number)
        response = client.response()
        assert (response.status, response.header("Connection")) == (200, "close")
    assert server.wait() == 0


def test_what_outlives_the_graceful_timeout_is_cut_and_told(site, serve):
    site.write("1", slow=20)
    server = serve("--graceful-timeout", "300ms")
    with server.client() as client:
        client.request("GET", "/slow")
        server.wait_for_line("event: slow")
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
    server.wait_for_line("1 request in flight and 1 connection outlived the graceful timeout of 300ms")


def test_a_second_signal_ends_everything_at_once(site, serve):
    site.write("1", slow=20)
    server = serve()
    with server.client() as client:
        client.request("GET", "/slow")
        server.wait_for_line("event: slow")
        server.signal(signal.SIGTERM)
        wait_until(lambda: len(server.workers()) == 1)
        since = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        assert time.monotonic() - since < 4


def test_a_drain_delay_goes_on_serving(serve):
    server = serve("--drain-delay", "1s")
    since = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.answer()[0] == "1"
    assert server.wait() == 0
    assert time.monotonic() - since > 0.9


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_is_replaced(serve, number):
    server = serve()
    before = server.workers()
    victim = min(before)
    os.kill(victim, number)
    server.wait_for_line(f"worker {victim} was ended by signal {number:d} while it served")
    wait_until(lambda: len(server.workers()) == 2 and victim not in server.workers())
    assert server.answer()[0] == "1"
    assert server.stop() == 0


def test_one_fatal_request_after_the_other_takes_no_site_down(site, serve):
    site.write("1", more=FATAL)
    server = serve(workers=2)
    for _ in range(12):
        with server.client() as client, pytest.raises(Ended):
            client.get("/fatal")
        # Neither the other worker nor the successor has to wait for anything.
        assert server.answer()[0] == "1"
    server.wait_until_workers(lambda: len(server.workers()) == 2)
    assert "the next try" not in server.log


def test_a_worker_that_cannot_become_ready_does_not_hold_up_the_others(site, serve):
    server = serve(workers=3)
    (site.folder / "broken").touch()
    site.write("2", more=BROKEN_ONCE)
    before = server.workers()
    for victim in before:
        os.kill(victim, signal.SIGKILL)
    server.wait_until_workers(lambda: len(server.workers() - before) == 3)
    server.wait_for_version("2")
    assert "the next try is in 0.0s" in server.log


def test_a_worker_that_gets_sigterm_is_replaced_before_it_drains(serve):
    server = serve(workers=1)
    (before,) = server.workers()
    os.kill(before, signal.SIGTERM)
    server.wait_for_line(rf"worker \d+ serves in place of {before}: it got SIGTERM")
    wait_until(lambda: before not in server.workers())
    assert len(server.workers()) == 1
    assert server.stop() == 0


def test_workers_that_lost_their_supervisor_drain(site, serve):
    server = serve()
    workers = server.workers()
    with server.client() as client:
        client.request("GET", "/slow")
        server.wait_for_line("event: slow")
        server.signal(signal.SIGKILL)
        assert client.response().status == 200
    wait_until(lambda: not any(map(is_alive, workers)))


def test_a_worker_that_boots_ends_with_its_supervisor(site):
    site.write("1", more="print('event: hangs', file=__import__('sys').stderr, flush=True); time.sleep(60)")
    command = [*ONIONSKIN, "serve", "site_of_test.py", "--bind", "127.0.0.1:0", "--workers", "1"]
    process = Process(command, cwd=site.folder)
    process.wait_for_line("event: hangs")
    pid = process.popen.pid
    (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    process.signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(int(worker)))
    process.kill()


# A start that fails.


def test_an_application_that_raises_stops_the_start_with_its_traceback(site):
    site.write("1", more="raise ValueError('broken on purpose')")
    log = start_in_vain(site).log
    assert log.count("Traceback") == 1
    assert "onionskin: the application could not be loaded: ValueError: broken on purpose" in log
    assert log.rstrip().endswith("ValueError: broken on purpose")


@pytest.mark.parametrize("more", ["raise SystemExit(3)", "import os; os._exit(7)", "raise KeyboardInterrupt"])
def test_an_application_that_ends_its_process_stops_the_start(site, more):
    site.write("1", more=more)
    assert start_in_vain(site).log.startswith("onionskin: ")


def test_an_application_that_is_not_ready_in_time_stops_the_start(site):
    site.write("1", more="time.sleep(60)")
    assert "was not ready within 500ms" in start_in_vain(site, "--boot-timeout", "500ms").log


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--ready-path", "/ready"], "the application answered 500 at /ready"),
        (["--workers", "many"], 'workers: "many" is no number of workers'),
        (["--threads", "0"], "threads"),
        (["--layer", "nothing"], "nothing"),
        (["--bind", "127.0.0.1:99999"], "is no place to listen on"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(site, options, told):
    site.write("1", ready="500 Broken")
    process = start_in_vain(site, *options)
    assert len(process.lines) == 1, process.log
    assert told in process.log


def test_a_place_that_is_taken_is_told_before_a_worker_starts(site, serve):
    server = serve()
    taken = start_in_vain(site, "--bind", f"127.0.0.1:{server.port}")
    assert len(taken.lines) == 1
    assert "another program listens there" in taken.log


def test_a_worker_that_is_not_ready_yet_is_asked_again(site, serve):
    counting = "asked = 0\nanswered = application\ndef application(environ, start_response):\n"
    counting += "    global asked; asked += 1\n    if asked < 3:\n"
    counting += (
        "        start_response('503 Later', []); return []\n    return answered(environ, start_response)\n"
    )
    site.write("1", more=counting)
    server = serve("--ready-path", "http://example.org/ready")
    assert server.answer()[0] == "1"


def test_what_needs_workers_is_refused_without_them(site):
    process = start_in_vain(site, "--workers", "0", "--drain-delay", "5s")
    assert process.lines == [
        "onionskin: drain_delay: it needs workers; run onionskin serve with --workers 1 or more"
    ]


def test_a_server_without_workers_says_that_it_can_not_reload(site):
    with Server(target="site_of_test.py", cwd=site.folder) as server:
        server.get("/")
        server.signal(signal.SIGHUP)
        server.wait_for_line("no reload of the application: it needs --workers 1 or more")
        assert server.stop() == 0


def test_workers_open_their_access_log_anew(serve, tmp_path):
    log = tmp_path / "access.log"
    server = serve("--access-log", str(log))
    server.get("/")
    wait_until(lambda: bool(log.read_text()))
    log.rename(tmp_path / "old.log")
    server.signal(signal.SIGUSR1)
    wait_until(log.exists)
    server.get("/")
    wait_until(lambda: log.exists() and bool(log.read_text()))
    assert server.stop() == 0
