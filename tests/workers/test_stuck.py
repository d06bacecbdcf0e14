"""A worker whose call is stuck asks for a successor; the metrics of several processes are refused."""

from __future__ import annotations

from server.process import wait_until
from workers.test_workers import start_in_vain


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


def test_metrics_of_several_processes_are_refused(site):
    process = start_in_vain(site, "--metrics-bind", "127.0.0.1:0")
    assert "metrics_bind: workers count each for itself" in process.log
