"""Where a server listens: TCP of both kinds, Unix sockets, several places at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import sys

import pytest

from server.process import ONIONSKIN, Process


@pytest.mark.smoke
def test_a_unix_socket_is_served_and_its_file_removed(serve, tmp_path):
    path = tmp_path / "site.sock"
    server = serve(bind=[f"unix:{path}"])
    assert stat.S_ISSOCK(path.stat().st_mode)
    with server.client() as client:
        for _ in range(3):
            assert client.get("/hello").body == b"hello"
    assert server.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("workers", [(), ("--workers", "1")])
def test_a_unix_sockets_file_has_the_mode_that_was_asked_for(serve, tmp_path, workers):
    path = tmp_path / "site.sock"
    with serve("--unix-mode", "0606", *workers, bind=(f"unix:{path}",)) as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o606
        assert server.get("/hello") == b"hello"


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket_is_served_and_has_no_file(serve, tmp_path):
    name = f"onionskin-{os.getpid()}-{tmp_path.name}"
    serve(bind=(f"unix:@{name}",))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{name}")
        client.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
        assert client.makefile("rb").read().endswith(b"hello")
    assert not list(tmp_path.iterdir())


def test_a_client_of_a_unix_socket_has_no_address(serve, tmp_path):
    server = serve(bind=[f"unix:{tmp_path / 'site.sock'}"])
    texts = json.loads(server.get("/environ_as_json"))["texts"]
    assert (texts["REMOTE_ADDR"], texts["REMOTE_PORT"]) == ("", "")
    assert texts["SERVER_NAME"] and texts["SERVER_PORT"]


def test_a_socket_that_was_left_behind_is_replaced(serve, tmp_path):
    path = tmp_path / "site.sock"
    killed = serve(bind=[f"unix:{path}"])
    killed.signal(signal.SIGKILL)
    killed.wait()
    assert path.exists()
    assert serve(bind=[f"unix:{path}"]).get("/hello") == b"hello"


def test_a_socket_in_use_is_left_alone(serve, tmp_path):
    path = tmp_path / "site.sock"
    server = serve(bind=[f"unix:{path}"])
    second = Process([*ONIONSKIN, "serve", "applications.py", "--bind", f"unix:{path}"])
    assert second.wait() == 2
    second.kill()
    assert second.lines == [f"onionskin: {second.lines[0].removeprefix('onionskin: ')}"]
    assert str(path) in second.lines[0]
    assert server.get("/hello") == b"hello"


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    process = Process([*ONIONSKIN, "serve", "applications.py", "--bind", f"unix:{path}"])
    assert process.wait() == 2
    process.kill()
    assert path.read_text() == "data"
    assert len(process.lines) == 1


def test_a_restarted_server_does_not_lose_its_socket(serve, tmp_path):
    """The old server's stop must not remove the file of the new one."""
    path = tmp_path / "site.sock"
    old = serve(bind=[f"unix:{path}"])
    path.unlink()
    new = serve(bind=[f"unix:{path}"])
    assert old.stop() == 0
    assert new.get("/hello") == b"hello"


def test_ipv6_is_served(serve):
    server = serve(bind=["[::1]:0"])
    assert server.places[0].startswith("http://[::1]:")
    texts = json.loads(server.get("/environ_as_json"))["texts"]
    assert (texts["REMOTE_ADDR"], texts["SERVER_NAME"]) == ("::1", "::1")


def test_several_places_are_served_at_once(serve, tmp_path):
    server = serve(bind=["127.0.0.1:0", "[::1]:0", f"unix:{tmp_path / 'site.sock'}"])
    assert len(server.places) == 3
    processes = {server.get("/process_id", place) for place in range(3)}
    assert processes == {str(server.popen.pid).encode()}


def test_an_empty_host_is_every_ipv4_address(serve):
    server = serve(bind=[":0"])
    port = server.port
    with socket.create_connection(("127.0.0.2", port), 5) as connection:
        connection.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def test_the_same_port_may_be_served_on_both_families(serve):
    first = serve(bind=["0.0.0.0:0"])
    second = serve(bind=[f"[::]:{first.port}"])
    assert first.get("/hello") == b"hello"
    with socket.create_connection(("::1", second.port), 5) as connection:
        connection.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_port_can_be_bound_again_at_once(serve):
    first = serve()
    with first.client() as client:
        client.get("/hello")
        assert first.stop() == 0
    again = serve(bind=[f"127.0.0.1:{first.port}"])
    assert again.get("/hello") == b"hello"


@pytest.mark.parametrize("workers", [(), ("--workers", "1")])
def test_a_unix_sockets_file_gets_the_owner_that_was_asked_for(serve, tmp_path, workers):
    path = tmp_path / "site.sock"
    # Root may give it to anybody, others to a group of their own.
    user, group = (65534, 65533) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    with serve("--unix-owner", f"{user}:{group}", *workers, bind=(f"unix:{path}",)) as server:
        assert (path.stat().st_uid, path.stat().st_gid) == (user, group)
        assert server.get("/hello") == b"hello"


@pytest.mark.parametrize(
    ("owner", "told"),
    [
        ("nobody-of-that-name", "there is no user"),
        (":no-such-group", "there is no group"),
        ("a:b:c", "no owner"),
    ],
)
def test_an_owner_that_is_not_there_is_told_in_one_line(tmp_path, owner, told):
    path = tmp_path / "site.sock"
    command = [*ONIONSKIN, "serve", "applications.py", "--bind", f"unix:{path}", "--unix-owner", owner]
    process = Process(command)
    assert process.wait() == 2
    process.kill()
    assert len(process.lines) == 1
    assert told in process.lines[0]
    assert not path.exists()


def test_a_port_is_shared_where_both_servers_say_so(serve):
    first = serve("--reuse-port")
    second = serve("--reuse-port", bind=[f"127.0.0.1:{first.port}"])
    assert second.port == first.port
    assert second.get("/hello") == b"hello"
    taken = Process([*ONIONSKIN, "serve", "applications.py", "--bind", f"127.0.0.1:{first.port}"])
    assert taken.wait() == 2
    taken.kill()
    assert "another program listens there" in taken.lines[0]
