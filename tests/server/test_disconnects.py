"""Clients that go away: what they left behind is closed, and nobody else notices."""

from __future__ import annotations

from server.process import wait_until


def test_an_iterable_is_closed_when_the_client_leaves_in_the_middle(server):
    with server.client() as client:
        client.request("GET", "/endless?name=middle")
        assert client.head().status == 200
        assert client.chunk()
    server.wait_for_line("event: closed middle")


def test_an_iterable_is_closed_when_the_client_resets_in_the_middle(server):
    client = server.client()
    client.request("GET", "/endless?name=reset")
    assert client.head().status == 200
    client.reset()
    server.wait_for_line("event: closed reset")


def test_an_iterable_is_closed_when_the_client_leaves_before_the_first_block(server, tmp_path):
    client = server.client()
    client.request("GET", f"/endless?name=early&wait={tmp_path / 'go'}")
    # A reset takes back what the server has not read yet.
    server.wait_for_line("event: waiting early")
    client.reset()
    (tmp_path / "go").touch()
    server.wait_for_line("event: closed early")


def test_a_client_that_leaves_ends_a_call_that_writes(server):
    server.get("/quick_write")
    with server.client() as client:
        client.request("GET", "/written_endlessly?name=writer")
        assert client.head().status == 200
        assert client.chunk()
    server.wait_for_line("event: stopped writer")


def test_an_iterable_is_closed_once(serve):
    server = serve()
    with server.client() as client:
        client.request("GET", "/large?blocks=2&name=once")
        assert len(client.response().body) == 2 * 65536
        client.request("HEAD", "/large?blocks=2&name=head")
        client.response("HEAD")
        assert client.get("/hello").status == 200
    server.wait_for_line("event: closed once")
    server.wait_for_line("event: closed head")
    assert sum("event: closed" in line for line in server.lines) == 2


def test_a_client_that_takes_nothing_is_given_up_after_the_write_timeout(serve):
    server = serve("--write-timeout", "300ms")
    with server.client() as client:
        client.request("GET", "/endless?name=stuck")
        server.wait_for_line("event: closed stuck")


def test_a_call_goes_on_when_its_client_has_left(server, tmp_path):
    client = server.client()
    client.request("GET", f"/hold?name=left&file={tmp_path / 'go'}")
    server.wait_for_line("event: holding left")
    client.reset()
    (tmp_path / "go").touch()
    assert server.get("/hello") == b"hello"


def test_clients_that_leave_leave_no_descriptor_behind(serve):
    server = serve()
    server.get("/hello")
    descriptors = server.descriptors()
    for _ in range(50):
        client = server.client()
        client.request("GET", "/endless?name=gone")
        client.head()
        client.reset()
    server.wait_for_line("event: closed gone", count=50)
    wait_until(lambda: server.descriptors() <= descriptors)


def test_a_client_that_has_no_more_to_send_is_answered_however_long_it_takes(serve):
    """Also while it waits for its turn: the one thread is busy with another call."""
    server = serve("--threads", "1")
    busy, client = server.client(), server.client()
    busy.request("GET", "/sleep?seconds=1.5&name=busy")
    server.wait_for_line("event: sleeping busy")
    client.request("GET", "/sleep?seconds=0.1&name=patient")
    client.half_close()
    assert client.response().status == 200
    assert busy.response().status == 200


def test_a_call_is_not_cut_when_its_client_resets(serve, tmp_path):
    server = serve()
    client = server.client()
    client.request("GET", f"/endless?name=cut&wait={tmp_path / 'go'}")
    client.reset()
    (tmp_path / "go").touch()
    server.wait_for_line("event: closed cut")
    assert server.get("/hello")
