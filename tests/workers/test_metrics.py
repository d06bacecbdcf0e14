"""Metrics of several workers: added up by their supervisor, through deaths, reloads and drains."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from server.process import wait_until
from server.scraping import Numbers, counters, families_of, page, scrape
from workers.conftest import halt

PAGE = Path(__file__).parents[2] / "docs/how-to/metrics.md"


@pytest.fixture
def place(tmp_path: Path) -> str:
    """Where the metrics are."""
    return f"unix:{tmp_path / 'metrics.sock'}"


def test_the_numbers_of_all_workers_are_added_up(serve, place):
    server = serve("--metrics-bind", place)
    answered: set[int] = set()
    asked = 0
    while len(answered) < 2:
        answered.add(server.answer()[1])
        asked += 1
    wait_until(lambda: scrape(place)['requests_total{method="GET",status="200"}'] == asked)
    told = scrape(place)
    assert told["connections_total"] == asked
    assert told["application_threads"] == 8
    assert told["request_duration_seconds_count"] == asked
    assert told['workers{state="serving"}'] == 2
    assert told["generation"] == 1
    assert told["memory_bytes"] > 2 << 20
    assert told["connections_limit"] > 200


def test_no_counter_goes_back_when_workers_are_killed_under_load(serve, place, load):
    server = serve("--metrics-bind", place)
    load(server)
    before: Numbers = {}
    for killed in range(3):
        os.kill(min(server.workers()), signal.SIGKILL)
        while scrape(place)['worker_restarts_total{reason="died"}'] < killed + 1:
            told = counters(scrape(place))
            assert not {name for name in before if told[name] < before[name]}
            before = told
        wait_until(lambda: scrape(place)['workers{state="serving"}'] == 2)
        told = counters(scrape(place))
        assert not {name for name in before if told[name] < before[name]}
        before = told
    since = before['requests_total{method="GET",status="200"}']
    wait_until(lambda: scrape(place)['requests_total{method="GET",status="200"}'] > since)


def test_what_drained_workers_have_answered_still_counts(serve, place):
    server = serve("--metrics-bind", place)
    for _ in range(10):
        server.get("/")
    server.signal(signal.SIGHUP)
    server.wait_for_line("generation 2 serves")
    wait_until(lambda: len(server.workers()) == 2)
    told = scrape(place)
    assert told['requests_total{method="GET",status="200"}'] == 10
    assert told['reloads_total{outcome="ok"}'] == told["last_reload_successful"] == 1
    assert told["generation"] == 2
    assert told["connections_total"] == 10


def test_why_a_reload_failed_is_told(site, serve, place):
    server = serve("--metrics-bind", place)
    site.write("2", more="raise ValueError('a \"quoted\\\\ word')")
    server.signal(signal.SIGHUP)
    server.wait_for_line("reload failed")
    told = scrape(place)
    assert told['reloads_total{outcome="failed"}'] == 1
    assert told["last_reload_successful"] == 0
    (why,) = (name for name in told if name.startswith("last_reload_failure_info"))
    assert 'ValueError: a "quoted' in why
    site.write("3")
    server.signal(signal.SIGHUP)
    server.wait_for_line("generation 3 serves")
    told = scrape(place)
    assert told["last_reload_successful"] == 1
    assert not any(name.startswith("last_reload_failure_info") for name in told)


def test_workers_that_were_replaced_are_counted_by_the_reason(serve, place):
    server = serve("--metrics-bind", place, "--max-requests", "5", workers=1)
    for _ in range(5):
        server.get("/")
    wait_until(lambda: scrape(place)['worker_restarts_total{reason="requests"}'] == 1)
    wait_until(lambda: len(server.workers()) == 1)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGTERM)
    wait_until(lambda: scrape(place)['worker_restarts_total{reason="signal"}'] == 1)


def test_metrics_go_on_while_the_server_drains(site, serve, place):
    site.write("1", slow=2)
    server = serve("--metrics-bind", place)
    with server.client() as client:
        client.request("GET", "/slow")
        server.wait_for_line("event: slow")
        server.signal(signal.SIGTERM)
        wait_until(lambda: scrape(place)['workers{state="draining"}'] == 1)
        assert scrape(place)["requests_in_flight"] == 1
        assert client.response().status == 200
    assert server.wait() == 0
    assert not Path(place.removeprefix("unix:")).exists()


def test_a_worker_that_does_not_answer_delays_no_scraper_for_long(serve, place):
    server = serve("--metrics-bind", place)
    server.get("/")
    wait_until(lambda: scrape(place)['requests_total{method="GET",status="200"}'] == 1)
    stopped = min(server.workers())
    halt(stopped)
    try:
        told = scrape(place)
        assert told['requests_total{method="GET",status="200"}'] == 1
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_connections_that_no_worker_accepts_are_told_of(serve, place):
    server = serve("--metrics-bind", place, workers=1)
    queue = f'listen_queue{{place="127.0.0.1:{server.port}"}}'
    assert scrape(place)[queue] == 0
    (worker,) = server.workers()
    halt(worker)
    try:
        clients = [server.client() for _ in range(3)]
        assert scrape(place)[queue] == 3
    finally:
        os.kill(worker, signal.SIGCONT)
    assert [client.get("/").status for client in clients] == [200] * 3
    assert scrape(place)[queue] == 0


def test_the_place_of_the_metrics_can_change_by_a_reload(site, serve, tmp_path):
    first, second = (f"unix:{tmp_path / name}" for name in ("first.sock", "second.sock"))
    (tmp_path / "onion.toml").write_text(f'metrics_bind = ["{first}"]\n')
    server = serve()
    assert scrape(first)["generation"] == 1
    (tmp_path / "onion.toml").write_text(f'metrics_bind = ["{second}"]\n')
    server.signal(signal.SIGHUP)
    server.wait_for_line("generation 2 serves")
    assert scrape(second)["generation"] == 2
    assert not (tmp_path / "first.sock").exists()


def test_the_documentation_tells_of_every_metric_and_of_no_other(site, serve, place):
    server = serve("--metrics-bind", place)
    server.get("/")
    site.write("2", more="raise ValueError('broken')")
    server.signal(signal.SIGHUP)
    server.wait_for_line("reload failed")
    wait_until(lambda: "last_reload_successful" in scrape(place))
    shown: dict[str, tuple[str, set[str]]] = {}
    for family in families_of(page(place)):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels}
        shown[name] = (family.type, labels - {"le"})
    table = re.findall(r"^\| `(\w+)(?:\{(.*?)\})?` \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    told = {name: (kind, set(filter(None, labels.split(",")))) for name, labels, kind in table}
    assert len(told) == len(table)
    # tests/server/test_queue_of_applications.py has those of applications with threads of their own.
    limited = {name for name in told if name.startswith("onionskin_limited_")}
    assert len(limited) == 4
    assert {name: row for name, row in told.items() if name not in limited} == shown
