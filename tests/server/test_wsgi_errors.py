"""`wsgi.errors`: whose request a line is of, and what becomes of an application when nobody reads it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from onionskin.simple_server import make_server
from server.client import Client
from server.process import HERE, ONIONSKIN, PATIENCE, wait_until
from server.test_error_log import written

TRACEBACK = "/complain?text=Traceback:%0A%20%20line%0A%0AValueError"


def test_each_line_shows_the_id_of_its_request(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), "--layer", "request_id")
    with server.client() as client:
        first = client.get(TRACEBACK).header("X-Request-Id")
        second = client.get("/complain?text=other").header("X-Request-Id")
    written(log, "other")
    assert log.read_text() == (
        f"(request {first}) Traceback:\n(request {first})   line\n\n(request {first}) ValueError\n"
        f"(request {second}) other\n"
    )


def test_in_json_the_id_is_a_field(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), "--error-log-format", "json", "--layer", "request_id")
    with server.client() as client:
        id = client.get("/complain").header("X-Request-Id")
    told = json.loads(written(log, "a complaint"))
    assert (told["source"], told["message"], told["request_id"]) == ("application", "a complaint", id)
    assert len(told["trace_id"]) == 32


def test_what_is_left_of_a_line_goes_out_with_its_request(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), "--layer", "request_id")
    with server.client() as client:
        first = client.get("/complain?rest=no%20end").header("X-Request-Id")
        second = client.get("/complain?text=other").header("X-Request-Id")
    written(log, "other")
    assert log.read_text().splitlines() == [
        f"(request {first}) a complaint",
        f"(request {first}) no end",
        f"(request {second}) other",
    ]


def test_a_response_that_goes_on_shows_it_too(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), "--layer", "request_id")
    with server.client() as client:
        id = client.get("/large?blocks=3&name=it").header("X-Request-Id")
    written(log, "closed it")
    lines = log.read_text().splitlines()
    assert len(lines) == 5
    assert all(line.startswith(f"(request {id}) event: ") for line in lines)


INSIDE = """
from onionskin import RequestId

def application(environ, start_response):
    print("a complaint", file=environ["wsgi.errors"])
    start_response("200 OK", [])
    return []

inside = RequestId()(application)

def middleware(environ, start_response):
    return inside(environ, start_response)
"""


def test_the_id_may_come_from_a_layer_behind_middleware_of_python(serve, tmp_path):
    (tmp_path / "site_of_test.py").write_text(INSIDE)
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), target="site_of_test.py:middleware", cwd=tmp_path)
    with server.client() as client:
        id = client.get("/").header("X-Request-Id")
    assert written(log, "a complaint") == f"(request {id}) a complaint"
    outer = serve(
        "--error-log",
        str(log),
        "--layer",
        "request_id:header=x-outer",
        target="site_of_test.py:middleware",
        cwd=tmp_path,
    )
    with outer.client() as client:
        id = client.get("/").header("X-Outer")
    assert written(log, id) == f"(request {id}) a complaint"


def test_where_requests_are_traced_a_line_shows_the_trace(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), "--otlp-endpoint", "http://127.0.0.1:9")
    with server.client() as client:
        trace = client.get("/complain").body.decode().split("-")[1]
        written(log, "a complaint")
        own = client.get("/raises")
    assert own.status == 500
    assert written(log, "a complaint") == f"(trace {trace}) a complaint"
    assert "(trace " in written(log, "the application raised on GET /raises")


def test_a_call_that_is_timed_out_is_told_with_its_id(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), "--layer", "request_id", "--request-timeout", "100ms")
    with server.client() as client:
        response = client.get("/spin")
    assert response.status == 504
    # The answer in the application's place is none of the layer's.
    assert "(request " in written(log, "takes longer than 0.1s: it is timed out")


class Piped:
    """A server whose standard error is a pipe with a name: its reader may go, and come again."""

    def __init__(self, folder) -> None:
        self.name, self.place = folder / "stderr", folder / "site.sock"
        os.mkfifo(self.name)
        command = [*ONIONSKIN, "serve", "applications.py:application", "--bind", f"unix:{self.place}"]
        # Held open until the server has it: none can be opened to write without a reader.
        reading = os.open(self.name, os.O_RDONLY | os.O_NONBLOCK)
        with self.name.open("wb") as writing:
            self.popen = subprocess.Popen(command, cwd=HERE, stdin=subprocess.DEVNULL, stderr=writing)
        self.reading = reading
        self.read_until("(applications.application)\n")

    def read_until(self, text: str) -> str:
        """What is read up to a text."""
        read = ""

        def has_come() -> bool:
            nonlocal read
            with contextlib.suppress(BlockingIOError):
                read += os.read(self.reading, 4096).decode()
            return text in read

        wait_until(has_come)
        return read

    def leave(self) -> None:
        """Nobody reads any more."""
        os.close(self.reading)

    def come_again(self) -> None:
        """Somebody reads again."""
        self.reading = os.open(self.name, os.O_RDONLY | os.O_NONBLOCK)

    def get(self, path: str) -> int:
        """The status of an answer."""
        with Client(f"unix:{self.place}", PATIENCE) as client:
            return client.get(path).status


@pytest.fixture
def piped(tmp_path):
    server = Piped(tmp_path)
    yield server
    server.popen.kill()
    server.popen.wait()
    with contextlib.suppress(OSError):
        server.leave()


def test_a_reader_that_has_gone_costs_the_application_nothing(piped):
    piped.leave()
    for _ in range(5):
        assert piped.get("/complain") == 200
    assert piped.get("/raises") == 500
    assert piped.get("/large?blocks=3") == 200


def test_what_was_lost_is_told_to_the_next_reader(piped):
    piped.leave()
    for _ in range(3):
        assert piped.get("/complain") == 200
    piped.come_again()
    assert piped.get("/complain") == 200
    assert "standard error took nothing for a while: " in piped.read_until("lines were lost\n")
    assert piped.get("/complain?text=as+before") == 200
    assert "lost" not in piped.read_until("as before\n").partition("a complaint\n")[2]


def test_a_stop_is_clean_though_nobody_reads_what_was_said(piped):
    piped.leave()
    assert piped.get("/complain") == 200
    piped.popen.send_signal(signal.SIGTERM)
    assert piped.popen.wait(PATIENCE) == 0


def test_tracebacks_wait_for_no_reader(piped):
    """The pipe is full, and stays so."""
    with piped.name.open("wb", buffering=0) as writing:
        os.set_blocking(writing.fileno(), False)
        while writing.write(b"x" * 512):
            pass
        for _ in range(3):
            assert piped.get("/raises") == 500
    assert piped.get("/hello") == 200


def test_without_a_standard_error_what_is_said_is_lost(tmp_path):
    place, bound = tmp_path / "site.sock", tmp_path / "pid"
    command = [*ONIONSKIN, "serve", "applications.py:application", "--bind", f"unix:{place}"]
    command += ["--pid-file", str(bound)]
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    with subprocess.Popen(closed, cwd=HERE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as server:
        try:
            wait_until(bound.exists)
            # No socket has its number: what is said would go to a client.
            assert str(Path(f"/proc/{server.pid}/fd/2").readlink()) == os.devnull
            with Client(f"unix:{place}", PATIENCE) as client:
                assert client.get("/complain").status == 200
                assert client.get("/raises").status == 500
            server.terminate()
            assert server.communicate(timeout=PATIENCE) == (b"", None)
            assert server.returncode == 0
        finally:
            server.kill()


def test_it_may_take_the_place_of_standard_error(serve):
    server = serve()
    assert server.get("/complain_in_circles") == b"utf-8"
    assert server.wait_for_line("a round complaint") == "a round complaint"


def complaining(environ, start_response):
    print("a complaint", file=environ["wsgi.errors"], flush=True)
    start_response("200 OK", [])
    return []


def test_who_redirects_standard_error_gets_it(capsys):
    with make_server("127.0.0.1", 0, complaining) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with Client(f"http://127.0.0.1:{server.server_port}", PATIENCE) as client:
                client.get("/")
                assert capsys.readouterr().err == "a complaint\n"
                with contextlib.redirect_stderr(io.StringIO()) as redirected:
                    client.get("/")
                assert redirected.getvalue() == "a complaint\n"
                before, sys.stderr = sys.stderr, None
                try:
                    assert client.get("/").status == 200
                finally:
                    sys.stderr = before
        finally:
            server.shutdown()
            thread.join()


MEMBERS = """
import io

def app(environ, start_response):
    stream = environ["wsgi.errors"]
    seen = []
    for name in sorted(name for name in dir(io.TextIOBase) if not name.startswith("_")):
        value = getattr(stream, name)
        if callable(value) and name not in ("write", "writelines", "close", "flush"):
            try:
                value = value(0) if name == "seek" else value()
            except OSError:
                value = "unsupported"
        seen.append(f"{name}={value if not callable(value) else 'method'}")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(seen).encode()]
"""


@pytest.mark.parametrize("log", [(), ("--error-log", "error.log")], ids=["standard", "file"])
def test_it_has_all_members_of_a_text_stream_and_cannot_be_read(serve, tmp_path, log):
    (tmp_path / "members.py").write_text(MEMBERS)
    server = serve(*log, target="members:app", cwd=tmp_path)
    with server.client() as client:
        seen = dict(member.split("=") for member in client.get("/").body.decode().split(" "))
    refused = {name for name, value in seen.items() if value == "unsupported"}
    assert refused >= {"detach", "read", "readline", "readlines"} | ({"fileno", "tell"} if log else set())
    assert (seen["encoding"], seen["closed"], seen["newlines"]) == ("utf-8", "False", "None")
    assert [seen[name] for name in ("readable", "writable", "seekable")] == ["False", "True", "False"]
