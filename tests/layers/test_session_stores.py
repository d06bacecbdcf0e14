"""Session in its stores: shared by processes, changed by many at once, killed meanwhile, and down."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from onionskin import Session
from support.both_doors import serving
from support.client import ask
from support.servers import HOST, STEP_SECONDS, TESTS, free_port
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "for-tests-only: kP2vN8xQ4mT7wR1zL5cB9hF3jD6gS0yA"
WAIT_SECONDS = 10.0
WRITERS = 64


class Redis:
    """A real Redis on a free port."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        options = ["--port", str(self.port), "--bind", HOST, "--save", "", "--dir", str(self.directory)]
        self.process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + WAIT_SECONDS
        while self.command("PING") != "+PONG":
            assert time.monotonic() < deadline, "Redis does not start"
            time.sleep(STEP_SECONDS)

    def stop(self) -> None:
        """Ends it at once."""
        self.process.kill()
        self.process.wait(WAIT_SECONDS)

    def command(self, *words: str) -> str | None:
        """The first line that it answers; None if it does not listen."""
        text = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        try:
            with socket.create_connection((HOST, self.port), WAIT_SECONDS) as connection:
                connection.sendall(text.encode())
                return connection.recv(65536).decode().partition("\r\n")[0]
        except ConnectionError:
            return None


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of this test's own."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = Redis(tmp_path)
    yield server
    server.stop()


@pytest.fixture(params=["cookie", "sqlite", "redis", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Every kind of store."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis").url)
    return f"sqlite:{tmp_path / 'sessions'}" if request.param == "sqlite" else str(request.param)


def counting(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Counts in the session."""
    session = environ["onionskin.session"]
    if environ["PATH_INFO"] == "/log-out":
        session.invalidate()
    elif environ["PATH_INFO"] == "/log-in":
        session.rotate()
    elif environ["PATH_INFO"] == "/count":
        session["count"] = session.get("count", 0) + 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(session.get("count")).encode()]


def visit(app: Any, path: str, cookie: str | None = None) -> tuple[int, str, str | None]:
    """Status, body, and the cookie afterwards, through the outward door."""
    outcome = run(app, make_environ(path, HTTP_COOKIE=cookie))
    new = [value.partition(";")[0] for name, value in outcome.headers if name == "Set-Cookie"]
    return int(outcome.status[:3]), outcome.body.decode(), new[0] if new else cookie


def test_redis_keeps_rotates_and_ends_sessions(redis: Redis) -> None:
    app = Session(counting, secret=SECRET, store=redis.url)
    _, _, cookie = visit(app, "/count")
    assert visit(app, "/count", cookie)[:2] == (200, "2")
    _, _, rotated = visit(app, "/log-in", cookie)
    assert rotated != cookie
    assert visit(app, "/", cookie)[1] == "None"
    assert visit(app, "/count", rotated)[1] == "3"
    visit(app, "/log-out", rotated)
    assert visit(app, "/", rotated)[1] == "None"
    assert redis.command("DBSIZE") == ":0"


def test_redis_forgets_a_session_when_it_expires(redis: Redis) -> None:
    app = Session(counting, secret=SECRET, store=redis.url, idle="1m", absolute="30s")
    visit(app, "/count")
    name = redis.command("EVAL", "return redis.call('KEYS', '*')[1]", "0")
    assert name is not None
    lasts = redis.command("EVAL", "return redis.call('PTTL', redis.call('KEYS', '*')[1])", "0")
    assert lasts is not None
    assert 20_000 < int(lasts[1:]) <= 30_000


def test_redis_may_go_and_come_back(redis: Redis, capfd: pytest.CaptureFixture[str]) -> None:
    app = Session(counting, secret=SECRET, store=redis.url, store_timeout="1s")
    _, _, cookie = visit(app, "/count")
    redis.stop()
    assert visit(app, "/count", cookie)[0] == 503
    assert visit(app, "/count")[0] == 503
    anonymous = Session(counting, secret=SECRET, store=redis.url, on_store_error="anonymous")
    assert visit(anonymous, "/", cookie)[:2] == (200, "None")
    assert "the store can't be read" in capfd.readouterr().err
    redis.start()
    assert visit(app, "/count", visit(app, "/count")[2])[:2] == (200, "2")


def unless_plain(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Counts, but for one page that needs no session."""
    if environ["PATH_INFO"] != "/plain":
        return counting(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"plain"]


def test_a_store_that_hangs_is_not_waited_for(redis: Redis, capfd: pytest.CaptureFixture[str]) -> None:
    app = Session(unless_plain, secret=SECRET, secure=False, store=redis.url, store_timeout="1s")
    with serving(app, threads=2) as place:
        given = dict(ask(place, "/count").headers)
        cookie = [("Cookie", given["Set-Cookie"].partition(";")[0])]
        os.kill(redis.process.pid, signal.SIGSTOP)
        try:
            assert [ask(place, "/count", headers=cookie).status for _ in range(3)] == [503] * 3
            began = time.monotonic()
            assert {ask(place, "/count", headers=cookie).status for _ in range(10)} == {503}
            assert time.monotonic() - began < 5, "each waited for the store"
            began = time.monotonic()
            assert {ask(place, "/plain", headers=cookie).status for _ in range(10)} == {200}
            assert time.monotonic() - began < 1
        finally:
            os.kill(redis.process.pid, signal.SIGCONT)
        deadline = time.monotonic() + WAIT_SECONDS
        while ask(place, "/count", headers=cookie).status != 200:
            assert time.monotonic() < deadline
            time.sleep(STEP_SECONDS)
    told = capfd.readouterr().err
    assert told.count("the store fails, and is asked once a second") == 1
    assert told.count("the store answers again") == 1


def at_once(app: Any, paths: list[str], cookie: str | None) -> Counter[int]:
    """The statuses of requests that are in the application at the same time."""
    statuses: Counter[int] = Counter()

    def write(path: str) -> None:
        statuses[visit(app, path, cookie)[0]] += 1

    threads = [threading.Thread(target=write, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return statuses


@pytest.mark.parametrize("policy", ["overwrite", "refuse", "drop"])
def test_of_many_changes_of_one_key_the_policy_decides(
    store: str, policy: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    together = threading.Barrier(WRITERS)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        session = environ["onionskin.session"]
        if environ["PATH_INFO"] != "/":
            session.get("writer")
            together.wait(WAIT_SECONDS)
        session["writer"] = environ["PATH_INFO"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"written"]

    layered = Session(app, secret=SECRET, store=store, on_conflict=policy, store_timeout="20s")
    _, _, cookie = visit(layered, "/")
    statuses = at_once(layered, [f"/{number}" for number in range(WRITERS)], cookie)
    lost = WRITERS - 1
    assert statuses == ({200: 1, 409: lost} if policy == "refuse" else {200: WRITERS})
    told = capfd.readouterr().err
    assert told.count('another request has changed "writer", too; the changes') == (
        0 if policy == "overwrite" else lost
    )


@pytest.mark.parametrize("policy", ["overwrite", "refuse", "drop"])
def test_many_changes_of_different_keys_are_all_kept(
    store: str, policy: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    together = threading.Barrier(WRITERS)
    kept: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        session, path = environ["onionskin.session"], environ["PATH_INFO"]
        if path == "/show":
            kept.append(dict(session))
        elif path == "/begin":
            session["begun"] = True
        else:
            session.get("begun")
            together.wait(WAIT_SECONDS)
            session[path] = True
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    layered = Session(app, secret=SECRET, store=store, on_conflict=policy, store_timeout="20s")
    _, _, cookie = visit(layered, "/begin")
    paths = [f"/{number}" for number in range(WRITERS)]
    assert at_once(layered, paths, cookie) == {200: WRITERS}
    visit(layered, "/show", cookie)
    assert kept == [{"begun": True, **dict.fromkeys(paths, True)}]
    assert capfd.readouterr().err == ""


SERVED = """
import sys
from layers.test_session_stores import SECRET, counting
from onionskin import Session, serve

application = Session(counting, secret=SECRET, store=sys.argv[1])
serve(application, bind=[f"127.0.0.1:{sys.argv[2]}"])
"""


def test_a_process_that_is_killed_while_it_writes_leaves_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    app = Session(counting, secret=SECRET, store=f"sqlite:{path}")
    cookies = {index: visit(app, "/count")[2] for index in range(4)}
    acknowledged = dict.fromkeys(cookies, 1)
    for _ in range(5):
        port = free_port()
        variables = {**os.environ, "PYTHONPATH": str(TESTS)}
        command = [sys.executable, "-c", SERVED, f"sqlite:{path}", str(port)]
        process = subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL)
        begun = threading.Event()

        def write(index: int, port: int = port, begun: threading.Event = begun) -> None:
            deadline = time.monotonic() + WAIT_SECONDS
            while time.monotonic() < deadline:
                try:
                    reply = ask((HOST, port), "/count", headers=[("Cookie", cookies[index] or "")])
                except (OSError, http.client.HTTPException):
                    if begun.is_set():
                        return
                    continue
                assert reply.status == 200
                acknowledged[index] = int(reply.text)
                if acknowledged[index] % 5 == 0:
                    begun.set()

        writers = [threading.Thread(target=write, args=(index,)) for index in cookies]
        for writer in writers:
            writer.start()
        assert begun.wait(WAIT_SECONDS)
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_SECONDS)
        for writer in writers:
            writer.join(WAIT_SECONDS)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for index, cookie in cookies.items():
        kept = int(visit(app, "/", cookie)[1])
        # What a client was told is there; the last change may be, although nobody was told.
        assert kept - acknowledged[index] in (0, 1)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that it has threads; so have servers
def test_workers_that_were_forked_share_a_store(store: str) -> None:
    if store in ("cookie", "memory"):
        pytest.skip("there is nothing to share")
    app = Session(counting, secret=SECRET, store=store)
    _, _, cookie = visit(app, "/count")
    for expected in ("2", "3"):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if visit(app, "/count", cookie)[:2] == (200, expected) else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    assert visit(app, "/", cookie)[1] == "3"


def test_a_store_is_shared_by_both_doors(store: str) -> None:
    app = Session(counting, secret=SECRET, store=store)
    _, _, cookie = visit(app, "/count")
    with serving(app) as place:
        reply = ask(place, "/count", headers=[("Cookie", cookie or "")])
    assert reply.text == "2"


def test_expired_rows_are_purged(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    app = Session(counting, secret=SECRET, store=f"sqlite:{path}")
    visit(app, "/count")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE session SET expires = 1")
    for _ in range(256):
        visit(app, "/count")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM session").fetchone() == (256,)
