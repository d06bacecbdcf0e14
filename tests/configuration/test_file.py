"""`onion.toml` and pyproject.toml: what they describe is what is served."""

from __future__ import annotations

import pytest

BIND = 'bind = "127.0.0.1:0"\n'
SITE = BIND + 'application = "site_module:application"\n'


@pytest.mark.smoke
def test_application_options_and_layers_come_from_the_file(served):
    server = served(SITE + 'threads = 2\n[[layer]]\nuse = "request_id"\nheader = "x-id"\n')
    with server.client() as client:
        response = client.get("/")

    assert (response.status, response.body) == (200, b"site ''")
    assert response.header("x-id")
    server.wait_for_line(r"\)$")
    assert server.lines[0].endswith(", 2 threads")
    assert server.lines[1:3] == ["(request_id", "  (site_module.answering.<locals>.application))"]


def test_the_table_of_a_pyproject_does_as_well(served, project):
    text = "[project]\nname = 'x'\n[tool.onionskin]\n" + SITE + "[[tool.onionskin.layer]]\nuse = 'errors'\n"
    (project / "pyproject.toml").write_text(text)
    (project / "elsewhere").mkdir()
    server = served("", "--config", "pyproject.toml")

    assert server.get("/") == b"site ''"
    assert server.lines[1] == "(errors"


MOUNTS = (
    SITE
    + """
[[mount]]
path = "/blog"
application = "site_module:blog"
threads = 1

[[mount.layer]]
use = "request_id"
header = "x-blog"

[[mount]]
path = "/files"

[[mount.layer]]
use = "static_files"
root = "files"

[dispatch]
slash = "redirect"
"""
)


def test_mounts_have_applications_and_layers_of_their_own(served, project):
    (project / "files").mkdir()
    (project / "files" / "a.txt").write_text("a file")
    server = served(MOUNTS)
    with server.client() as client:
        blog, site = client.get("/blog/x"), client.get("/x")
        files, missing, redirected = client.get("/files/a.txt"), client.get("/files/b"), client.get("/blog")

    assert (blog.body, bool(blog.header("x-blog"))) == (b"blog '/blog'", True)
    assert (site.body, site.header("x-blog")) == (b"site ''", None)
    assert (files.body, missing.status, redirected.status) == (b"a file", 404, 308)


def test_without_an_application_what_is_not_mounted_is_not_found(served):
    server = served(BIND + '[[mount]]\nhost = "blog.example.org"\napplication = "site_module:blog"\n')
    with server.client() as client:
        assert client.get("/").status == 404


def test_a_last_layer_that_answers_by_itself_needs_no_application(served, project):
    server = served(BIND + '[[layer]]\nuse = "errors"\n[[layer]]\nuse = "static_files"\nroot = "."\n')

    assert b"def answering" in server.get("/site_module.py")


def test_the_application_of_the_command_line_stands_in_the_place_of_the_files(served):
    assert served(SITE, "site_module:blog").get("/") == b"blog ''"


@pytest.mark.smoke
def test_environment_wins_over_the_file_and_flags_over_both(served):
    text = SITE + "threads = 2\n"
    by_variable = served(text, ONIONSKIN_THREADS="3", ONIONSKIN_APPLICATION="site_module:blog")
    by_flag = served(text, "--threads", "5", ONIONSKIN_THREADS="3")

    assert by_variable.lines[0].endswith(", 3 threads")
    assert by_variable.get("/") == b"blog ''"
    assert by_flag.lines[0].endswith(", 5 threads")


def test_the_environment_names_several_places_with_commas(served, tmp_path):
    place = f"unix:{tmp_path / 'socket'}"
    server = served(SITE, ONIONSKIN_BIND=f"127.0.0.1:0,{place}")

    assert f", {place}," in server.lines[0]


def test_the_environment_names_the_file(served, project):
    (project / "other.toml").write_text(SITE + "threads = 7\n")
    server = served("threads = 2\n", ONIONSKIN_CONFIG="other.toml")

    assert server.lines[0].endswith(", 7 threads")


def test_no_config_does_without_file_and_environment(served):
    arguments = ["site_module", "--no-config", "--bind", "127.0.0.1:0"]
    server = served("threads = 0\n", *arguments, ONIONSKIN_THREADS="many")

    assert server.lines[0].endswith(", 4 threads")


def test_serve_in_python_reads_it_too_and_its_arguments_win(served, project):
    script = (
        "import onionskin, site_module\nonionskin.serve(site_module.blog, bind='127.0.0.1:0', threads=6)\n"
    )
    (project / "script.py").write_text(script)
    (project / "onion.toml").write_text(SITE + 'threads = 2\nbacklog = 5\n[[layer]]\nuse = "errors"\n')
    import sys

    from server.process import Process

    server = Process([sys.executable, "script.py"], project)
    try:
        assert server.wait_for_line("on http").endswith(", 6 threads")
        assert server.wait_for_line(r"^\(errors")
    finally:
        server.kill()
