"""HTTP/2: over TLS and by prior knowledge, responses of every kind, each stream a request of its own."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest
from hyperframe import frame as frames

from doors import bodies
from server.process import wait_until
from support import shapes
from support.authority import Authority
from support.gate import Gate
from support.http2 import RawClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from server.process import Server

TESTS = bodies.__file__.rpartition("/doors/")[0]
CANCEL = 0x8


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom the clients of a test believe."""
    return Authority(tmp_path)


@pytest.fixture(params=["tls", "plain"])
def client(
    request: pytest.FixtureRequest, serve: Callable[..., Server], authority: Authority
) -> Iterator[httpx.Client]:
    """A client of the scripted application, which speaks HTTP/2 and nothing else."""
    options = {"target": "doors.served:layered", "cwd": TESTS}
    if request.param == "tls":
        server = serve(*authority.pair("localhost").options, bind=("https://127.0.0.1:0",), **options)
        address = f"https://localhost:{server.port}"
    else:
        server = serve(**options)
        address = f"http://localhost:{server.port}"
    context = authority.context()
    with httpx.Client(http1=False, http2=True, verify=context, base_url=address) as speaking:
        yield speaking
    assert "panicked" not in server.log


@pytest.mark.parametrize(("target", "body"), [*shapes.ITERATED.items(), *shapes.WRITTEN.items()])
def test_a_body_of_any_shape_arrives_whole(client: httpx.Client, target: str, body: bytes) -> None:
    reply = client.get(target)
    assert (reply.http_version, reply.status_code, reply.content) == ("HTTP/2", 200, body)


@pytest.mark.parametrize(("target", "status"), [("/no_content", 204), ("/not_modified", 304)])
def test_a_status_without_a_body_has_none(client: httpx.Client, target: str, status: int) -> None:
    reply = client.get(target)
    assert (reply.status_code, reply.content) == (status, b"")


def test_a_head_answer_has_the_applications_headers_and_no_body(client: httpx.Client) -> None:
    reply = client.head("/sized")
    assert (reply.status_code, reply.headers["content-length"], reply.content) == (200, "7", b"")


def test_a_body_that_breaks_off_or_is_too_short_is_a_reset_of_its_stream_alone(client: httpx.Client) -> None:
    for target in ("/middle_fault", "/underrun"):
        with pytest.raises(httpx.RemoteProtocolError, match=r"INTERNAL_ERROR|StreamReset"):
            client.get(target)
    assert client.get("/hello").content == b"hello\n"


def test_a_body_is_not_longer_than_its_content_length(client: httpx.Client) -> None:
    reply = client.get("/overrun")
    assert reply.content == b"one "


def test_cookies_stay_apart_and_in_order(client: httpx.Client) -> None:
    assert client.get("/cookies").headers.get_list("set-cookie") == ["a=1; Path=/", "b=2"]


def test_an_upload_arrives_whole(client: httpx.Client) -> None:
    body = b"0123456789abcdef" * 200_000
    assert client.post("/echo?way=read", content=body).content == body
    blocks = (body[at : at + 50_000] for at in range(0, len(body), 50_000))
    assert client.post("/echo?way=read", content=blocks).content == body


def test_no_block_waits_for_the_next(client: httpx.Client) -> None:
    with Gate() as gate, client.stream("GET", f"/stream?gate={gate.port}") as reply:
        blocks = reply.iter_raw()
        gate.reached()
        assert next(blocks).startswith(b"first|")
        gate.open()
        assert b"second" in b"".join(blocks)


def test_applications_are_told_of_http_2(serve: Callable[..., Server]) -> None:
    server = serve()
    with RawClient(server.port) as client:
        fields = [("cookie", "a=1"), ("cookie", "b=2"), ("x_real_ip", "1.2.3.4"), ("x-name", "value")]
        texts = json.loads(client.response(client.request("/environ_as_json?q=%20", *fields))[1])["texts"]
    assert (texts["SERVER_PROTOCOL"], texts["HTTP_HOST"], texts["HTTP_COOKIE"]) == (
        "HTTP/2.0",
        "a",
        "a=1; b=2",
    )
    assert (texts["REQUEST_URI"], texts["QUERY_STRING"]) == ("/environ_as_json?q=%20", "q=%20")
    assert (texts["HTTP_X_NAME"], "HTTP_X_REAL_IP" in texts) == ("value", False)


def test_names_of_fields_are_in_lower_case_and_none_belongs_to_a_connection(
    serve: Callable[..., Server],
) -> None:
    server = serve()
    with RawClient(server.port) as client:
        stream = client.request("/header?name=Keep-Alive&value=5")
        fields = client.until(frames.HeadersFrame, stream).fields
    assert not {"keep-alive", "connection", "transfer-encoding"} & fields.keys()
    assert all(name == name.lower() for name in fields)
    assert {"date", "server"} <= fields.keys()


def test_streams_are_answered_side_by_side(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(threads=4)
    file = tmp_path / "go"
    with RawClient(server.port) as client:
        held = client.request(f"/hold?file={file}&name=held")
        server.wait_for_line("held")
        quick = client.request("/hello")
        assert client.response(quick) == (200, b"hello")
        file.touch()
        assert client.response(held)[0] == 200


def test_a_stream_that_its_client_resets_is_closed_on_its_own_thread(serve: Callable[..., Server]) -> None:
    server = serve()
    with RawClient(server.port) as client:
        stream = client.request("/endless?name=left")
        client.until(frames.DataFrame, stream)
        client.send(frames.RstStreamFrame(stream, CANCEL))
        server.wait_for_line("event: closed left")
        client.send(frames.WindowUpdateFrame(0, window_increment=1 << 20))
        assert client.response(client.request("/hello")) == (200, b"hello")


def test_an_upload_that_its_client_resets_never_reaches_the_application(serve: Callable[..., Server]) -> None:
    server = serve()
    with RawClient(server.port) as client:
        stream = client.request("/reads?name=cut", body=b"x" * 10, end=False)
        client.send(frames.RstStreamFrame(stream, CANCEL))
        assert client.response(client.request("/hello")) == (200, b"hello")
    assert "reading cut" not in server.log


def test_a_large_body_is_refused_by_its_length_or_when_it_is_too_much(serve: Callable[..., Server]) -> None:
    server = serve("--max-body", "1KiB")
    with RawClient(server.port) as client:
        stream = client.request("/reads", ("content-length", "2000"), body=b"x", end=False)
        assert client.response(stream)[0] == 413
        stream = client.request("/reads", body=b"x" * 2000)
        assert client.response(stream)[0] == 413
        assert client.response(client.request("/hello")) == (200, b"hello")


def test_a_slow_body_is_given_up(serve: Callable[..., Server]) -> None:
    server = serve("--body-timeout", "300ms")
    with RawClient(server.port) as client:
        stream = client.request("/reads", body=b"x", end=False)
        assert client.response(stream)[0] == 408


def test_the_server_stops_when_its_streams_are_answered(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    file = tmp_path / "go"
    with RawClient(server.port) as client, RawClient(server.port) as idle:
        held = client.request(f"/hold?file={file}&name=held")
        assert idle.response(idle.request("/hello"))[0] == 200
        server.wait_for_line("held")
        server.signal(signal.SIGTERM)
        assert client.until(frames.GoAwayFrame).error_code == 0
        file.touch()
        assert client.response(held)[0] == 200
        assert server.wait() == 0


def test_http_2_is_not_spoken_where_it_is_not_wanted(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(
        "--no-http2", *authority.pair("localhost").options, bind=("127.0.0.1:0", "https://127.0.0.1:0")
    )
    with server.client() as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert client.response().status == 505
    port = server.places[1].rpartition(":")[2]
    with httpx.Client(http2=True, verify=authority.context()) as speaking:
        assert speaking.get(f"https://localhost:{port}/hello").http_version == "HTTP/1.1"


def test_curl_and_h2load_are_content(serve: Callable[..., Server], authority: Authority) -> None:
    server = serve(
        *authority.pair("localhost").options, bind=("https://127.0.0.1:0", "127.0.0.1:0"), threads=2
    )
    place = f"https://localhost:{server.port}"
    curl = ("curl", "-sS", "--http2", "--cacert", str(authority.file), "-w", "|%{http_version}")
    upload = ("--data-binary", "x" * 100_000, f"{place}/echo")
    digest = hashlib.sha256(b"x" * 100_000).hexdigest()
    said = subprocess.run((*curl, *upload), capture_output=True, text=True, check=True).stdout
    assert said == f"100000 100000 {digest}|2"
    h2load = shutil.which("h2load")
    if not h2load:
        pytest.skip("h2load is not installed")
    for address in (place, server.places[1]):
        command = (h2load, "-n", "2000", "-c", "4", "-m", "20", f"{address}/quick_generator")
        loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in loaded, loaded


def test_the_access_log_has_a_line_for_each_stream(serve: Callable[..., Server], tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    server = serve("--access-log", str(log))
    with RawClient(server.port) as client:
        assert client.response(client.request("/hello"))[0] == 200
        stream = client.request("/endless?name=left")
        client.until(frames.DataFrame, stream)
        client.send(frames.RstStreamFrame(stream, CANCEL))
        server.wait_for_line("closed left")
    wait_until(lambda: log.exists() and log.read_text().count("\n") == 2)
    first, second = log.read_text().splitlines()
    assert '"GET /hello HTTP/2.0" 200 5' in first
    assert '"GET /endless?name=left HTTP/2.0" 200' in second
