"""The error log of a server with workers: one file for the supervisor and all of them."""

from __future__ import annotations

import json
import os
import signal

from server.process import wait_until
from server.test_error_log import written

RAISES = """
def raises(environ, start_response):
    raise ValueError("on purpose")

inner = application

def application(environ, start_response):
    return (raises if environ["PATH_INFO"] == "/raises" else inner)(environ, start_response)
"""


def test_supervisor_and_workers_write_the_same_file(site, serve, tmp_path):
    site.write("1", more=RAISES)
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log))
    with server.client() as client:
        assert client.get("/raises").status == 500
    assert "[" + str(server.popen.pid) not in written(log, "error: the application raised on GET /raises")
    victim = min(server.workers())
    os.kill(victim, signal.SIGKILL)
    line = written(log, f"error: worker {victim} was ended by signal 9 while it served")
    assert f"[{server.popen.pid}]" in line
    assert "was ended" not in server.log


def test_a_reload_that_fails_is_in_the_log_with_its_traceback(site, serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), "--error-log-format", "json")
    site.write("2", more="raise ValueError('broken')")
    server.signal(signal.SIGHUP)
    told = json.loads(written(log, "reload failed"))
    assert told["level"] == "error"
    assert told["message"].endswith("could not be loaded: ValueError: broken")
    assert told["details"].startswith("Traceback")


def test_all_of_them_open_it_anew(site, serve, tmp_path):
    site.write("1", more=RAISES)
    log, moved = tmp_path / "error.log", tmp_path / "error.log.1"
    server = serve("--error-log", str(log), workers=1)
    with server.client() as client:
        assert client.get("/raises").status == 500
    written(log, "raised")
    log.rename(moved)
    server.signal(signal.SIGUSR1)
    wait_until(log.exists)

    def asked() -> bool:
        with server.client() as client:
            client.get("/raises")
        return "raised" in log.read_text()

    wait_until(asked)
    server.signal(signal.SIGHUP)
    written(log, "info: reloaded in .*: generation 2 serves")


def test_a_reload_takes_another_log(site, serve, tmp_path):
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    (tmp_path / "onion.toml").write_text(f'error_log = "{first}"\n')
    server = serve()
    (tmp_path / "onion.toml").write_text(f'error_log = "{second}"\n')
    server.signal(signal.SIGHUP)
    written(second, "generation 2 serves")
    (tmp_path / "onion.toml").write_text(f'error_log = "{tmp_path / "no" / "log"}"\n')
    server.signal(signal.SIGHUP)
    assert "error_log: " in written(second, "reload failed, generation 2 goes on")
    assert first.read_text() == ""


def test_a_start_that_fails_is_in_the_log_and_on_standard_error(site, tmp_path):
    from workers.test_workers import start_in_vain

    site.write("1", more="raise ValueError('broken on purpose')")
    log = tmp_path / "error.log"
    process = start_in_vain(site, "--error-log", str(log))
    assert "ValueError: broken on purpose" in process.log
    assert "error: the application could not be loaded: ValueError: broken on purpose" in log.read_text()
