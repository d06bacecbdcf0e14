"""Proxy: targets that lie, stop, or break off. No client is told more than is known, and nothing hangs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from onionskin import Proxy
from support.both_doors import serving
from support.client import ask
from support.upstream import CLOSE, Peer, response, upstream
from support.wsgi import Recorder, make_environ, run

if TYPE_CHECKING:
    from collections.abc import Callable

SOON = 5.0
OK = b"HTTP/1.1 200 OK\r\n"
PROMISED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=["native", "outward"])
def status(request: pytest.FixtureRequest) -> Callable[[Any], int]:
    """The status of one GET through each door."""

    def native(app: Any) -> int:
        with serving(app) as place:
            return ask(place, "/").status

    def outward(app: Any) -> int:
        return int(run(app).status[:3])

    return native if request.param == "native" else outward


def saying(data: bytes) -> Callable[[Peer], object]:
    """Answers with these bytes, and closes."""

    def script(peer: Peer) -> object:
        peer.answer(data)
        return CLOSE

    return script


@pytest.mark.parametrize(
    "data",
    {
        "nothing": b"",
        "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/0.9": b"<html></html>",
        "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64",
        "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
        "both lengths": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!",
        "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "a huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
        "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nhello",
        "chunked twice": OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
        "chunked on 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "a space in a name": b"HTTP/1.1 200 OK\r\nContent Length: 5\r\n\r\nhello",
        "a folded line": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        "a NUL": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        "a status of two digits": b"HTTP/1.1 99 What\r\nContent-Length: 0\r\n\r\n",
        "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"Content-Length: 0\r\n\r\n",
        "too large a head": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        "a switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    }.items(),
    ids=lambda item: item[0],
)
def test_what_is_no_response_is_a_bad_gateway(
    status: Callable[[Any], int], data: tuple[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    with upstream(saying(data[1])) as up:
        assert status(Proxy(target=up.url)) == 502
    assert time.monotonic() - began < SOON
    log = capfd.readouterr().err
    assert log.startswith(f"onionskin: proxy: {up.url}: ")
    assert log.count("\n") == 1


@pytest.mark.parametrize(
    "data",
    {
        "ends early": PROMISED + b"x" * 99_999,
        "ends at once": PROMISED,
        "is short and ends early": OK + b"Content-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello",
        "chunks end early": CHUNKED + b"5\r\nhel",
        "no last chunk": CHUNKED + b"5\r\nhello\r\n",
        "no end after the last chunk": CHUNKED + b"5\r\nhello\r\n0\r\n",
        "a chunk size that is none": CHUNKED + b"5\r\nhello\r\nxyz\r\n",
        "a negative chunk size": CHUNKED + b"5\r\nhello\r\n-5\r\n",
        "a chunk size that overflows": CHUNKED + b"5\r\nhello\r\nfffffffffffffffff\r\n",
        "a chunk that is longer than it says": CHUNKED + b"5\r\nhelloworld\r\n0\r\n\r\n",
        "bare line feeds": CHUNKED + b"5\nhello\n0\n\n",
        "endless trailers": CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 10_000,
    }.items(),
    ids=lambda item: item[0],
)
def test_a_body_that_breaks_off_never_looks_whole(data: tuple[str, bytes]) -> None:
    began = time.monotonic()
    with upstream(saying(data[1])) as up:
        app = Proxy(target=up.url)
        with serving(app) as place:
            try:
                reply = ask(place, "/")
            except ConnectionError:
                pass
            else:
                assert (reply.status, reply.whole) in [(200, False), (502, True)]
        start_response = Recorder()
        iterable = app(make_environ(), start_response)
        if start_response.calls and start_response.status == "502 Bad Gateway":
            return
        with pytest.raises(RuntimeError, match="broke off"):
            list(iterable)
        iterable.close()
    assert time.monotonic() - began < SOON


def test_a_target_that_resets_at_any_point_does_no_harm() -> None:
    whole = CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"
    for cut in range(0, len(whole), 3):

        def script(peer: Peer, cut: int = cut) -> object:
            peer.answer(whole[:cut])
            peer.reset()
            return CLOSE

        with upstream(script) as up, serving(Proxy(target=up.url)) as place:
            try:
                reply = ask(place, "/")
            except ConnectionError:
                continue
            assert reply.status == 502 or not reply.whole, cut


def test_a_target_that_resets_before_it_reads_is_a_bad_gateway(status: Callable[[Any], int]) -> None:
    with upstream(lambda peer: peer.reset()) as up:
        assert status(Proxy(target=up.url)) == 502


def test_interim_responses_are_not_passed_on(status: Callable[[Any], int]) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    with upstream(lambda peer: peer.answer(interim + response())) as up:
        assert status(Proxy(target=up.url)) == 200


def test_a_flood_of_interim_responses_ends(status: Callable[[Any], int]) -> None:
    def flood(peer: Peer) -> None:
        peer.request()
        while True:
            peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)

    began = time.monotonic()
    with upstream(flood) as up:
        assert status(Proxy(target=up.url)) == 502
    assert time.monotonic() - began < SOON


def test_a_head_that_trickles_is_given_up_in_time(status: Callable[[Any], int]) -> None:
    def trickle(peer: Peer) -> None:
        peer.request()
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
            peer.send(bytes([byte]))
            time.sleep(0.02)

    began = time.monotonic()
    with upstream(trickle) as up:
        assert status(Proxy(target=up.url, first_byte_timeout="300ms")) == 504
    assert time.monotonic() - began < SOON


def test_a_body_that_stops_is_broken_off_in_time() -> None:
    def stop(peer: Peer) -> None:
        peer.answer(CHUNKED + b"5\r\nhello\r\n")
        peer.ended()

    began = time.monotonic()
    with upstream(stop) as up:
        with serving(Proxy(target=up.url, read_timeout="200ms")) as place:
            assert not ask(place, "/").whole
        with pytest.raises(RuntimeError, match="nothing more within 200ms"):
            run(Proxy(target=up.url, read_timeout="200ms"))
    assert time.monotonic() - began < SOON


def test_a_body_that_trickles_is_broken_off_when_the_whole_takes_too_long() -> None:
    def trickle(peer: Peer) -> None:
        peer.answer(CHUNKED)
        while True:
            peer.send(b"1\r\nx\r\n")
            time.sleep(0.02)

    began = time.monotonic()
    with upstream(trickle) as up, serving(Proxy(target=up.url, total_timeout="300ms")) as place:
        assert not ask(place, "/").whole
    assert time.monotonic() - began < SOON


def test_a_target_that_answers_before_it_has_read_all_is_heard() -> None:
    def refuse(peer: Peer) -> object:
        peer.head()
        peer.send(response(b"too much", "413 Content Too Large"))
        return CLOSE

    with upstream(refuse) as up, serving(Proxy(target=up.url)) as place:
        assert ask(place, "/", "POST", body=b"x" * 10_000_000).status in (413, 502)


def test_bytes_after_a_response_are_not_taken_for_the_next_one(status: Callable[[Any], int]) -> None:
    smuggled = response(b"poison", "218 Poison")
    with upstream(lambda peer: peer.answer(response() + smuggled)) as up:
        app = Proxy(target=up.url)
        assert [status(app) for _ in range(4)] == [200] * 4
    assert up.connections == 4


def test_what_a_target_says_can_not_forge_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    with upstream(saying(b"HTTP/1.1 200 OK\r\nbad\x1b[2J header\r\n\r\n")) as up:
        run(Proxy(target=up.url), make_environ("/a\r\nonionskin: b\x1b"))
    log = capfd.readouterr().err
    assert log.count("\n") == 1
    assert "\x1b" not in log


def test_more_connection_options_than_anybody_needs_are_a_bad_request() -> None:
    def status_of(count: int) -> int:
        options = ", ".join(f"x-{number}" for number in range(count))
        with serving(Proxy(target.url)) as place:
            native = ask(place, "/", headers=[("Connection", options)]).status
        environ = make_environ(HTTP_CONNECTION=options)
        assert int(run(Proxy(target.url), environ).status[:3]) == native
        return native

    with upstream(saying(response(b"hello"))) as target:
        assert (status_of(32), status_of(33)) == (200, 400)


def test_a_response_with_many_connection_options_is_a_bad_gateway(status: Callable[[Any], int]) -> None:
    options = b", ".join(b"x-%d" % number for number in range(33))
    head = OK + b"Connection: close, " + options + b"\r\nContent-Length: 0\r\n\r\n"
    with upstream(saying(head)) as target:
        assert status(Proxy(target.url)) == 502
