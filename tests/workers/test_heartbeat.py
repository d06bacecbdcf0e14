"""A worker that can't run Python is replaced; one that is merely busy is not."""

from __future__ import annotations

import os
import signal
import time

from server.process import wait_until
from workers.conftest import is_alive

TIMEOUT = ("--worker-timeout", "1s", "--graceful-timeout", "1s")
HOLDS = """
import re, threading
inner = application

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/holds":
        re.match("(a+)+$", "a" * 64 + "!")  # which takes longer than anybody lives
    if path == "/busy":
        due = time.monotonic() + 2.5
        while time.monotonic() < due:
            sum(range(1000))
    if path == "/sleeps":
        time.sleep(2.5)
    return inner(environ, start_response)
"""


def replaced(server, before):
    """Waits until all workers that there are to be are there, without those of `before`."""
    wait_until(lambda: len(server.workers()) == 2 and not server.workers() & before)


def test_a_worker_whose_interpreter_is_held_is_replaced_with_its_stack_in_the_log(site, serve):
    site.write("1", more=HOLDS)
    server = serve(*TIMEOUT)
    with server.client() as client:
        client.request("GET", "/holds")
        line = server.wait_for_line(r"worker \d+ has not run Python for 1 seconds \(worker_timeout\)")
        held = int(line.split("worker ")[1].split()[0])
        replaced(server, {held})
        assert client.is_ended()
    server.wait_for_line("Fatal Python error: Aborted")
    server.wait_for_line("line .* in application")
    assert server.answer()[0] == "1"


def test_the_others_serve_while_a_worker_is_held(site, serve):
    site.write("1", more=HOLDS)
    server = serve("--worker-timeout", "4s", "--graceful-timeout", "1s")
    with server.client() as client:
        client.request("GET", "/holds")
        server.wait_for_line("the interpreter is held by a call: this worker accepts no connections")
        (held,) = server.workers() - {server.answer()[1]}
        assert all(server.answer()[1] != held for _ in range(50))
        assert is_alive(held)


def test_a_worker_that_is_held_ends_when_its_supervisor_is_gone(site, serve):
    site.write("1", more=HOLDS)
    server = serve("--worker-timeout", "off", "--graceful-timeout", "1s")
    workers = server.workers()
    with server.client() as client:
        client.request("GET", "/holds")
        time.sleep(0.5)
        os.kill(server.popen.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, workers)))


def test_a_worker_that_is_stopped_is_replaced(serve):
    server = serve(*TIMEOUT)
    victim = min(server.workers())
    os.kill(victim, signal.SIGSTOP)
    server.wait_for_line(f"worker {victim} has not run Python")
    replaced(server, {victim})
    assert not is_alive(victim)
    assert server.stop() == 0


def test_a_worker_that_is_busy_is_not_replaced(site, serve):
    site.write("1", more=HOLDS)
    server = serve(*TIMEOUT, workers=1)
    before = server.workers()
    clients = [server.client() for _ in range(6)]
    for number, client in enumerate(clients):
        client.request("GET", "/busy" if number % 2 else "/sleeps")
    since = time.monotonic()
    for client in clients:
        assert client.response().status == 200
    assert time.monotonic() - since > 2
    assert server.workers() == before
    assert "worker_timeout" not in server.log


def test_the_timeout_can_be_turned_off(site, serve):
    server = serve("--worker-timeout", "off", "--graceful-timeout", "1s")
    victim = min(server.workers())
    os.kill(victim, signal.SIGSTOP)
    time.sleep(1.5)
    assert is_alive(victim)
    os.kill(victim, signal.SIGCONT)
    assert "worker_timeout" not in server.log
