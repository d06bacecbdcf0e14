"""Metrics, as Prometheus scrapes them: from a listener of their own."""

from __future__ import annotations

import pytest

from server.client import Client
from server.process import PATIENCE, wait_until
from server.scraping import scrape
from server.test_concurrency import AT_ONCE, duration


@pytest.fixture
def metered(serve, tmp_path):
    """A server, and a way to its numbers by their names."""
    place = f"unix:{tmp_path / 'metrics.sock'}"

    def start(*options, **settings):
        server = serve("--metrics-bind", place, *options, **settings)

        return server, lambda: scrape(place)

    return start


def test_requests_are_counted_by_method_and_status(metered):
    server, numbers = metered()
    with server.client() as client:
        assert client.get("/hello").body == b"hello"
        client.request("POST", "/echo", body=b"12345")
        assert client.response().status == 200
        client.request("BREW", "/hello")
        client.response()
        during = numbers()
        assert during['connections{state="idle"}'] == 1
        client.send(b"nonsense\r\n\r\n")
        assert client.response().status == 400
    wait_until(lambda: numbers()['connections{state="idle"}'] == 0)
    told = numbers()
    assert told['requests_total{method="GET",status="200"}'] == 1
    assert told['requests_total{method="POST",status="200"}'] == 1
    assert told['requests_total{method="other",status="200"}'] == 1
    assert told['requests_total{method="other",status="400"}'] == 1
    assert told["connections_total"] == 1
    assert told["requests_in_flight"] == 0
    assert told["request_duration_seconds_count"] == 4
    assert told["queue_wait_seconds_count"] == 3
    assert told["interpreter_wait_seconds_count"] == told["queue_wait_seconds_count"]
    assert told['response_body_bytes_bucket{le="+Inf"}'] == 4


def test_numbers_are_told_while_every_thread_is_stuck(metered, tmp_path):
    server, numbers = metered(threads=1)
    with server.client() as first, server.client() as second:
        first.request("GET", f"/hold?file={tmp_path / 'go'}")
        server.wait_for_line("event: holding")
        second.request("GET", "/hello")
        wait_until(lambda: numbers()["application_queue"] == 1)
        told = numbers()
        assert told["application_calls"] == told["application_threads"] == 1
        assert told["requests_in_flight"] == 2
        assert told['connections{state="active"}'] == 2
        (tmp_path / "go").touch()
        assert first.response().body == b"held"
        assert second.response().body == b"hello"


def test_an_answer_that_is_not_whole_is_counted(metered):
    server, numbers = metered()
    with server.client() as client:
        client.request("GET", "/sleep?seconds=0.2")
        client.reset()
    wait_until(lambda: numbers()['requests_aborted_total{reason="client gone"}'] == 1)


def test_other_paths_are_not_there_and_the_site_has_no_metrics(metered, tmp_path):
    server, _ = metered()
    with Client(f"unix:{tmp_path / 'metrics.sock'}", PATIENCE) as client:
        assert client.get("/").status == 404
        assert duration(lambda: client.get("/metrics"), 200) < AT_ONCE
    assert server.get("/metrics") == b"hello"
