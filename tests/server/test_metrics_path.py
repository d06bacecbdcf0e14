"""Metrics on a path of the site itself: for those who may see them, ahead of all layers, without Python."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from server.client import Client
from server.process import APPLICATION, HERE, ONIONSKIN, PATIENCE, wait_until
from server.scraping import numbers_of, scrape
from server.test_concurrency import AT_ONCE, duration
from support.authority import Authority
from support.http2 import RawClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.process import Server

    Serve = Callable[..., Server]

PATH = "/-/metrics"
ON = ("--metrics-path", PATH)
OK = 'requests_total{method="GET",status="200"}'


def test_the_numbers_are_told_on_the_site(serve: Serve) -> None:
    server = serve(*ON)
    with server.client() as client:
        assert client.get("/hello").body == b"hello"
        told = numbers_of(client.get(f"{PATH}?debug=1"))
        assert told[OK] == 1
        # Itself.
        assert told["requests_in_flight"] == told['connections{state="active"}'] == 1
        assert numbers_of(client.get(PATH))[OK] == 2


def test_without_the_option_the_path_is_the_applications(serve: Serve) -> None:
    server = serve()
    assert server.get(PATH) == b"hello"


def test_strangers_get_the_applications_answer(serve: Serve) -> None:
    server = serve(*ON, "--metrics-allow", "10.0.0.0/8", "--proxy-protocol-from", "127.0.0.1")

    def asked(address: str) -> bytes:
        with server.client() as client:
            client.send(f"PROXY TCP4 {address} 192.0.2.2 56324 80\r\n".encode())
            return client.get(PATH).body

    assert asked("127.0.0.1") == asked("203.0.113.7") == b"hello"
    assert asked("10.1.2.3").startswith(b"# HELP onionskin_")


def test_by_default_private_networks_may_ask(serve: Serve) -> None:
    server = serve(*ON, "--proxy-protocol-from", "127.0.0.1")
    for address, may in [("192.168.1.2", True), ("203.0.113.7", False)]:
        with server.client() as client:
            client.send(f"PROXY TCP4 {address} 192.0.2.2 56324 80\r\n".encode())
            assert client.get(PATH).body.startswith(b"# HELP") == may


def test_heads_are_answered_and_other_methods_are_not(serve: Serve) -> None:
    server = serve(*ON)
    with server.client() as client:
        client.request("HEAD", PATH)
        head = client.response("HEAD")
        assert (head.status, head.header("Content-Type")) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert int(head.header("Content-Length") or 0) > 1000
        client.request("POST", PATH, body=b"x")
        refused = client.response()
        assert (refused.status, refused.header("Allow")) == (405, "GET, HEAD")


def test_the_numbers_are_told_over_unix_sockets(serve: Serve, tmp_path: Path) -> None:
    place = f"unix:{tmp_path / 'site.sock'}"
    serve(*ON, bind=(place,))
    assert scrape(place, PATH)["connections_total"] == 1


@pytest.mark.parametrize("way", ["with its head", "after it", "chunked", "http/2"])
def test_the_bodies_of_requests_are_measured(serve: Serve, way: str) -> None:
    server = serve(*ON)
    size, head = 3000, b"POST /echo HTTP/1.1\r\nHost: a\r\n"
    if way == "http/2":
        with RawClient(server.port) as speaking:
            assert speaking.response(speaking.request("/echo", body=b"x" * size))[0] == 200
    with server.client() as client:
        if way == "with its head":
            client.request("POST", "/echo", body=b"x" * size)
        elif way == "after it":
            client.request("POST", "/echo", f"Content-Length: {size}")
            client.send(b"x" * 1000)
            client.send(b"x" * 2000)
        elif way == "chunked":
            client.send(head + b"Transfer-Encoding: chunked\r\n\r\nbb8\r\n" + b"x" * size + b"\r\n0\r\n\r\n")
        if way != "http/2":
            assert client.response().status == 200
    wait_until(lambda: scrape(server.places[0], PATH)["request_body_bytes_sum"] == size)


def test_the_numbers_are_told_over_http2(serve: Serve) -> None:
    with RawClient(serve(*ON).port) as client:
        status, body = client.response(client.request(PATH))
    assert status == 200
    assert b"\nonionskin_connections_total 1\n" in body


def test_the_numbers_are_told_over_tls(serve: Serve, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = serve(*ON, *authority.pair("localhost").options, bind=("https://127.0.0.1:0",))
    context = authority.context()
    with Client(server.places[0].replace("https:", "http:"), PATIENCE) as client:
        client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
        assert numbers_of(client.get(PATH))["connections_total"] == 1


def test_the_numbers_are_told_while_every_thread_is_stuck(serve: Serve, tmp_path: Path) -> None:
    server = serve(*ON, threads=1)
    with server.client() as first, server.client() as second, server.client() as third:
        first.request("GET", f"/hold?file={tmp_path / 'go'}")
        server.wait_for_line("event: holding")
        second.request("GET", "/hello")
        wait_until(lambda: numbers_of(third.get(PATH))["application_queue"] == 1)
        assert duration(lambda: third.get(PATH), 200) < AT_ONCE
        (tmp_path / "go").touch()
        assert first.response().body == b"held"
        assert second.response().body == b"hello"


def test_the_same_is_told_on_a_listener(serve: Serve, tmp_path: Path) -> None:
    place = f"unix:{tmp_path / 'metrics.sock'}"
    server = serve(*ON, "--metrics-bind", place)
    assert server.get("/hello") == b"hello"
    wait_until(lambda: scrape(place)[OK] == 1)
    assert scrape(server.places[0], PATH)[OK] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--metrics-path", "metrics"), '--metrics-path: "metrics" is no path of a page; write /-/metrics, '),
        (("--metrics-path", "/"), "--metrics-path: "),
        (("--metrics-path", "/-/live"), 'metrics_path: health is told at "/-/live", by health_path; give '),
        ((*ON, "--metrics-allow", "nobody"), "metrics_allow[0]: "),
    ],
)
@pytest.mark.parametrize("command", ["serve", "check"])
def test_what_is_no_path_is_refused(command: str, options: tuple[str, ...], said: str) -> None:
    arguments = [*ONIONSKIN, command, APPLICATION, *options]
    refused = subprocess.run(arguments, cwd=HERE, capture_output=True, text=True, check=False)
    assert refused.returncode == 2, refused
    (line,) = refused.stderr.splitlines()
    assert said in line
