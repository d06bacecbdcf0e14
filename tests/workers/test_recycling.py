"""Recycling: a worker that has served long enough is replaced, and nobody notices."""

from __future__ import annotations

from server.process import wait_until


def test_a_worker_is_replaced_after_its_requests(serve):
    server = serve("--max-requests", "20", workers=1)
    (first,) = server.workers()
    with server.client() as client:
        answered = 0
        while (response := client.get("/")).header("Connection") != "close":
            assert response.status == 200
            answered += 1
    assert answered >= 19
    server.wait_for_line(rf"serves in place of {first}: it has answered \d+ requests")
    wait_until(lambda: first not in server.workers())
    assert server.answer()[1] != first


def test_the_successor_is_ready_before_the_old_worker_drains(serve):
    server = serve("--max-requests", "10", "--max-requests-jitter", "10")
    for _ in range(100):
        assert server.answer()[0] == "1"
    server.wait_for_line("serves in place of", count=2)
    assert server.stop() == 0


def test_a_worker_is_replaced_at_its_age(serve):
    server = serve("--max-lifetime", "1s", workers=1)
    server.wait_for_line("it is old enough", count=2)
    assert server.answer()[0] == "1"


def test_a_worker_that_grows_too_large_is_replaced(site, serve):
    grows = "kept = []\nsmall = application\ndef application(environ, start_response):\n"
    grows += "    if environ['PATH_INFO'] == '/grow': kept.append(b'x' * (150 << 20))\n"
    grows += "    return small(environ, start_response)\n"
    site.write("1", more=grows)
    server = serve("--max-memory", "150MiB", workers=1)
    (first,) = server.workers()
    server.get("/grow")
    server.wait_for_line(f"serves in place of {first}: it has more than 150MiB of memory")


def test_a_successor_that_can_not_start_is_tried_again(site, serve):
    server = serve("--max-lifetime", "1s", workers=1)
    (first,) = server.workers()
    site.write("2", more="raise ValueError('broken')")
    server.wait_for_line("ValueError: broken", count=4)
    assert server.answer() == ("1", first)
    site.write("3")
    server.wait_for_line(f"serves in place of {first}", timeout=20)
    server.wait_for_version("3")
