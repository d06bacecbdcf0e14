"""What the command line refuses: in one line, with exit code 2, and without a traceback."""

from __future__ import annotations

import socket
import subprocess

import pytest

from cli.test_commands import run
from server.process import ONIONSKIN


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("no_such_module", "no_such_module"),
        ("no_such_module:app", "no_such_module"),
        ("no_such_package.wsgi:app", "no_such_package.wsgi"),
        ("package.no_such_module:app", "package.no_such_module"),
        ("package.wsgi.deeper:app", "package.wsgi.deeper"),
        ("no/such/file.py:app", "no/such/file.py"),
        ("package.py", "package.py"),
        ("site_module:no_such_name", "no_such_name"),
        ("site_module:holder.no_such_name", "no_such_name"),
        ("site_module:no_such_name()", "no_such_name"),
        ("site_module:number", "int"),
        ("site_module:create_app(", "create_app("),
        ("site_module:create_app(name)", "create_app(name)"),
        ("site_module:app + app", "app + app"),
        ("site_module:[app]", "[app]"),
        ("site_module:app().b", "app()"),
        ("empty", "empty"),
        ("empty.py", "empty.py"),
        (":app", ":app"),
        ("", "''"),
        (".site_module:app", ".site_module"),
        ("..", "'..'"),
        ("package..wsgi", "package..wsgi"),
        ("a b:app", "a b"),
        ("package/wsgi:app", "package/wsgi"),
    ],
)
def test_a_wrong_target_is_told_in_one_line(project, target, told):
    refused(project, told, target)


def refused(project, told: str, *arguments: str) -> str:
    """The one line that `onionskin serve` ends with."""
    done = run("serve", "--bind", "127.0.0.1:0", *arguments, cwd=project)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("onionskin: ")
    assert told in done.stderr
    return done.stderr


def test_a_wrong_name_is_told_with_those_that_there_are(project):
    line = refused(project, "create_app", "site_module:applicaton")
    assert "application" in line.replace("applicaton", "")


def test_a_wrong_module_is_told_with_the_directory(project):
    refused(project, str(project), "no_such_module")


@pytest.mark.smoke
def test_a_taken_port_is_told(project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("serve", "site_module", "--bind", place, cwd=project)
    assert done.returncode == 2
    why = "another program listens there; stop it or choose another place"
    assert done.stderr == f"onionskin: cannot listen on {place}: {why}\n"


@pytest.mark.parametrize(
    "place",
    ["8000", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999", "::1:80", "[::1:80", "unix:", "", "tcp://a"],
)
def test_a_place_that_is_none_is_told(project, place):
    done = run("serve", "site_module", "--bind", place, cwd=project)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f'"{place}" is no place to listen on; write 127.0.0.1:8000' in done.stderr


@pytest.mark.parametrize(
    "place", ["192.0.2.1:0", "no-such-host.invalid:80", "unix:/no/such/directory/socket", "unix:/"]
)
def test_a_place_that_cannot_be_listened_on_is_told(project, place):
    done = run("serve", "site_module", "--bind", place, cwd=project)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"onionskin: cannot listen on {place}: ")
    assert ";" in done.stderr  # behind it the way out


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--header-timeout", "soon"),
        ("--header-timeout", "-1s"),
        ("--header-timeout", "10 parsecs"),
        ("--header-timeout", "0"),
        ("--body-timeout", "0s"),
        ("--write-timeout", "0"),
        ("--tls-handshake-timeout", "0"),
        ("--max-head", "0"),
        ("--max-request-line", "0"),
        ("--max-headers", "0"),
        ("--http2-streams", "0"),
        ("--keep-alive", ""),
        ("--max-body", "large"),
        ("--max-body", "10TB"),
        ("--max-headers", "many"),
        ("--max-headers", "-1"),
        ("--max-headers", "100000"),
        ("--backlog", "x"),
    ],
)
def test_a_wrong_value_is_told_with_option_and_value(project, option, value):
    line = refused(project, option.removeprefix("--").split("-")[0], "site_module", f"{option}={value}")
    assert value in line
    assert ";" in line  # behind it the way out
    assert option.removeprefix("--") in line.replace("_", "-")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["serve", "--threads"], "argument -t/--threads: expected one argument; see onionskin serve --help"),
        (["serve", "site", "--no-such"], "unknown option --no-such; see onionskin serve --help"),
        (["status", "--no-such=5"], "unknown option --no-such; see onionskin status --help"),
        (["reload", "site"], "unexpected argument 'site'; see onionskin reload --help"),
        (
            ["serve", "site", "--timeout", "30"],
            "unknown option --timeout; did you mean --request-timeout? see onionskin serve --help",
        ),
        (
            ["check", "--certfile=a", "--threds", "3"],
            "unknown option --certfile; did you mean --tls-certificate? see onionskin check --help",
        ),
        (
            ["serve", "--keepalive", "5"],
            "unknown option --keepalive; did you mean --keep-alive? see onionskin serve --help",
        ),
        # Abbreviations would change their meaning with the options.
        (
            ["serve", "--thread", "5"],
            "unknown option --thread; did you mean --threads? see onionskin serve --help",
        ),
        (["serv"], "'serv' is not a command; did you mean onionskin serve?"),
        (["mysite:app"], "'mysite:app' is not a command; did you mean onionskin serve mysite:app?"),
        (
            ["--bind", ":80"],
            "--bind: a command comes first; expected onionskin serve --bind; see onionskin --help",
        ),
        ([], "the following arguments are required: COMMAND; see onionskin --help"),
    ],
)
def test_a_wrong_command_line_is_told_without_the_list_of_all_options(project, arguments, told):
    done = run(*arguments, cwd=project)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"onionskin: {told}\n")


def test_short_options_are_those_of_other_servers(project):
    (project / "other.toml").write_text("backlog = 7\n")
    done = run("config", "-b", ":81", "-b", ":82", "-w", "3", "-t", "5", "-c", "other.toml", cwd=project)

    for line in (
        'bind = [":81", ":82"]  # from --bind',
        'workers = "3"  # from --workers',
        "threads = 5  # from --threads",
        "backlog = 7  # from other.toml:1",
    ):
        assert line in done.stdout.splitlines(), done


def test_a_reader_who_has_read_enough_is_no_error():
    with subprocess.Popen(
        [*ONIONSKIN, "config", "--no-config"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as told:
        told.stdout.close()
        assert (told.stderr.read(), told.wait(timeout=20)) == ("", 0)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--access-log-format={status", "{status has no closing brace; add one"),
        ("--access-log=", "an empty name is no file; give a file, - or off"),
    ],
)
def test_what_a_text_should_have_been_is_told(project, option, told):
    refused(project, told, "site_module", option)


@pytest.mark.parametrize("threads", ["0", "-1", "1025"])
def test_a_wrong_number_of_threads_is_told(project, threads):
    assert "1 to 1024" in refused(project, threads, "site_module", "--threads", threads)


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ("no_such_layer", "no_such_layer"),
        ("allow_adresses", "allow_addresses"),
        ("allow_addresses", "allowed_addresses"),
        ("allow_addresses:allowed_addresses=nonsense", "nonsense"),
        ("allow_addresses:allowed_addresses=::1,status=500", "500"),
        ("allow_addresses:allowed_addresses=::1,no_such_option=1", "no_such_option"),
        ("allow_addresses:allowed_addresses", "allowed_addresses"),
        ("allow_addresses:allowed_addresses=::1,match.no_such=1", "no_such"),
        ("request_id:=", "request_id"),
        ("", "layer"),
    ],
)
def test_a_wrong_layer_is_told(project, layer, told):
    refused(project, told, "site_module", "--layer", layer)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("broken", "RuntimeError: at import"),
        ("broken.py:app", "RuntimeError: at import"),
        ("missing:app", "ModuleNotFoundError: No module named 'there_is_no_such_module'"),
        ("unfinished", "SyntaxError"),
        ("failing:create_app()", "RuntimeError: in the factory"),
        ("site_module:create_app(1, 2, 3)", "TypeError"),
    ],
)
def test_an_applications_own_error_is_shown_with_its_traceback(project, target, error):
    done = run("serve", target, "--bind", "127.0.0.1:0", cwd=project)
    assert done.returncode == 2
    assert done.stderr.startswith(f"onionskin: {target} raised while it was imported:\n")
    assert error in done.stderr


def test_no_socket_is_left_where_the_application_is_refused(project):
    path = project / "socket"
    run("serve", "no_such_module", "--bind", f"unix:{path}", cwd=project)
    assert not path.exists()
