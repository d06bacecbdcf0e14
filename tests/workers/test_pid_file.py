"""The file with the number of the main process: the supervisor's, through reloads and upgrades."""

from __future__ import annotations

import os
import signal

from server.process import wait_until
from workers.conftest import is_alive
from workers.test_upgrade import control, run, serve_on, successor  # noqa: F401 (fixtures)
from workers.test_workers import start_in_vain


def test_it_names_the_supervisor_and_is_gone_at_the_end(serve, tmp_path):
    file = tmp_path / "site.pid"
    server = serve("--pid-file", "site.pid")
    assert file.read_text() == f"{server.popen.pid}\n"
    os.kill(int(file.read_text()), signal.SIGHUP)
    server.wait_for_line("generation 2 serves")
    assert file.read_text() == f"{server.popen.pid}\n"
    assert server.stop() == 0
    assert not file.exists()


def test_a_second_supervisor_starts_no_worker(site, serve, tmp_path):
    file = tmp_path / "site.pid"
    server = serve("--pid-file", str(file))
    told = start_in_vain(site, "--pid-file", str(file)).log
    assert told.startswith(f"onionskin: pid_file: process {server.popen.pid}, which")
    assert "\n" not in told
    assert file.read_text() == f"{server.popen.pid}\n"


def test_the_place_of_the_option_is_told(site, tmp_path):
    (tmp_path / "site.pid").write_text(f"{os.getpid()}\n")
    (tmp_path / "onion.toml").write_text('pid_file = "site.pid"\n')
    told = start_in_vain(site).log
    assert told.startswith(f"onionskin: onion.toml:1: pid_file: process {os.getpid()}, which")


def test_a_start_that_fails_leaves_none(site, tmp_path):
    site.write("1", more="raise ValueError('broken on purpose')")
    start_in_vain(site, "--pid-file", "site.pid")
    assert not (tmp_path / "site.pid").exists()


def test_a_reload_may_name_another_file(serve, tmp_path):
    first, second = tmp_path / "first.pid", tmp_path / "second.pid"
    configuration = tmp_path / "onion.toml"
    configuration.write_text(f'pid_file = "{first}"\n')
    server = serve()
    assert first.exists()
    configuration.write_text(f'pid_file = "{second}"\n')
    server.signal(signal.SIGHUP)
    server.wait_for_line("generation 2 serves")
    assert second.read_text() == f"{server.popen.pid}\n"
    assert not first.exists()
    configuration.write_text('pid_file = "no/third.pid"\n')
    server.signal(signal.SIGHUP)
    server.wait_for_line("reload failed, generation 2 goes on: .*pid_file: ")
    assert second.read_text() == f"{server.popen.pid}\n"
    configuration.write_text("")
    server.signal(signal.SIGHUP)
    server.wait_for_line(r"generation \d serves", count=2)
    assert not second.exists()


def test_over_an_upgrade_the_new_supervisor_takes_it_over(site, serve_on, control, tmp_path):  # noqa: F811
    file = tmp_path / "site.pid"
    server = serve_on("--pid-file", str(file))
    site.write("2", more="raise ValueError('broken')")
    assert run("upgrade", control).returncode == 1
    assert file.read_text() == f"{server.popen.pid}\n"
    site.write("3")
    assert run("upgrade", control).returncode == 0
    new = successor(server)
    assert file.read_text() == f"{new}\n"
    assert server.wait_for_old() == 0
    assert file.read_text() == f"{new}\n"
    os.kill(new, signal.SIGTERM)
    wait_until(lambda: not is_alive(new))
    assert not file.exists()
