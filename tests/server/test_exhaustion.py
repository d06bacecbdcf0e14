"""A process that has run out of something: it waits without burning the CPU, and goes on afterwards."""

from __future__ import annotations

import time

from server.client import Client

MOST_FILES = 64


def test_a_server_without_descriptors_waits_and_goes_on(serve):
    server = serve("--header-timeout", "30s", most_files=MOST_FILES)
    clients: list[Client] = []
    for _ in range(2 * MOST_FILES):
        clients.append(server.client())  # the kernel's queue takes those that the server cannot
    server.wait_for_line("no connection can be accepted for now")
    before = server.cpu_time()
    time.sleep(0.5)
    assert server.cpu_time() - before < 0.1
    assert clients[0].get("/hello").body == b"hello"

    for client in clients[:-1]:
        client.close()
    assert clients[-1].get("/hello").body == b"hello"
    for client in clients:
        client.close()
    assert server.get("/hello") == b"hello"
    # Said once, not with every attempt.
    assert sum("no connection can be accepted" in line for line in server.lines) < 10
    assert server.stop() == 0


def test_a_body_that_cannot_be_stored_is_answered_507(serve):
    server = serve("--spool-memory", "1KiB", most_files=MOST_FILES)
    clients: list[Client] = []
    with server.client() as sender:
        sender.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n\r\n")
        for _ in range(2 * MOST_FILES):
            clients.append(server.client())
        server.wait_for_line("no connection can be accepted for now")
        sender.send(b"x" * 4096)
        assert sender.response().status == 507
    for client in clients:
        client.close()
    assert server.get("/hello") == b"hello"
