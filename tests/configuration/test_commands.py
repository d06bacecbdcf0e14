"""`onionskin config`, `check`, `explain` and `schema`: what would be served, without serving."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onionskin import _core

SITE = 'application = "site_module:application"\n'
REPOSITORY = Path(__file__).resolve().parents[2]


# config


@pytest.mark.smoke
def test_config_tells_where_each_value_was_given(run, project):
    (project / "onion.toml").write_text(
        SITE + 'threads = 2\n[[layer]]\nuse = "compress"\nmin_size = "1KiB"\n'
    )
    done = run("config", "--max-body", "1MiB", ONIONSKIN_KEEP_ALIVE="5s")

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    for line in [
        'application = "site_module:application"  # from onion.toml:1',
        "threads = 2  # from onion.toml:2",
        'max_body = "1MiB"  # from --max-body',
        'keep_alive = "5s"  # from ONIONSKIN_KEEP_ALIVE',
        "backlog = 2048  # default",
        "[[layer]]  # from onion.toml:3",
        'min_size = "1KiB"  # from onion.toml:5',
    ]:
        assert line in lines, done.stdout


def test_what_config_prints_is_a_file_that_says_the_same(run, project):
    (project / "onion.toml").write_text(
        SITE + '[[layer]]\nuse = "headers"\n[layer.response.set]\nX-Frame-Options = "DENY"\n'
        '[[mount]]\npath = "/blog"\napplication = "site_module:blog"\n[dispatch]\nslash = "redirect"\n'
    )
    printed = run("config").stdout
    (project / "printed.toml").write_text(printed)
    again = run("config", "--config", "printed.toml").stdout

    def values(text: str) -> list[str]:
        return sorted(line.partition("  #")[0] for line in text.splitlines())

    assert values(again) == values(printed)


def test_config_masks_secrets(run, project):
    (project / "onion.toml").write_text(
        '[[layer]]\nuse = "session"\nsecret = ["nCq4Jb7yNfYk9Xo2tVd0Zr6sLh3wGm8P"]\n'
        'store = "redis://user:opensesame@localhost/0"\n'
    )
    for arguments in (["config"], ["config", "--json"]):
        done = run(*arguments)
        assert done.returncode == 0
        assert "nCq4Jb7y" not in done.stdout and "opensesame" not in done.stdout
        assert "***" in done.stdout and "redis://user:***@localhost/0" in done.stdout


def test_config_as_json_has_values_and_places(run, project):
    (project / "onion.toml").write_text(SITE)
    told = json.loads(run("config", "--json", "--threads", "3").stdout)

    assert told["application"] == {"value": "site_module:application", "from": "onion.toml:1"}
    assert told["server"]["threads"] == {"value": 3, "from": "--threads"}


# check


def test_check_of_what_is_well_is_0(run, project):
    (project / "onion.toml").write_text(SITE + '[[layer]]\nuse = "request_id"\n[[layer]]\nuse = "compress"\n')
    done = run("check")

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "onion.toml can be served\n"


LAYERED = """
from onionskin import Compress, Onion, RequestId
from site_module import blog
application = Onion(Compress(), RequestId())(blog)
"""


@pytest.mark.parametrize("arguments", [[], ["--no-import"]])
def test_check_warns_of_a_layer_that_stands_too_far_inside_and_is_1(run, project, arguments):
    (project / "onion.toml").write_text(SITE + '[[layer]]\nuse = "compress"\n[[layer]]\nuse = "request_id"\n')
    done = run("check", *arguments)

    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == (
        "onionskin: warning: request_id should stand outside compress: what it tells of the client and the "
        "request is not known yet where the other acts"
    )


def test_check_sees_the_layers_that_a_module_has_put_around_its_application(run, project):
    (project / "layered.py").write_text(LAYERED)

    assert "request_id should stand outside compress" in run("check", "layered").stderr
    assert run("check", "layered", "--no-import").returncode == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("threads = 0\n", "onion.toml:2: threads: 0"),
        ('bind = "unix:/no/such/directory/socket"\n', "there is no directory /no/such/directory"),
        (
            'bind = "https://127.0.0.1:8443"\ntls_certificate = "no.pem"\ntls_key = "no.key"\n',
            "onion.toml:3: tls_certificate: ",
        ),
        ('[[layer]]\nuse = "static_files"\nroot = "no-such"\n', "onion.toml:4: static_files: root: "),
        ('[[layer]]\nuse = "compress"\nmin_size = "x"\n', "onion.toml:4: compress: min_size"),
        ('access_log = "/no/such/log"\n', 'onion.toml:2: access_log: "/no/such/log" cannot be opened'),
        ('error_log = "/dev"\n', 'onion.toml:2: error_log: "/dev" cannot be opened: is a directory'),
        ('access_log = "-"\naccess_log_skip = ["static"]\n', 'onion.toml:3: access_log_skip: "static"'),
        ("max_requests = 10\n", "onion.toml:2: max_requests: it needs workers"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--no-import"]])
def test_check_of_what_cannot_be_served_is_2(run, project, text, told, arguments):
    (project / "onion.toml").write_text(SITE + text)
    done = run("check", *arguments)

    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_check_opens_no_log(run, project):
    (project / "onion.toml").write_text(SITE + 'access_log = "access.log"\nerror_log = "error.log"\n')

    assert run("check").returncode == 0
    assert not list(project.glob("*.log"))


def test_check_knows_the_options_of_workers(run, project):
    (project / "onion.toml").write_text(SITE + "workers = 2\nmax_requests = 10\n")

    assert run("check").returncode == 0


def test_check_shows_what_an_application_raises_unless_it_is_not_imported(run, project):
    (project / "broken.py").write_text("raise RuntimeError('at import')\n")
    done = run("check", "broken")

    assert done.returncode == 2
    assert "RuntimeError: at import" in done.stderr
    assert run("check", "broken", "--no-import").returncode == 0


# explain

MIXED = """
from onionskin import AllowAddresses, Compress, Errors, Mount, Onion, RequestId
from site_module import application as site, blog

class Timing:
    def __init__(self, app):
        self.app = app
    def __call__(self, environ, start_response):
        return self.app(environ, start_response)

def closed(app):
    def closing(environ, start_response):
        return app(environ, start_response)
    return closing

application = RequestId(Mount(
    {"/blog": Errors(blog), "/shut": closed(AllowAddresses(blog, []))},
    default=Timing(Compress(site)),
))
"""


def test_explain_tells_what_runs_natively_and_what_in_python_and_why(run, project):
    (project / "mixed.py").write_text(MIXED)
    done = run("explain", "mixed")

    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.rstrip() for line in done.stdout.splitlines()]
    told = [(row.split()[0], " ".join(row.split()[1:])) for row in rows]
    inside = "stands around it; put it outside to run it natively"
    assert told == [
        ("request_id", "native"),
        ("mount", "native"),
        ("/blog", ""),
        ("errors", "native"),
        ("site_module.answering.<locals>.application", "Python: a WSGI application"),
        ("/shut", ""),
        ("mixed.closed.<locals>.closing", "Python: it stands around layers"),
        ("allow_addresses", f"as WSGI middleware: mixed.closed.<locals>.closing {inside}"),
        ("site_module.answering.<locals>.application", "Python: a WSGI application"),
        ("otherwise", ""),
        ("mixed.Timing", "Python: it stands around layers"),
        ("compress", f"as WSGI middleware: mixed.Timing {inside}"),
        ("site_module.answering.<locals>.application", "Python: a WSGI application"),
    ]
    assert rows[3].startswith("      errors")


KNOWING = """
from onionskin import Compress, RequestId

class Site:
    def __init__(self):
        self.wsgi_app = RequestId(Compress(self.wsgi_app))
    def wsgi_app(self, environ, start_response):
        return []
    def __call__(self, environ, start_response):
        return self.wsgi_app(environ, start_response)

site = Site()
application = site.wsgi_app
"""


def test_an_application_that_knows_its_own_onion_ends_it(run, project):
    (project / "knowing.py").write_text(KNOWING)
    native = [row.split()[:2] for row in run("explain", "knowing").stdout.splitlines()]
    within = [row.split()[:2] for row in run("explain", "knowing:site").stdout.splitlines()]

    assert native == [["request_id", "native"], ["compress", "native"], ["knowing.Site.wsgi_app", "Python:"]]
    assert [name for name, _ in within] == ["knowing.Site", "request_id", "compress", "knowing.Site.wsgi_app"]
    assert run("check", "knowing").returncode == 0


def test_explain_shows_the_onion_of_the_file(run, project):
    (project / "onion.toml").write_text(SITE + '[[layer]]\nuse = "errors"\n')

    assert run("explain").stdout.split()[:2] == ["errors", "native"]


# schema


def test_the_schema_is_the_one_of_the_documentation(run):
    kept = json.loads((REPOSITORY / "docs" / "reference" / "onion.schema.json").read_text())

    assert json.loads(run("schema").stdout) == kept


def test_the_schema_knows_every_option_of_server_and_layers():
    schema = _core.configuration_schema()
    assert {*_core.server_options()["properties"]} < {*schema["properties"]}
    layers = {layer["properties"]["use"]["const"]: layer for layer in schema["$defs"]["layer"]["oneOf"]}
    for row in _core.declarations():
        assert {*row["schema"]["properties"], "use", "match", "unless"} == {
            *layers[row["name"]]["properties"]
        }
