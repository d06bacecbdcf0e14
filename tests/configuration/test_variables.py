"""``${NAME}`` in onion.toml, secrets in files, and placeholders that nothing has expanded."""

from __future__ import annotations

import pytest

from onionskin import ConfigurationError, Headers, Proxy, Session, paste

SECRET = "nCq4Jb7yNfYk9Xo2tVd0Zr6sLh3wGm8P"
SITE = """
def application(environ, start_response):
    session = environ["onionskin.session"]
    session["count"] = session.get("count", 0) + 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(session["count"]).encode()]
"""
LAYER = 'application = "counting"\nbind = "127.0.0.1:0"\n[[layer]]\nuse = "session"\nsecure = false\n'


@pytest.fixture
def counting(project):
    (project / "counting.py").write_text(SITE)
    return project


def counted(server) -> list[bytes]:
    with server.client() as client:
        first = client.get("/")
        cookie = first.header("set-cookie").partition(";")[0]
        return [first.body, client.get("/", f"Cookie: {cookie}").body]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_secret_comes_from_the_environment(counting, served, workers):
    text = LAYER + 'secret = "${SESSION_SECRET}"\n'
    server = served(text, "--workers", workers, SESSION_SECRET=SECRET)

    assert counted(server) == [b"1", b"2"]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_secret_comes_from_a_file(counting, served, workers):
    (counting / "credentials").mkdir()
    (counting / "credentials" / "session").write_text(f"\n{SECRET}\n{SECRET[::-1]}\n")
    text = LAYER + 'secret_file = "${CREDENTIALS_DIRECTORY}/session"\n'
    server = served(text, "--workers", workers, CREDENTIALS_DIRECTORY=str(counting / "credentials"))

    assert counted(server) == [b"1", b"2"]


@pytest.mark.parametrize("command", ["check", "serve", "explain", "config"])
def test_an_unset_variable_is_an_error_with_its_line(project, run, command):
    (project / "onion.toml").write_text(
        'application = "site_module"\nbind = [\n    "127.0.0.1:${PORT}",\n]\n'
    )
    done = run(command)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "onionskin: onion.toml:3: environment variable PORT is not set; set it, or use ${PORT:-DEFAULT}; "
        "$${ is a literal ${\n"
    )


def test_the_table_in_pyproject_is_expanded_too(project, run):
    (project / "pyproject.toml").write_text(
        '[tool.onionskin]\napplication = "site_module"\ncontrol = "${RUN}/c"\n'
    )

    assert 'control = "/run/c"  # from pyproject.toml:3' in run("config", RUN="/run").stdout
    assert "pyproject.toml:3: environment variable RUN is not set" in run("config").stderr


def test_a_literal_is_kept_and_printed_as_it_is_written(project, run):
    (project / "onion.toml").write_text(
        'application = "site_module"\n[[layer]]\nuse = "headers"\n[layer.response.set]\nX-A = "$${NAME} $X"\n'
    )
    printed = run("config").stdout

    assert 'X-A = "$${NAME} $X"' in printed
    assert run("check").returncode == 0


def test_what_a_variable_holds_is_not_printed_where_it_is_secret(counting, run):
    (counting / "onion.toml").write_text(LAYER + 'secret = ["${SESSION_SECRET}"]\nstore = "${STORE}"\n')
    done = run("config", SESSION_SECRET=SECRET, STORE="redis://user:opensesame@127.0.0.1/0")

    assert SECRET not in done.stdout and "opensesame" not in done.stdout
    assert "redis://user:***@127.0.0.1/0" in done.stdout


PLACEHOLDERS = [
    "${SESSION_SECRET_OF_THE_WHOLE_SITE}",
    "$SESSION_SECRET_OF_THE_WHOLE_SITE",
    "%(session_secret_of_the_whole_site)s",
    "<thirty-two random characters or more>",
]


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_is_not_accepted_as_a_secret_from_anywhere(counting, run, placeholder):
    told = "is an unexpanded placeholder, not a secret"
    written = placeholder.replace("${", "$${")
    (counting / "file").write_text(placeholder)
    for line in (f"secret = '{written}'", f"secret = ['{SECRET}', '{written}']", "secret_file = 'file'"):
        (counting / "onion.toml").write_text(LAYER + line + "\n")
        done = run("check")
        assert done.returncode == 2, line
        assert done.stderr.startswith("onionskin: onion.toml:6: session: secret"), done.stderr
        assert told in done.stderr
    done = run("check", "--no-config", "counting", "--layer", f"session:secret={placeholder}")
    assert (done.returncode, told in done.stderr) == (2, True)
    with pytest.raises(ConfigurationError, match=told):
        Session(secret=[placeholder])
    with pytest.raises(ConfigurationError, match=told):
        paste.filter_of("session")({}, secret=placeholder)


def test_placeholders_in_passwords_and_secret_headers_are_rejected():
    told = "is an unexpanded placeholder"
    for make in (
        lambda: Session(secret=[SECRET], store="redis://:${REDIS_PASSWORD}@127.0.0.1/0"),
        lambda: Headers(request={"set": {"X-Api-Key": "${KEY}"}}),
        lambda: Headers(request={"set": {"Authorization": "Bearer ${KEY}"}}),
        lambda: Proxy("http://user:${PASSWORD}@127.0.0.1:1"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            make()
    assert Headers(response={"set": {"X-Template": "${NAME}"}})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "No such file or directory"),
        ("", "the file is empty"),
        ("changeme", r"secret\[0\]: it has 8 bytes"),
    ],
)
def test_a_file_without_a_good_secret_is_refused(tmp_path, text, told):
    file = tmp_path / "secret"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigurationError, match=f'^session: secret_file: ".*secret": {told}'):
        Session(secret_file=file)


def test_secret_and_secret_file_exclude_each_other(tmp_path):
    with pytest.raises(ConfigurationError, match=r"^session: secret_file: secret is given as well; keep one"):
        Session(secret=[SECRET], secret_file=tmp_path / "secret")
    with pytest.raises(ConfigurationError, match=r"^session: secret is missing; set secret to"):
        Session()


@pytest.mark.parametrize(
    "layer",
    [
        "proxy:target=ftp://user:opensesame@127.0.0.1",
        "proxy:target=http://user:opensesame@127.0.0.1:port",
        "session:secret=a,store=memcached://user:opensesame@127.0.0.1",
        "opensesame:token=opensesame",
        "headers:request.set.X-Api-Key=opensesame\nX: y",
        "headers:request.set.Authorization=Bearer opensesame\u0007",
    ],
)
def test_no_error_shows_a_password_or_the_value_of_a_secret_header(project, run, layer):
    done = run("check", "site_module", "--layer", layer)

    assert done.returncode == 2, done
    assert "opensesame" not in done.stderr.replace('no layer "opensesame"', "")


def test_config_masks_secret_headers_and_passwords_in_targets(project, run):
    (project / "onion.toml").write_text(
        'application = "site_module"\n[[layer]]\nuse = "headers"\n[layer.request.set]\n'
        'X-Api-Key = "opensesame"\nX-Auth-Token = "opensesame"\n'
        '[[mount]]\npath = "/api"\n[[mount.layer]]\nuse = "proxy"\n'
        'target = "http://user:opensesame@127.0.0.1:1"\n'
    )
    for arguments in (["config"], ["config", "--json"], ["explain"], ["check"]):
        done = run(*arguments)
        assert "opensesame" not in done.stdout + done.stderr, done
