"""A wrong configuration is refused in one line: the place, the option, the value, and what to do."""

from __future__ import annotations

import pytest

import onionskin

SITE = 'application = "site_module:application"\nbind = "127.0.0.1:0"\n'


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("threads = 0\n", "onion.toml:3: threads: 0 does not fit; give an integer from 1 to 1024"),
        ("thread = 1\n", 'onion.toml:3: there is no option "thread"; did you mean threads?'),
        ("threads = \n", "onion.toml:3: this is no TOML: "),
        (
            '[[layer]]\nuse = "compress"\nmin_size = "x"\n',
            'onion.toml:5: compress: min_size: "x" is no size; ',
        ),
        (
            '[[layer]]\nuse = "allow_addresses"\n',
            "onion.toml:3: allow_addresses: allowed_addresses is missing; ",
        ),
        (
            '[[layer]]\nuse = "allow_addresses"\nallowed_addresses = ["::1", "x"]\n',
            'onion.toml:5: allow_addresses: allowed_addresses[1]: "x" ',
        ),
        (
            '[[layer]]\nuse = "request_id"\n[layer.match]\nway = "x"\n',
            'onion.toml:5: request_id: match: there is no option "way"; ',
        ),
        (
            '[[mount]]\npath = "/x"\napplication = "site_module"\n'
            '[[mount.layer]]\nuse = "compress"\ntypes = 5\n',
            "onion.toml:8: compress: types: 5 does not fit; ",
        ),
        ('[[mount]]\npath = "/x"\napplication = "no_such:app"\n', "there is no module 'no_such' here"),
        (
            '[[mount]]\npath = "//x"\napplication = "site_module"\n',
            'onion.toml:4: mount: path: "//x" begins with two slashes; write /x',
        ),
        (
            '[[mount]]\nhost = "x:y"\napplication = "site_module"\n',
            'onion.toml:3: mount: routes: "x:y" ',
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_told_in_one_line(run, project, text, told):
    (project / "onion.toml").write_text(SITE + text)
    done = run("serve")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("onionskin: ")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_wrong_variable_is_told(run):
    done = run("serve", "site_module", ONIONSKIN_KEEP_ALIVE="soon")

    assert done.returncode == 2
    assert done.stderr == 'onionskin: ONIONSKIN_KEEP_ALIVE: "soon" is no length of time; write 30s or 5m\n'


def test_without_an_application_it_is_told_how_to_name_one(run):
    done = run("serve")

    assert done.returncode == 2
    assert done.stderr.startswith("onionskin: there is no application; name one, or write application = ")
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_is_named_must_be_there(run):
    done = run("serve", "--config", "no-such.toml")

    assert done.returncode == 2
    assert done.stderr.startswith("onionskin: no-such.toml: the configuration cannot be read: ")


def test_two_files_are_one_too_many(run, project):
    (project / "onion.toml").write_text(SITE)
    (project / "pyproject.toml").write_text("[tool.onionskin]\nthreads = 2\n")
    done = run("serve")

    assert done.returncode == 2
    assert "keep one of them" in done.stderr


def test_serve_in_python_raises_what_is_wrong(project, monkeypatch):
    monkeypatch.chdir(project)
    (project / "onion.toml").write_text("threads = 0\n")

    with pytest.raises(onionskin.ConfigurationError, match=r"^onion.toml:1: threads: 0"):
        onionskin.serve(lambda environ, start_response: [])
    with pytest.raises(onionskin.ConfigurationError, match=r'^there is no option "thread"; '):
        onionskin.serve(lambda environ, start_response: [], config=False, thread=1)
