"""Preload: the application is imported once, and workers are forked from there."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from onionskin.control import ask
from server.process import ONIONSKIN, Process, wait_until
from workers.conftest import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable

# At once: what is printed piece by piece may be mixed with what another process prints.
IMPORTED = "os.write(2, b'event: imported %d\\n' % os.getpid())\n"

NATIVE_THREAD = """
import ctypes
libc = ctypes.CDLL(None)
ident = ctypes.c_ulong()
libc.pthread_create(ctypes.byref(ident), None, ctypes.cast(libc.sleep, ctypes.c_void_p), ctypes.c_void_p(60))
"""

HANGING_CHILD = "os.register_at_fork(after_in_child=lambda: time.sleep(60))\n"


@pytest.fixture
def preload(site, serve, tmp_path) -> Callable[..., Any]:
    """Starts a server with `--preload`, whose application says where it is imported."""
    site.write("1", more=IMPORTED)
    return lambda *options, **more: serve("--preload", "--control", tmp_path / "c.sock", *options, **more)


@pytest.fixture
def status(tmp_path) -> Callable[[], dict[str, Any]]:
    """Asks the server how it does."""
    return lambda: ask(str(tmp_path / "c.sock"), "status")


@pytest.fixture
def fork_server(status) -> Callable[[], int]:
    """The process that workers are forked from; there is one."""

    def found() -> int:
        (server,) = status()["fork_servers"]
        return int(server["pid"])

    return found


@pytest.fixture
def workers(status) -> Callable[[], set[int]]:
    """Those that serve."""
    return lambda: {worker["pid"] for worker in status()["workers"] if worker["stage"] == "serving"}


def parent(pid: int) -> int:
    """Whose child a process is."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def imports(server: Process) -> list[int]:
    """The processes that have imported the application."""
    return [int(pid) for pid in re.findall(r"event: imported (\d+)", server.log)]


def start_in_vain(site, *options: str) -> str:
    """What a server says that can't start."""
    command = [*ONIONSKIN, "serve", "site_of_test.py", "--bind", "127.0.0.1:0", "--workers", "2", "--preload"]
    process = Process([*command, *options], cwd=site.folder)
    try:
        assert process.wait() == 2, process.log
        return process.log
    finally:
        process.kill()


@pytest.mark.smoke
def test_the_application_is_imported_once_for_all_workers(preload, workers, fork_server):
    server = preload()
    wait_until(lambda: {server.answer()[1] for _ in range(20)} == workers())
    assert imports(server) == [fork_server()]
    assert len(workers()) == 2
    assert {parent(worker) for worker in workers()} == {fork_server()}
    assert server.stop() == 0


def test_workers_share_its_memory(site, preload, workers):
    site.write("1", more="KEPT = [str(number) for number in range(500_000)]\n")
    preload()
    for worker in workers():
        told = Path(f"/proc/{worker}/smaps_rollup").read_text()
        own = sum(int(kilobytes) for kilobytes in re.findall(r"Private_\w+: +(\d+) kB", told))
        shared = sum(int(kilobytes) for kilobytes in re.findall(r"Shared_\w+: +(\d+) kB", told))
        assert own < 8_000 < 30_000 < shared


def test_what_was_printed_while_it_was_imported_is_there_once(site, preload, tmp_path):
    more = f"import sys; sys.stdout = open({str(tmp_path / 'out')!r}, 'w'); print('imported')\n"
    site.write("1", more=more)
    server = preload()
    assert server.stop() == 0
    assert (tmp_path / "out").read_text() == "imported\n"


def test_a_worker_that_dies_is_replaced_without_an_import(preload, workers, fork_server):
    server = preload()
    before, forks = workers(), fork_server()
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    server.wait_for_line(f"worker {victim} was ended by signal 9 while it served")
    wait_until(lambda: len(workers()) == 2 and victim not in workers())
    assert imports(server) == [forks] == [fork_server()]


def test_a_worker_is_recycled_without_an_import(preload, fork_server):
    server = preload("--max-lifetime", "1s", workers=1)
    server.wait_for_line("it is old enough", count=2)
    assert server.answer()[0] == "1"
    assert imports(server) == [fork_server()]


def test_workers_go_on_without_the_fork_server_and_the_next_starts_another(preload, workers, fork_server):
    server = preload()
    before, forks = workers(), fork_server()
    os.kill(forks, signal.SIGKILL)
    server.wait_for_line(f"the fork server {forks} was ended by signal 9: the next worker")
    assert workers() == before
    assert {parent(worker) for worker in before} == {server.popen.pid}
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    server.wait_for_line(f"worker {victim} was ended by signal 9 while it served")
    wait_until(lambda: len(workers()) == 2)
    assert imports(server) == [forks, fork_server()]
    assert server.stop() == 0


@pytest.mark.smoke
def test_a_reload_imports_the_new_application(site, preload, workers, fork_server):
    server = preload()
    before, forks = workers(), fork_server()
    site.write("2", more=IMPORTED)
    server.signal(signal.SIGHUP)
    server.wait_for_line("reloaded in .*: generation 2 serves")
    server.wait_for_version("2")
    wait_until(lambda: not any(map(is_alive, before | {forks})))
    assert imports(server) == [forks, fork_server()]
    assert server.stop() == 0


def test_a_request_of_the_old_generation_outlives_its_fork_server(site, preload, fork_server):
    server = preload()
    forks = fork_server()
    site.write("2", more=IMPORTED)
    with server.client() as client:
        client.request("GET", "/slow")
        server.wait_for_line("event: slow")
        server.signal(signal.SIGHUP)
        server.wait_for_line("generation 2 serves")
        assert client.response().body.startswith(b"1 ")
    wait_until(lambda: not is_alive(forks))
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"more": "raise ValueError('broken')"}, "could not be loaded: ValueError: broken"),
        ({"more": "time.sleep(60)"}, r"the fork server \d+ was not ready within 3s"),
        ({"ready": "500 Broken"}, "the application answered 500 at /ready"),
        ({"more": "os.abort()"}, r"the fork server \d+ was ended by signal 6 before it had forked"),
        (
            {"more": "import threading; threading.Timer(60, print).start()"},
            r"has started a thread \(Thread-1\)",
        ),
        ({"more": HANGING_CHILD}, "a process that was forked after importing the application hangs"),
    ],
)
def test_a_reload_that_fails_changes_nothing(site, preload, workers, fork_server, status, change, told):
    server = preload("--boot-timeout", "3s", "--ready-path", "/ready")
    before, forks = workers(), fork_server()
    site.write("2", **change)
    server.signal(signal.SIGHUP)
    server.wait_for_line("reload failed, generation 1 goes on: .*" + told)
    wait_until(lambda: len(status()["workers"]) == 2)
    assert workers() == before
    wait_until(lambda: [each["pid"] for each in status()["fork_servers"]] == [forks])
    assert server.answer()[0] == "1"
    site.write("3")
    server.signal(signal.SIGHUP)
    server.wait_for_line("reloaded in .*: generation 3 serves")
    server.wait_for_version("3")


def test_the_traceback_of_an_application_that_raises_is_told_once(site):
    site.write("1", more="raise ValueError('broken')")
    log = start_in_vain(site)
    assert log.splitlines()[0] == "onionskin: the application could not be loaded: ValueError: broken"
    assert log.count("Traceback") == 1


def test_python_threads_are_refused_with_their_names(site):
    site.write(
        "1", more="import threading; threading.Thread(target=time.sleep, args=[60], name='beat').start()"
    )
    assert start_in_vain(site).splitlines() == [
        "onionskin: preload: importing the application has started a thread (beat), which a fork would lose; "
        "start them later, or in os.register_at_fork(after_in_child=...), or leave preload out"
    ]


def test_threads_that_python_does_not_know_are_refused(site):
    site.write("1", more=NATIVE_THREAD)
    (line,) = start_in_vain(site).splitlines()
    assert "preload: importing the application has started a thread, which" in line


def test_threads_that_end_before_a_fork_are_none(site, preload, workers):
    ends = "import threading\nstop = threading.Event()\nthread = threading.Thread(target=stop.wait)\n"
    ends += "thread.start()\nstop.set()\nthread.join()\n"
    site.write("1", more=ends)
    preload()
    assert len(workers()) == 2


def test_threads_that_are_started_in_each_worker_are_there(site, preload):
    starts = "import threading\nBEATS = []\n"
    starts += "def start(): threading.Thread(target=lambda: BEATS.append(os.getpid()), daemon=True).start()\n"
    starts += "os.register_at_fork(after_in_child=start)\n"
    starts += "small = application\ndef application(environ, start_response):\n"
    starts += "    environ['wsgi.errors'].write(f'event: {BEATS == [os.getpid()]}\\n')\n"
    starts += "    return small(environ, start_response)\n"
    site.write("1", more=starts)
    server = preload()
    server.answer()
    server.wait_for_line("event: True")


def test_a_connection_that_all_workers_would_share_is_told(site, preload):
    more = "import socket\nlistener = socket.create_server(('127.0.0.1', 0))\n"
    more += "connection = socket.create_connection(listener.getsockname())\npair = socket.socketpair()\n"
    site.write("1", more=more)
    server = preload()
    server.wait_for_line(
        r"preload: importing the application has opened a connection to 127.0.0.1 port \d+, which"
    )
    assert server.answer()[0] == "1"


def test_functions_of_atexit_run_in_workers_alone(site, preload, workers, fork_server):
    tells = "lambda: os.write(2, b'event: exit %d\\n' % os.getpid())"
    site.write("1", more=f"import atexit; atexit.register({tells})")
    server = preload()
    before = workers()
    assert server.stop() == 0
    assert {int(pid) for pid in re.findall(r"event: exit (\d+)", server.log)} == before


def test_nobody_stays_behind(preload, workers, fork_server):
    server = preload()
    processes = {*workers(), fork_server()}
    server.kill()
    wait_until(lambda: not any(map(is_alive, processes)))


def test_a_worker_that_can_not_be_forked_any_more_is_tried_again(site, preload, workers, fork_server):
    server = preload("--max-lifetime", "1s", workers=1)
    forks = fork_server()
    (first,) = workers()
    site.write("2", more="raise ValueError('broken')")
    os.kill(forks, signal.SIGKILL)
    server.wait_for_line("ValueError: broken", count=4)
    assert server.answer() == ("1", first)
    site.write("3")
    server.wait_for_line(f"serves in place of {first}", timeout=20)
    server.wait_for_version("3")


def test_preload_without_workers_is_refused(site):
    command = [*ONIONSKIN, "serve", "site_of_test.py", "--bind", "127.0.0.1:0", "--preload"]
    process = Process(command, cwd=site.folder)
    try:
        assert process.wait() == 2
        assert process.lines == [
            "onionskin: preload: it needs workers; run onionskin serve with --workers 1 or more"
        ]
    finally:
        process.kill()
