"""Requests that wait for an application's own threads wait in the server's queue, and are seen there."""

from __future__ import annotations

import json
import re
import textwrap
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from server.process import HERE, wait_until
from server.test_access_log import lines

if TYPE_CHECKING:
    from pathlib import Path

    from server.process import Server

MOUNTED = """
    queue = {queue}
    queue_timeout = "{timeout}"
    threads = 4
    metrics_path = "/metrics"
    access_log = "{log}"
    access_log_format = "json"

    [application.slow]
    target = "applications.py:application"
    directory = "{here}"
    {own}

    [application.site]
    target = "applications.py:application"
    directory = "{here}"

    [[mount]]
    path = "/slow"
    application = "slow"
    {mounts}

    {second}

    [[mount]]
    path = "/"
    application = "site"
"""
WAYS = {
    "mount": ("", "threads = 1", ""),
    "application": ("threads = 1", "", ""),
    "shared": ("threads = 1", "", '[[mount]]\n    path = "/again"\n    application = "slow"'),
}


@pytest.fixture(params=WAYS)
def start(request, configured, tmp_path):
    """Serves a slow application that has one thread, beside a site."""
    own, mounts, second = WAYS[request.param]

    def serve(queue: int = 10, timeout: str = "30s") -> Server:
        log = tmp_path / "access.log"
        text = MOUNTED.format(
            queue=queue, timeout=timeout, log=log, here=HERE, own=own, mounts=mounts, second=second
        )
        return configured(textwrap.dedent(text))

    return serve


def ready(server: Server) -> tuple[int, dict]:
    with server.client() as client:
        response = client.get("/-/ready")
        return response.status, json.loads(response.body)


def waits(server: Server, number: int) -> None:
    wait_until(lambda: ready(server)[1]["waiting"] == number)


def test_they_are_counted_and_bounded(start, tmp_path: Path):
    server, go = start(queue=2), tmp_path / "go"
    with ExitStack() as clients:
        asking = [clients.enter_context(server.client()) for _ in range(3)]
        for number, client in enumerate(asking):
            client.request("GET", f"/slow/hold?file={go}")
            if number == 0:
                server.wait_for_line("event: holding")
            waits(server, number)
        status, told = ready(server)
        assert (status, told["status"], told["waiting"]) == (503, "full", 2)
        assert told["applications"] == {"slow": {"calls": 1, "threads": 1, "waiting": 2}}
        # Its own requests are turned away, its neighbour's are not.
        refused = clients.enter_context(server.client()).get("/slow/hello")
        assert (refused.status, refused.header("Retry-After")) == (503, "1")
        assert server.get("/hello") == b"hello"
        metrics = server.get("/metrics").decode()
        for line in (
            "onionskin_application_queue 2",
            'onionskin_limited_queue{application="slow"} 2',
            'onionskin_limited_calls{application="slow"} 1',
            'onionskin_limited_threads{application="slow"} 1',
            'onionskin_limited_queue_refused_total{application="slow",reason="full"} 1',
            'onionskin_queue_refused_total{reason="full"} 1',
        ):
            assert re.search(f"^{re.escape(line)}$", metrics, re.MULTILINE), line
        go.touch()
        assert [client.response().status for client in asking] == [200] * 3
    assert ready(server)[0] == 200


def test_they_wait_no_longer_than_queue_timeout(start, tmp_path: Path):
    server, go = start(timeout="0.5s"), tmp_path / "go"
    with server.client() as holder, server.client() as client:
        holder.request("GET", f"/slow/hold?file={go}")
        server.wait_for_line("event: holding")
        time.sleep(0.3)  # until nothing but the waiting itself keeps the server's watchdog awake
        began = time.monotonic()
        assert client.get("/slow/hello").status == 503
        assert 0.4 < time.monotonic() - began < 3
        go.touch()
        assert holder.response().status == 200
    told = [json.loads(line) for line in lines(tmp_path / "access.log", 2)]
    (refused,) = (line for line in told if line["status"] == 503)
    assert refused["application"] == "slow"
    assert 0.4 < refused["queue"] < 3


def test_the_common_queue_has_its_timeout_while_nothing_else_happens(serve, tmp_path: Path):
    server, go = serve("--queue-timeout", "0.5s", threads=1), tmp_path / "go"
    with server.client() as holder, server.client() as client:
        holder.request("GET", f"/hold?file={go}")
        server.wait_for_line("event: holding")
        time.sleep(0.3)
        began = time.monotonic()
        assert client.get("/hello").status == 503
        assert 0.4 < time.monotonic() - began < 3
        go.touch()
        assert holder.response().status == 200


def test_a_slow_upload_holds_no_thread_of_its_application(start):
    server = start()
    with server.client() as slow, server.client() as client:
        slow.request("POST", "/slow/echo", "Content-Length: 5")
        assert client.get("/slow/hello").status == 200
        slow.send(b"12345")
        assert slow.response().status == 200


def test_the_error_log_names_the_whole_path_the_host_and_the_application(start):
    server = start()
    with server.client() as client:
        assert client.get("/slow/raises").status == 500
    server.wait_for_line(r"the application raised on GET /slow/raises \(host a, application slow\)$")
