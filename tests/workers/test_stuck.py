"""A worker whose call is stuck asks for a successor."""

from __future__ import annotations

from server.process import wait_until


def test_a_worker_with_a_call_that_does_not_end_is_replaced(site, serve):
    site.write("1", slow=20)
    timeouts = (
        "--request-timeout",
        "200ms",
        "--request-timeout-kill",
        "200ms",
        "--graceful-timeout",
        "300ms",
    )
    server = serve(*timeouts, workers=1)
    before = server.workers()
    with server.client() as client:
        assert client.get("/slow").status == 504
    server.wait_for_line("a call into the application is stuck")
    wait_until(lambda: bool(server.workers()) and not server.workers() & before)
    assert server.get("/").startswith(b"1 ")
