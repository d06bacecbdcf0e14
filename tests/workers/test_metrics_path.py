"""Metrics on a path of a site that workers serve: whichever is asked, it tells the numbers of all."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

from server.client import Client, Ended
from server.process import wait_until
from server.scraping import Numbers, counters, numbers_of, scrape

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.conftest import Site, Supervised

    Serve = Callable[..., Supervised]

PATH = "/-/metrics"
ON = ("--metrics-path", PATH)
OK = 'requests_total{method="GET",status="200"}'
HEADS = 'requests_total{method="HEAD",status="200"}'


def told_by(server: Supervised) -> Numbers:
    """What is told on a connection of its own."""
    return scrape(server.places[0], PATH)


def connected_to_all(server: Supervised, workers: int = 2) -> dict[int, Client]:
    """A connection to each worker, which it keeps; and a request that it has answered."""
    clients: dict[int, Client] = {}
    while len(clients) < workers:
        client = server.client()
        clients[int(client.get("/").body.split()[1])] = client
    return clients


def test_every_worker_tells_the_numbers_of_all(serve: Serve) -> None:
    server = serve(*ON)
    clients = connected_to_all(server).values()
    # Scrapers ask by GET.
    for client in [*clients] * 10:
        client.request("HEAD", "/")
        assert client.response("HEAD").status == 200
    for client in clients:
        wait_until(lambda client=client: numbers_of(client.get(PATH))[HEADS] == 20)
        told = numbers_of(client.get(PATH))
        assert told['workers{state="serving"}'] == 2
        assert told["application_threads"] == 8


def test_the_numbers_are_told_while_every_thread_of_all_workers_is_stuck(site: Site, serve: Serve) -> None:
    site.write("1", slow=3)
    server = serve(*ON, "--threads", "1")
    clients = connected_to_all(server)
    for client in clients.values():
        client.request("GET", "/slow")
    server.wait_for_line("event: slow", count=2)
    told = told_by(server)
    assert told["application_calls"] == told["application_threads"] == 2
    assert [client.response().status for client in clients.values()] == [200, 200]


def test_many_scrapers_are_told_at_once(serve: Serve) -> None:
    server = serve(*ON)
    failed: list[object] = []

    def ask() -> None:
        last = 0.0
        for _ in range(20):
            told = told_by(server).get(OK, 0)
            if told < last:
                failed.append((told, last))
            last = told

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    wait_until(lambda: told_by(server)[OK] >= 160)


def test_no_counter_goes_back_when_workers_die_or_are_replaced(
    serve: Serve, load: Callable[[Supervised], None]
) -> None:
    server = serve(*ON)
    load(server)
    before: Numbers = {}

    def told() -> Numbers:
        nonlocal before
        while True:
            try:
                now = told_by(server)
            except (OSError, Ended):
                # The worker that was asked was the one that died.
                continue
            back = {name for name in before if now[name] < before[name]}
            assert not back
            before = counters(now)
            return now

    for killed in range(2):
        os.kill(min(server.workers()), signal.SIGKILL)
        wait_until(lambda killed=killed: told()['worker_restarts_total{reason="died"}'] == killed + 1)
        wait_until(lambda: told()['workers{state="serving"}'] == 2)
    server.signal(signal.SIGHUP)
    wait_until(lambda: told()["generation"] == 2)
    wait_until(lambda: told()['workers{state="draining"}'] == 0)
    since = before[OK]
    wait_until(lambda: told()[OK] > since)


def test_what_was_counted_before_a_reload_still_counts(serve: Serve) -> None:
    server = serve(*ON)
    for _ in range(10):
        server.get("/")
    server.signal(signal.SIGHUP)
    server.wait_for_line("generation 2 serves")
    wait_until(lambda: len(server.workers()) == 2)
    told = told_by(server)
    assert (told[OK], told["generation"]) == (10, 2)


def test_a_reload_turns_it_on_and_off(site: Site, serve: Serve) -> None:
    configuration = site.folder / "onion.toml"
    configuration.write_text("")
    server = serve()

    def reloaded(text: str, generation: int) -> bytes:
        configuration.write_text(text)
        server.signal(signal.SIGHUP)
        server.wait_for_line(f"generation {generation} serves")
        wait_until(lambda: len(server.workers()) == 2)
        return server.get(PATH)

    assert server.get(PATH).startswith(b"1 ")
    assert b"onionskin_generation 2\n" in reloaded(f'metrics_path = "{PATH}"\n', 2)
    assert reloaded("", 3).startswith(b"1 ")


def test_a_worker_that_drains_tells_the_numbers_of_all(serve: Serve) -> None:
    server = serve(*ON)
    with server.client() as client:
        assert client.get("/").status == 200
        # A head that has begun keeps its connection.
        client.send(f"GET {PATH} HTTP/1.1\r\n".encode())
        server.signal(signal.SIGHUP)
        server.wait_for_line("generation 2 serves")
        client.send(b"Host: a\r\n\r\n")
        response = client.response()
        assert response.header("Connection") == "close"
        told = numbers_of(response)
        assert (told["generation"], told[OK]) == (2, 1)
        assert told['workers{state="serving"}'] == 2
        assert told['workers{state="draining"}'] >= 1


def test_a_supervisor_that_does_not_answer_is_no_reason_to_tell_half(serve: Serve) -> None:
    server = serve(*ON)
    with server.client() as client:
        assert client.get("/").status == 200
        server.signal(signal.SIGSTOP)
        try:
            late = client.get(PATH)
        finally:
            server.signal(signal.SIGCONT)
        assert (late.status, late.body) == (503, b"The supervisor does not answer\n")
        wait_until(lambda: client.get(PATH).status == 200)


def test_a_worker_whose_supervisor_is_gone_says_so(serve: Serve) -> None:
    server = serve(*ON, workers=1)
    with server.client() as client:
        assert client.get("/").status == 200
        client.send(f"GET {PATH} HTTP/1.1\r\n".encode())
        server.signal(signal.SIGKILL)
        server.wait_for_old()
        client.send(b"Host: a\r\n\r\n")
        response = client.response()
        assert (response.status, response.body) == (503, b"The server stops\n")
