"""All problems of a configuration file are reported at once, in the order of its lines."""

from __future__ import annotations

import pytest

BROKEN = """http2 = false
thread = 4
bind = "${ADDRESS}"
max_body = "large"

[[layers]]
use = "compress"

[[layer]]
use = "compres"

[[layer]]
use = "session"
secret = ["too short"]

[[layer]]
use = "request_id"
colour = "red"
size = 3
threads = 4

[[layer]]
type = "Compres"

[[mount]]
path = "shop"
colour = "red"
application = "site_module"

[application.shop]
colour = "red"
size = 3
target = "site_module"

[server]
backlog = "many"
"""
STARTS = [
    'onionskin: onion.toml:2: there is no option "thread"; did you mean threads?',
    "onionskin: onion.toml:3: environment variable ADDRESS is not set; ",
    'onionskin: onion.toml:4: max_body: "large" ',
    'onionskin: onion.toml:6: there is no table "layers"; did you mean [[layer]]?',
    'onionskin: onion.toml:10: there is no layer "compres"; did you mean compress?',
    "onionskin: onion.toml:14: session: secret[0]: it has 9 bytes; ",
    'onionskin: onion.toml:18: request_id: there is no option "colour"; ',
    'onionskin: onion.toml:19: request_id: there is no option "size"; ',
    'onionskin: onion.toml:20: request_id: there is no option "threads"; threads is the server\'s: ',
    'onionskin: onion.toml:22: layer: use is missing; write use = "compress" instead of type = "Compres"',
    'onionskin: onion.toml:26: mount: path: "shop" does not begin with a slash; write /shop',
    'onionskin: onion.toml:27: mount: there is no option "colour"; ',
    'onionskin: onion.toml:31: application.shop: there is no option "colour"; ',
    'onionskin: onion.toml:32: application.shop: there is no option "size"; ',
    "onionskin: onion.toml:35: server: the server's options have no table; ",
    'onionskin: onion.toml:36: backlog: "many" does not fit; ',
]


@pytest.mark.smoke
@pytest.mark.parametrize(
    "command", [["check"], ["serve"], ["serve", "--workers", "1"], ["explain"]], ids=" ".join
)
def test_all_problems_are_reported_in_the_order_of_the_lines(project, run, command):
    (project / "onion.toml").write_text(BROKEN)
    done = run(*command)

    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (2, len(STARTS)), done.stderr
    for line, start in zip(lines, STARTS, strict=True):
        assert line.startswith(start), done.stderr


@pytest.mark.parametrize(
    "command", [["check"], ["serve"], ["serve", "--workers", "1"], ["explain"]], ids=" ".join
)
def test_so_are_those_that_only_building_finds(project, run, command):
    (project / "onion.toml").write_text(
        'application = "site_module"\naccess_log = "/no/such/log"\n[[layer]]\nuse = "static_files"\n'
        'root = "no-such"\n[[layer]]\nuse = "compress"\nmin_size = "x"\nbr_level = "y"\n'
    )
    lines = run(*command).stderr.splitlines()

    assert [line.split(": ")[1] for line in lines] == [f"onion.toml:{n}" for n in (2, 5, 8, 9)], lines


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("layers", "[[layer]]"),
        ("mounts", "[[mount]]"),
        ("applications", "[application.NAME]"),
        ("dispach", "[dispatch]"),
    ],
)
def test_a_table_with_a_wrong_name_gets_a_suggestion_and_no_list(project, run, name, meant):
    (project / "onion.toml").write_text(f'application = "site_module"\n[{name}]\nuse = "compress"\n')
    done = run("check")

    assert done.stderr == f'onionskin: onion.toml:2: there is no table "{name}"; did you mean {meant}?\n'


@pytest.mark.parametrize("name", ["timeout", "certfile", "loglevel", "max_requests_jiter"])
def test_an_option_with_a_wrong_name_gets_a_suggestion_and_no_list(project, run, name):
    (project / "onion.toml").write_text(f"{name} = 1\n")
    done = run("check")

    assert f'there is no option "{name}"; did you mean ' in done.stderr
    assert len(done.stderr) < 150


def test_without_a_suggestion_the_list_is_left_to_the_help(project, run):
    (project / "onion.toml").write_text("colour = 1\n")

    assert run("check").stderr == (
        'onionskin: onion.toml:1: there is no option "colour"; onionskin serve --help lists the options\n'
    )
