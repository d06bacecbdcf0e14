"""A process that has run out of something: it waits without burning the CPU, and goes on afterwards."""

from __future__ import annotations

import time

MOST_FILES = 64


def test_a_server_without_descriptors_lets_the_idle_go_and_goes_on(serve):
    server = serve("--header-timeout", "30s", "--connections", "1000", most_files=MOST_FILES)
    server.wait_for_line("connections = 1000: the system allows 64 open files, so 32 are taken")
    idle = [server.client() for _ in range(20)]
    for client in idle:
        assert client.get("/hello").body == b"hello"
    # The application takes what descriptors there are, though fewer connections than may be are open.
    with server.client() as hoarder:
        assert int(hoarder.get("/hoard").body) > 0
    for _ in range(10):
        idle.append(server.client())
        assert idle[-1].get("/hello").body == b"hello"
    server.wait_for_line("no connection can be accepted for now: Too many open files")
    before = server.cpu_time()
    time.sleep(0.5)
    assert server.cpu_time() - before < 0.1

    assert idle[-1].get("/let_go").status == 200
    for client in idle:
        client.close()
    assert server.get("/hello") == b"hello"
    # Said once, not with every attempt.
    assert sum("no connection can be accepted" in line for line in server.lines) == 1
    assert server.stop() == 0


def test_a_body_that_cannot_be_stored_is_answered_507(serve):
    server = serve("--spool-memory", "1KiB", most_files=MOST_FILES)
    with server.client() as other, server.client() as sender:
        assert sender.get("/hello").status == 200
        sender.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n\r\n")
        for _ in range(3):  # a descriptor that was in use for a moment is free again
            other.get("/hoard")
        sender.send(b"x" * 4096)
        assert sender.response().status == 507
        other.get("/let_go")
    assert server.get("/hello") == b"hello"
