"""Pages for requests that no layer sees (`error_pages`), and log lines that name their request."""

from __future__ import annotations

import subprocess

import pytest
from hyperframe import frame as frames

from server.process import HERE, ONIONSKIN
from server.test_access_log import lines
from support.http2 import RawClient

BROKEN = {
    b"GET /\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n": 400,
    b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n": 414,
}


@pytest.mark.parametrize("sent", BROKEN)
def test_a_rejected_request_gets_a_page(serve, sent):
    server = serve("--error-pages", "default")
    with server.client() as client:
        client.send(sent)
        response = client.response()
        assert response.status == BROKEN[sent]
        assert response.header("Content-Type") == "text/html; charset=utf-8"
        assert f"<title>{response.status} {response.reason}: ".encode() in response.body


def test_a_page_of_a_folder_is_filled(serve, tmp_path):
    (tmp_path / "414.html").write_text("<h1>{{status}}, {{reason}}</h1>")
    server = serve("--error-pages", str(tmp_path), "--max-request-line", "100B")
    with server.client() as client:
        response = client.get("/" + "x" * 100)
        assert response.body == b"<h1>414, URI Too Long: the request line is too long</h1>"


def test_a_rejected_stream_gets_a_page(serve):
    server = serve("--error-pages", "default")
    with RawClient(server.port) as client:
        stream = client.request("/hello", ("expect", "miracles"))
        fields = client.until(frames.HeadersFrame, stream).fields
        assert (fields[":status"], fields["content-type"]) == ("417", "text/html; charset=utf-8")
        assert b"unknown expectation" in client.until(frames.DataFrame, stream).data


def test_without_pages_it_is_one_line(serve):
    server = serve()
    with server.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert client.response().header("Content-Type") == "text/plain; charset=utf-8"


def test_pages_that_are_not_there_are_refused(tmp_path):
    command = [*ONIONSKIN, "check", "applications.py:application", "--error-pages", str(tmp_path / "none")]
    checked = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert checked.returncode == 2
    assert "error_pages: " in checked.stderr


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/overrun", "the application gave more body than its Content-Length on GET /overrun: cut"),
        ("/underrun", r"Content-Length on GET /underrun"),
        ("/two_lengths", "the response to GET /two_lengths cannot be sent: "),
    ],
)
def test_what_is_wrong_with_a_response_names_its_request(serve, tmp_path, path, line, http2):
    log = tmp_path / "access.log"
    server = serve("--access-log", str(log), "--layer", "request_id")
    if http2:
        with RawClient(server.port) as client:
            client.request(path + "?how=list")
            server.wait_for_line(line + r".* \(request \S+\)$")
    else:
        with server.client() as client:
            client.request("GET", path + "?how=list")
            server.wait_for_line(line + r".* \(request \S+\)$")
    assert "how=list" not in server.log


def test_all_lines_of_a_field_are_logged(serve, tmp_path):
    log = tmp_path / "access.log"
    shown = "{response_header.vary}|{request_header.x-many}|{request_header.host}"
    server = serve("--access-log", str(log), "--access-log-format", shown)
    with server.client() as client:
        assert client.get("/varies", "X-Many: 1", "X-Many: 2", "X-Many: 3").status == 200
    with RawClient(server.port) as client:
        assert client.response(client.request("/varies", ("x-many", "1"), ("x-many", "2")))[0] == 200
    assert lines(log, 2) == ["Accept, Cookie|1, 2, 3|a", "Accept, Cookie|1, 2|a"]
