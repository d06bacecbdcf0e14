"""Reload: a new generation proves itself and takes over, or fails; nobody notices either."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from server.process import wait_until


@pytest.mark.smoke
def test_a_reload_brings_the_new_application(site, serve):
    server = serve()
    before = server.workers()
    site.write("2")
    server.signal(signal.SIGHUP)
    server.wait_for_line("reloaded in .*: generation 2 serves")
    server.wait_for_version("2")
    wait_until(lambda: len(server.workers()) == 2 and not before & server.workers())
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"more": "raise ValueError('broken')"}, "could not be loaded: ValueError: broken"),
        ({"more": "time.sleep(60)"}, "was not ready within 3s: the application is being imported"),
        ({"ready": "503 Later"}, "was not ready within 3s: the application answers 503 at /ready"),
        (
            {"more": "small = application\ndef application(environ, start_response): time.sleep(60)"},
            "was not ready within 3s: the application has not answered at /ready yet",
        ),
        ({"ready": "500 Broken"}, "the application answered 500 at /ready"),
        ({"more": "import os; os.abort()"}, "was ended by signal 6 before it served"),
    ],
)
def test_a_reload_that_fails_changes_nothing(site, serve, change, told):
    server = serve("--boot-timeout", "3s", "--ready-path", "/ready")
    before = server.workers()
    site.write("2", **change)
    server.signal(signal.SIGHUP)
    server.wait_for_line("reload failed, generation 1 goes on: .*" + told)
    wait_until(lambda: server.workers() == before)
    assert server.answer()[0] == "1"
    site.write("3")
    server.signal(signal.SIGHUP)
    server.wait_for_line("reloaded in .*: generation 3 serves")
    server.wait_for_version("3")


def test_a_reload_during_a_reload_is_done_after_it(site, serve):
    server = serve()
    site.write("2", more="time.sleep(1)")
    server.signal(signal.SIGHUP)
    wait_until(lambda: len(server.workers()) == 4)
    site.write("3")
    server.signal(signal.SIGHUP)
    server.wait_for_line("generation 2 serves")
    server.wait_for_line("generation 3 serves")
    server.wait_for_version("3")


def test_a_connection_in_use_gets_one_more_answer(serve):
    server = serve()
    with server.client() as client:
        assert client.get("/").header("Connection") is None
        server.signal(signal.SIGHUP)
        # In use throughout: one that has paused for a second may be closed.
        while (response := client.get("/")).header("Connection") is None:
            assert response.status == 200
        assert (response.status, response.header("Connection")) == (200, "close")
        assert client.is_ended()


@pytest.mark.parametrize(
    ("at_once", "path", "pause"),
    [(1, "/", 0), (1, "/slow", 0), (1, "/slow", 0.15), (8, "/slow", 0), (20, "/", 0)],
)
def test_a_client_that_takes_the_end_of_a_connection_for_that_of_its_answers_loses_none(
    site, serve, at_once, path, pause
):
    site.write("1", slow=0.2)
    server = serve()
    seen = {"1"}

    async def ask(client: httpx.AsyncClient) -> None:
        while "5" not in seen:
            response = await client.get(path)
            assert response.status_code == 200
            seen.add(response.text[0])
            await asyncio.sleep(pause)

    async def reload() -> None:
        for version in "2345":
            site.write(version, slow=0.2)
            server.signal(signal.SIGHUP)
            while version not in seen:
                await asyncio.sleep(0.01)

    async def main() -> None:
        async with httpx.AsyncClient(base_url=server.places[0], http1=False, http2=True) as client:
            await asyncio.gather(reload(), *(ask(client) for _ in range(at_once)))

    # Python's h2 goes by the first GOAWAY, so it must not come while an answer does.
    asyncio.run(main())


def test_a_connection_that_was_just_made_gets_its_answer(serve):
    server = serve()
    for generation in range(2, 12):
        made = time.monotonic()
        with server.client() as client, server.client() as other:
            # Behind it in the queue, so that it is accepted when this one is answered.
            assert other.get("/").status == 200
            server.signal(signal.SIGHUP)
            server.wait_for_line(f"generation {generation} serves")
            # After a second it would count as idle.
            if time.monotonic() - made < 0.7:
                assert client.get("/").status == 200
                return
    pytest.fail("no reload took less than a second")


def test_a_connection_that_has_been_idle_is_closed(serve):
    server = serve()
    with server.client() as client:
        client.get("/")
        time.sleep(1.2)  # The time in which a connection counts as in use.
        server.signal(signal.SIGHUP)
        server.wait_for_line("generation 2 serves")
        since = time.monotonic()
        assert client.is_ended()
        assert time.monotonic() - since < 0.8


def test_a_request_in_flight_is_answered_by_the_old_generation(site, serve):
    site.write("1", slow=4)  # Longer than a reload takes.
    server = serve()
    with server.client() as client:
        client.request("GET", "/slow")
        server.wait_for_line("event: slow")
        site.write("2")
        server.signal(signal.SIGHUP)
        server.wait_for_line("generation 2 serves")
        response = client.response()
        assert response.body.startswith(b"1 ")
        assert response.header("Connection") == "close"


def test_a_symbolic_link_to_another_release_is_followed(tmp_path, site, monkeypatch):
    from workers.conftest import Site, Supervised

    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        Site(tmp_path / release).write(release)
    current = tmp_path / "current"
    current.symlink_to(tmp_path / "1")
    site.folder = current
    monkeypatch.setenv("PWD", str(current))
    with Supervised(site) as server:
        assert server.answer()[0] == "1"
        current.unlink()
        current.symlink_to(tmp_path / "2")
        server.signal(signal.SIGHUP)
        server.wait_for_line("generation 2 serves")
        server.wait_for_version("2")
        assert server.stop() == 0


def test_children_of_others_are_reaped_and_disturb_nobody(site, serve):
    """The first process of a container gets the orphans of its workers."""
    server = serve()
    orphan = "import os\nif os.fork() == 0:\n    os.setsid()\n    os._exit(3)\n"
    site.write("2", more=orphan)
    server.signal(signal.SIGHUP)
    server.wait_for_line("generation 2 serves")
    assert len(server.workers()) >= 2
    assert server.stop() == 0


def test_no_descriptor_is_lost_by_reloads(serve):
    server = serve()

    def reload(generation: int) -> int:
        server.signal(signal.SIGHUP)
        server.wait_for_line(f"generation {generation} serves")
        wait_until(lambda: len(server.workers()) == 2)
        return len(list(Path(f"/proc/{server.popen.pid}/fd").iterdir()))

    first = reload(2)
    assert [reload(generation) for generation in range(3, 6)] == [first] * 3


def test_the_sockets_are_not_inherited_by_the_applications_programs(site, serve):
    program = "import subprocess\nsubprocess.Popen(['sleep', '5'], close_fds=False)\n"
    site.write("1", more=program)
    server = serve(workers=1)
    port = server.port
    assert server.stop() == 0
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
        again.listen()
