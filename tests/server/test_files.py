"""`wsgi.file_wrapper`: files as they are, from where they stand, by the kernel where it can."""

from __future__ import annotations

import hashlib
import os

import pytest

SIZE = 10_000_000


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "large"
    path.write_bytes(os.urandom(1_000_000) * 10)
    return path


@pytest.fixture(scope="module")
def unix_server(tmp_path_factory):
    from server.process import Server

    socket = tmp_path_factory.mktemp("sockets") / "http"
    with Server(bind=[f"unix:{socket}"]) as running:
        yield running


def digest(data: bytes) -> str:
    """So that a failure does not print ten megabytes."""
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_large_file_arrives_as_it_is(server, large_file, version):
    with server.client() as client:
        response = client.get(f"/file?path={large_file}", version=version)
    assert response.header("Content-Length") == str(SIZE)
    assert digest(response.body) == digest(large_file.read_bytes())


def test_a_large_file_arrives_over_a_unix_socket(unix_server, large_file):
    with unix_server.client() as client:
        response = client.get(f"/file?path={large_file}")
        assert digest(response.body) == digest(large_file.read_bytes())
        assert client.get("/hello").body == b"hello"


def test_a_file_is_sent_from_where_it_stands(server, large_file):
    with server.client() as client:
        response = client.get(f"/file?path={large_file}&offset=9999990")
        assert response.body == large_file.read_bytes()[-10:]
        assert response.header("Content-Length") == "10"


def test_a_file_is_sent_as_far_as_the_content_length_says(server, large_file):
    with server.client() as client:
        response = client.get(f"/file?path={large_file}&offset=5&length=20")
        assert response.body == large_file.read_bytes()[5:25]
        assert client.get("/hello").body == b"hello"


def test_a_file_shorter_than_the_content_length_breaks_the_connection_off(server, tmp_path):
    from server.client import Ended

    (tmp_path / "short").write_bytes(b"12345")
    with server.client() as client:
        client.request("GET", f"/file?path={tmp_path / 'short'}&length=10")
        assert client.head().status == 200
        with pytest.raises(Ended):
            client.take(10)


def test_an_empty_file_is_an_empty_body(server, tmp_path):
    (tmp_path / "empty").touch()
    with server.client() as client:
        assert client.get(f"/file?path={tmp_path / 'empty'}").body == b""
        assert client.get("/hello").body == b"hello"


def test_a_file_that_cannot_be_sent_by_the_kernel_is_read(server):
    with server.client() as client:
        assert client.get("/file?path=/proc/self/status").body.startswith(b"Name:")
        assert client.get("/hello").body == b"hello"


def test_a_file_is_closed_when_it_was_sent(server, large_file):
    server.get(f"/file?path={large_file}&name=sent")
    server.wait_for_line("event: closed sent")


def test_a_file_is_closed_when_the_client_leaves(server, large_file):
    with server.client() as client:
        client.request("GET", f"/file?path={large_file}&name=left")
        client.head()
    server.wait_for_line("event: closed left")


def test_a_file_is_closed_when_only_its_head_was_asked_for(server, large_file):
    with server.client() as client:
        client.request("HEAD", f"/file?path={large_file}&name=head")
        assert client.response("HEAD").header("Content-Length") == str(SIZE)
        server.wait_for_line("event: closed head")
        assert client.get("/hello").body == b"hello"


def test_a_slow_reader_of_a_file_holds_no_thread(serve, large_file):
    server = serve(threads=1)
    with server.client() as slow:
        slow.request("GET", f"/file?path={large_file}")
        slow.head()
        for _ in range(3):
            assert server.get("/hello") == b"hello"
        assert len(slow.take(SIZE)) == SIZE
