"""The file with the number of the main process, of a server without workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from server.process import APPLICATION, HERE, ONIONSKIN


def refused(*options: str, cwd=HERE) -> str:
    """What a start says that fails."""
    command = [*ONIONSKIN, "serve", str(HERE / APPLICATION), "--bind", "127.0.0.1:0", *options]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_it_is_there_as_soon_as_the_server_says_where_it_serves_and_gone_at_the_end(serve, tmp_path):
    file = tmp_path / "site.pid"
    server = serve("--pid-file", str(file))
    assert file.read_text() == f"{server.popen.pid}\n"
    assert file.stat().st_mode & 0o777 == 0o644
    os.kill(int(file.read_text()), signal.SIGTERM)
    assert server.wait() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_begins_where_the_server_was_started(serve, tmp_path):
    (tmp_path / "site_of_test.py").write_text(
        "import os\n\ndef application(environ, start_response):\n    os.chdir('/')\n"
        "    start_response('200 OK', [])\n    return []\n"
    )
    server = serve("--pid-file", "site.pid", target="site_of_test.py", cwd=tmp_path)
    assert (tmp_path / "site.pid").read_text() == f"{server.popen.pid}\n"
    server.get("/")
    assert server.stop() == 0
    assert not (tmp_path / "site.pid").exists()


def test_a_second_server_is_refused_and_the_first_serves_on(serve, tmp_path):
    file = tmp_path / "site.pid"
    server = serve("--pid-file", str(file))
    told = refused("--pid-file", str(file))
    assert told == (
        f'onionskin: pid_file: process {server.popen.pid}, which "{file}" names, is running; stop it, '
        "or remove the file if that is no server of yours\n"
    )
    assert file.read_text() == f"{server.popen.pid}\n"
    assert server.get("/hello") == b"hello"


def test_one_that_a_killed_server_has_left_is_replaced(serve, tmp_path):
    file = tmp_path / "site.pid"
    before = serve("--pid-file", str(file))
    before.kill()
    assert file.read_text() == f"{before.popen.pid}\n"
    server = serve("--pid-file", str(file))
    assert file.read_text() == f"{server.popen.pid}\n"
    assert server.stop() == 0


def test_at_the_end_a_file_that_names_somebody_else_stays(serve, tmp_path):
    file = tmp_path / "site.pid"
    server = serve("--pid-file", str(file))
    file.write_text("1\n")
    assert server.stop() == 0
    assert file.read_text() == "1\n"


@pytest.mark.parametrize(
    ("path", "told"),
    [("no/site.pid", "No such file or directory"), (".", "it is no file"), ("notes", "something else than")],
)
def test_where_it_cannot_be_written_the_start_ends_with_one_line(tmp_path, path, told):
    (tmp_path / "notes").write_text("buy milk")
    said = refused("--pid-file", path, cwd=tmp_path)
    assert said.startswith("onionskin: pid_file: ")
    assert told in said
    assert said.count("\n") == 1
    assert (tmp_path / "notes").read_text() == "buy milk"


def test_the_place_of_the_option_is_told(tmp_path):
    (tmp_path / "onion.toml").write_text('pid_file = "no/site.pid"\n')
    said = refused("--config", "onion.toml", cwd=tmp_path)
    assert said.startswith('onionskin: onion.toml:1: pid_file: "no/site.pid" cannot be written: ')


def test_check_tells_of_it_and_writes_nothing(tmp_path):
    def check(path: str) -> subprocess.CompletedProcess[str]:
        command = [*ONIONSKIN, "check", str(HERE / APPLICATION), "--pid-file", path]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)

    assert check("site.pid").returncode == 0
    assert list(tmp_path.iterdir()) == []
    wrong = check("no/site.pid")
    assert wrong.returncode == 2
    assert 'pid_file: "no/site.pid" cannot be written' in wrong.stderr


def test_serve_takes_it_too(tmp_path):
    script = f"""
import onionskin, threading, time, os
from onionskin.simple_server import demo_app
file = {str(tmp_path / "site.pid")!r}
serving = dict(bind=["127.0.0.1:0"], config=False, pid_file=file, announce=False)
threading.Thread(target=onionskin.serve, args=(demo_app,), kwargs=serving, daemon=True).start()
while not os.path.exists(file):
    time.sleep(0.01)
assert open(file).read() == f"{{os.getpid()}}\\n"
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)
