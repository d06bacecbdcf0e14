"""`onionskin.simple_server` in the place of `wsgiref.simple_server`."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager

import pytest

from onionskin.simple_server import WSGIServer, demo_app, make_server
from server.client import Client, Ended
from server.process import Process

SCRIPT = """
from onionskin import AllowAddresses
from onionskin.simple_server import make_server

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello World"]

application = AllowAddresses(application, {allowed})
server = make_server("", 0, application)
print("port", server.server_port, file=__import__("sys").stderr, flush=True)
server.serve_forever()
print("after", file=__import__("sys").stderr, flush=True)
"""


@contextmanager
def script(tmp_path, allowed: list[str]):
    """A script of a user, as a process; and the address that it listens on."""
    path = tmp_path / "site.py"
    path.write_text(SCRIPT.format(allowed=allowed))
    process = Process([sys.executable, str(path)], tmp_path)
    try:
        port = process.wait_for_line("^port ").split()[1]
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()


@contextmanager
def client_of(server: WSGIServer):
    with Client(f"http://127.0.0.1:{server.server_port}", 10) as client:
        yield client


@contextmanager
def serving(server: WSGIServer):
    """Serves in a thread, until the end of the block."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with client_of(server) as client:
            client.get("/")
        yield thread
    finally:
        server.shutdown()
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.smoke
def test_the_tutorials_script_lets_an_allowed_address_pass(tmp_path):
    with script(tmp_path, ["127.0.0.1"]) as (_, place), Client(place, 10) as client:
        response = client.get("/")
        assert (response.status, response.body) == (200, b"Hello World")


def test_the_tutorials_script_refuses_a_forbidden_address(tmp_path):
    with script(tmp_path, ["10.0.0.1"]) as (_, place), Client(place, 10) as client:
        response = client.get("/")
        assert response.status == 403
        assert b"forbidden" in response.body


@pytest.mark.smoke
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_script_without_a_traceback(tmp_path, number):
    with script(tmp_path, ["127.0.0.1"]) as (process, place):
        with Client(place, 10) as client:
            assert client.get("/").status == 200
        process.signal(number)
        assert process.wait() == 0
        assert "Traceback" not in process.log
        assert "KeyboardInterrupt" not in process.log
        assert process.lines[-1] == "after"


HANDLING = """
import sys
from onionskin.simple_server import demo_app, make_server

with make_server("127.0.0.1", 0, demo_app) as server:
    print("port", server.server_port, file=sys.stderr, flush=True)
    try:
        while True:
            server.handle_request()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
"""


def test_ctrl_c_ends_handle_request(tmp_path):
    path = tmp_path / "site.py"
    path.write_text(HANDLING)
    process = Process([sys.executable, str(path)], tmp_path)
    try:
        port = process.wait_for_line("^port ").split()[1]
        with Client(f"http://127.0.0.1:{port}", 10) as client:
            assert client.get("/").status == 200
        process.signal(signal.SIGINT)
        process.wait_for_line("^interrupted$")
        assert process.wait() == 0
    finally:
        process.kill()


def test_urllib_gets_the_demo_application():
    with make_server("127.0.0.1", 0, demo_app) as server, serving(server):
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=10) as response:
            text = response.read().decode()
        assert text.startswith("Hello world!")
        assert "PATH_INFO = '/'" in text


def test_handle_request_serves_one_and_returns():
    with make_server("127.0.0.1", 0, demo_app) as server:
        for _ in range(2):
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            with client_of(server) as client:
                response = client.get("/")
                assert (response.status, response.header("Connection")) == (200, "close")
                assert client.is_ended()
            thread.join(10)
            assert not thread.is_alive()


def test_requests_beyond_handle_request_wait_for_the_next_one():
    with (
        make_server("127.0.0.1", 0, demo_app) as server,
        client_of(server) as first,
        client_of(server) as second,
    ):
        first.request("GET", "/")
        second.request("GET", "/")
        server.handle_request()
        assert first.response().status == 200
        second.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            second.response()
        second.socket.settimeout(10)
        server.handle_request()
        assert second.response().status == 200


def test_shutdown_from_a_thread_ends_serve_forever():
    with make_server("127.0.0.1", 0, demo_app) as server:
        threading.Timer(0.1, server.shutdown).start()
        since = time.monotonic()
        server.serve_forever()
        assert time.monotonic() - since < 5


def test_shutdown_returns_when_the_request_in_flight_was_answered():
    began, go = threading.Event(), threading.Event()

    def application(environ, start_response):
        began.set()
        assert go.wait(10)
        return demo_app(environ, start_response)

    with make_server("127.0.0.1", 0, application) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with client_of(server) as client:
            client.request("GET", "/")
            assert began.wait(10)
            stopping = threading.Thread(target=server.shutdown)
            stopping.start()
            stopping.join(0.1)
            assert stopping.is_alive()
            go.set()
            assert client.response().status == 200
        stopping.join(10)
        thread.join(10)
        assert not stopping.is_alive() and not thread.is_alive()


def test_the_context_manager_gives_the_port_back():
    with make_server("127.0.0.1", 0, demo_app) as server:
        port = server.server_port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    with make_server("127.0.0.1", port, demo_app) as again:
        assert again.server_port == port


def test_the_port_is_bound_when_the_server_is_made():
    with make_server("127.0.0.1", 0, demo_app) as server, client_of(server) as client:
        client.request("GET", "/")
        with serving(server):
            assert client.response().status == 200


def test_a_taken_port_raises_oserror():
    with (
        make_server("127.0.0.1", 0, demo_app) as server,
        pytest.raises(OSError, match="another program listens"),
    ):
        make_server("127.0.0.1", server.server_port, demo_app)


def test_the_attributes_are_those_of_wsgiref():
    with make_server("127.0.0.1", 0, demo_app) as server:
        assert isinstance(server, WSGIServer)
        assert server.server_name == "127.0.0.1"
        assert server.server_address == ("127.0.0.1", server.server_port)
        assert server.get_app() is demo_app


def test_ipv6_is_served():
    with make_server("::1", 0, demo_app) as server, serving_ipv6(server) as client:
        assert client.get("/").status == 200


@contextmanager
def serving_ipv6(server: WSGIServer):
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with Client(f"http://[::1]:{server.server_port}", 10) as client:
            yield client
    finally:
        server.shutdown()
        thread.join(10)


def test_one_call_at_a_time_is_the_default():
    running, most = [], []

    def application(environ, start_response):
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()
        assert environ["wsgi.multithread"] is False
        return demo_app(environ, start_response)

    with make_server("127.0.0.1", 0, application) as server, serving(server):
        clients = [Client(f"http://127.0.0.1:{server.server_port}", 10) for _ in range(5)]
        for client in clients:
            client.request("GET", "/")
        assert [client.response().status for client in clients] == [200] * 5
        for client in clients:
            client.close()
    assert max(most) == 1


def test_a_server_can_serve_forever_only_once_at_a_time():
    with make_server("127.0.0.1", 0, demo_app) as server, serving(server):
        with pytest.raises(RuntimeError, match="make a new one"):
            server.serve_forever()
        with client_of(server) as client:
            assert client.get("/").status == 200


def test_server_close_while_clients_are_connected_ends_them():
    with make_server("127.0.0.1", 0, demo_app) as server:
        client = Client(f"http://127.0.0.1:{server.server_port}", 10)
    with client, pytest.raises((Ended, OSError)):
        client.get("/")
