"""Health is told while the application is stuck, without Python."""

from __future__ import annotations

import json
import signal

import pytest

from server.process import wait_until
from server.test_concurrency import AT_ONCE, duration


@pytest.mark.smoke
def test_health_is_told_while_every_thread_is_stuck(serve, tmp_path):
    server = serve(threads=2)
    with server.client() as old:
        assert old.get("/hello").status == 200
        stuck = [server.client() for _ in range(4)]
        for number, client in enumerate(stuck):
            client.request("GET", f"/hold?file={tmp_path / 'go'}&name={number}")
        server.wait_for_line("event: holding", count=2)
        for _ in range(5):
            assert duration(lambda: old.get("/-/live"), 200) < AT_ONCE
            with server.client() as new:
                assert duration(lambda new=new: new.get("/-/ready"), 200) < AT_ONCE
        told = json.loads(old.get("/-/ready").body)
        assert told == {"status": "ready", "calls": 2, "threads": 2, "waiting": 2, "queue": 1024}
        (tmp_path / "go").touch()
        assert [client.response().body for client in stuck] == [b"held"] * 4


def test_health_is_told_while_the_interpreter_is_held(serve):
    server = serve()
    with server.client() as old, server.client() as busy:
        assert old.get("/hello").status == 200
        busy.request("GET", "/grip?count=100000000")
        server.wait_for_line("event: gripping")
        assert duration(lambda: old.get("/-/live"), 200) < AT_ONCE
        assert busy.response().status == 200


def test_a_server_that_stops_is_live_but_not_ready(serve, tmp_path):
    server = serve()
    with server.client() as busy, server.client() as idle:
        assert idle.get("/-/ready").status == 200
        busy.request("GET", f"/hold?file={tmp_path / 'go'}")
        server.wait_for_line("event: holding")
        # Pipelined: connections that are idle are closed by the stop.
        busy.request("GET", "/-/ready")
        server.signal(signal.SIGTERM)
        assert idle.is_ended()
        (tmp_path / "go").touch()
        assert busy.response().body == b"held"
        assert busy.is_ended() or busy.response().status == 503
    assert server.wait() == 0


def test_heads_and_other_methods_are_answered_as_is_right(serve):
    server = serve()
    with server.client() as client:
        client.request("HEAD", "/-/live")
        head = client.response("HEAD")
        assert (head.status, head.header("Cache-Control")) == (200, "no-store")
        client.request("POST", "/-/live")
        refused = client.response()
        assert (refused.status, refused.header("Allow")) == (405, "GET, HEAD")


def test_who_may_not_ask_gets_the_applications_answer(serve):
    allowed = serve(
        "--health-path", "/health/", "--health-allow", "10.0.0.0/8", "--health-allow", "127.0.0.1"
    )
    assert json.loads(allowed.get("/health/live")) == {"status": "live"}
    assert allowed.get("/-/live") == b"hello"
    strange = serve("--health-allow", "10.0.0.0/8")
    assert strange.get("/-/live") == b"hello"
    off = serve("--health-path", "off")
    assert off.get("/-/live") == b"hello"


def test_further_requests_are_turned_away_when_the_queue_is_full(serve, tmp_path):
    server = serve("--queue", "1", threads=1)
    with server.client() as first, server.client() as second, server.client() as third:
        first.request("GET", f"/hold?file={tmp_path / 'go'}&name=first")
        server.wait_for_line("event: holding first")
        second.request("GET", "/hello")
        with server.client() as asking:
            wait_until(lambda: b'"waiting":1' in asking.get("/-/ready").body)
            full = asking.get("/-/ready")
            assert (full.status, json.loads(full.body)["status"]) == (503, "full")
        refused = third.get("/hello")
        assert (refused.status, refused.header("Retry-After")) == (503, "1")
        (tmp_path / "go").touch()
        assert first.response().body == b"held"
        assert second.response().body == b"hello"
        assert third.get("/hello").body == b"hello"


def test_those_who_come_all_at_once_are_turned_away_too(serve, tmp_path):
    server = serve("--queue", "2", threads=2)
    clients = [server.client() for _ in range(7)]
    for client in clients:
        client.request("GET", f"/hold?file={tmp_path / 'go'}")
    with server.client() as asking:
        wait_until(lambda: b'"calls":2,"threads":2,"waiting":2' in asking.get("/-/ready").body)
    (tmp_path / "go").touch()
    assert sorted(client.response().status for client in clients) == [200] * 4 + [503] * 3
    for client in clients:
        client.close()


def test_a_request_waits_no_longer_than_the_queue_timeout(serve, tmp_path):
    server = serve("--queue-timeout", "100ms", threads=1)
    with server.client() as first, server.client() as second:
        first.request("GET", f"/hold?file={tmp_path / 'go'}&name=first")
        server.wait_for_line("event: holding first")
        assert 0.1 <= duration(lambda: second.get("/hello"), 503) < 0.1 + AT_ONCE
        (tmp_path / "go").touch()
        assert first.response().body == b"held"
        assert second.get("/hello").body == b"hello"


def test_who_has_left_the_queue_holds_no_place_in_it(serve, tmp_path):
    server = serve("--queue", "1", threads=1)
    with server.client() as first, server.client() as asking, server.client() as last:
        first.request("GET", f"/hold?file={tmp_path / 'go'}&name=first")
        server.wait_for_line("event: holding first")
        leaving = server.client()
        leaving.request("GET", "/hello")
        wait_until(lambda: b'"waiting":1' in asking.get("/-/ready").body)
        leaving.reset()
        wait_until(lambda: b'"waiting":0' in asking.get("/-/ready").body)
        last.request("GET", "/hello")
        (tmp_path / "go").touch()
        assert first.response().body == b"held"
        assert last.response().body == b"hello"
