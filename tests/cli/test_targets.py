"""What is served: the forms of a target, the layers around it, and what is announced."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from server.process import Server


@pytest.fixture
def served(project):
    """Starts a server of one of the project's applications."""
    with ExitStack() as servers:
        yield lambda target, *options, **settings: servers.enter_context(
            Server(*options, target=target, cwd=project, **settings)
        )


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("site_module:application", b"application"),
        ("site_module:app", b"app"),
        ("site_module", b"application"),
        ("only_app", b"app"),
        ("package.wsgi", b"application"),
        ("package.wsgi:app", b"app"),
        ("site_module.py:app", b"app"),
        ("site_module.py", b"application"),
        ("package/wsgi.py:app", b"app"),
        ("./package/wsgi.py", b"application"),
        ("site_module:holder.app", b"app"),
        ("site_module:create_app()", b"created"),
        ("site_module:create_app('named')", b"named"),
        ("site_module:create_app('named', loud=True)", b"NAMED"),
        ("package/wsgi.py:create_app(name='named')", b"named"),
    ],
)
def test_a_target_is_served(served, target, body):
    assert served(target).get("/") == body


def test_an_absolute_path_is_a_target(served, project):
    assert served(f"{project}/site_module.py:app").get("/") == b"app"


def test_a_file_may_import_its_neighbours(served, project):
    (project / "package" / "uses.py").write_text("from wsgi import application\n")
    assert served("package/uses.py").get("/") == b"application"


def test_the_diagram_names_layers_application_place_and_threads(served):
    server = served(
        "package.wsgi:application",
        "--layer",
        "allow_addresses:allowed_addresses=127.0.0.1",
        "--layer",
        "request_id",
        threads=2,
    )
    server.wait_for_line(r"\)$")
    assert server.lines[0].endswith(f" on http://127.0.0.1:{server.port}, 2 threads")
    assert server.lines[1:4] == [
        "(allow_addresses",
        "  (request_id",
        "    (package.wsgi.application)))",
    ]


def test_the_diagram_names_every_place(served, tmp_path):
    server = served("site_module", bind=["127.0.0.1:0", "[::1]:0", f"unix:{tmp_path / 'socket'}"], threads=1)
    first, second, third = server.places
    assert server.lines[0].endswith(f" on {first}, {second}, {third}, 1 thread")
    assert (second.startswith("http://[::1]:"), third) == (True, f"unix:{tmp_path / 'socket'}")


def test_layers_stand_in_the_order_in_which_they_are_given(served):
    server = served(
        "site_module",
        "--layer",
        "allow_addresses:allowed_addresses=10.0.0.1,status=404",
        "--layer",
        "allow_addresses:allowed_addresses=10.0.0.1,status=403",
    )
    with server.client() as client:
        assert client.get("/").status == 404


def test_a_layer_that_the_module_has_put_around_its_application_is_shown(served, project):
    (project / "layered.py").write_text(
        "import onionskin\nfrom site_module import app\n"
        "application = onionskin.AllowAddresses(app, ['127.0.0.1'])\n"
    )
    server = served("layered")
    server.wait_for_line(r"\)$")
    assert server.lines[1:3] == ["(allow_addresses", "  (site_module.app))"]
