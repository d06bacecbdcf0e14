"""Every example is run for real: served in a process of its own, asked, and stopped."""

from __future__ import annotations

import http.client
import json
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import pytest

from examples.served import EXAMPLES, ask, serving, serving_example

pytestmark = pytest.mark.smoke


def test_hello_greets() -> None:
    with serving_example("hello.py") as port:
        response, body = ask(port)

    assert (response.status, body) == (200, b"Hello, neighbour!\n")


def test_the_tutorial_shows_the_environ_to_an_allowed_address() -> None:
    with serving(str(EXAMPLES / "tutorial.py"), "0") as port:
        response, body = ask(port)

    assert response.status == 200
    assert body.startswith(b"Hello world!")
    assert b"REMOTE_ADDR = '127.0.0.1'" in body


def test_an_event_arrives_before_the_next_one_is_there() -> None:
    with serving_example("streaming.py") as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/")
        response = connection.getresponse()
        first = response.read1(100)
        rest = response.read()
        connection.close()

    assert response.getheader("Content-Type") == "text/event-stream"
    assert first == b"data: 3\n\n"
    assert rest.endswith(b"data: lift-off\n\n")


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_is_read_to_its_end(chunked: bool) -> None:
    sent = b"onion" * 1_000_000  # beyond what waits in memory
    body = iter([sent[:3_000_000], sent[3_000_000:]]) if chunked else sent
    with serving_example("upload.py") as port:
        response, told = ask(port, method="PUT", body=body, encode_chunked=chunked, headers=framing(chunked))

    assert response.status == 200
    assert told == f"{len(sent)} bytes, SHA-256 {sha256(sent).hexdigest()}\n".encode()


def framing(chunked: bool) -> dict[str, str]:
    """The header that says how a body is framed, where http.client does not choose it itself."""
    return {"Transfer-Encoding": "chunked"} if chunked else {}


def test_a_file_describes_applications_and_a_folder_side_by_side() -> None:
    if find_spec("flask") is None:
        pytest.skip("flask is not installed")
    described = ["--config", str(EXAMPLES / "mounted.toml")]
    with serving("-m", "onionskin", "serve", *described, "--bind", "127.0.0.1:0") as port:
        hello, greeting = ask(port)
        flask, told = ask(port, "/flask/")
        files, page = ask(port, "/files/", headers={"Accept-Encoding": "gzip"})
        redirected, _ = ask(port, "/files")

    assert (hello.status, greeting) == (200, b"Hello, neighbour!\n")
    assert hello.getheader("X-Content-Type-Options") == "nosniff"
    assert json.loads(told)["request"] == flask.getheader("X-Request-Id")
    assert (files.status, redirected.status) == (200, 308)
    assert page


@pytest.mark.parametrize("framework", ["flask", "django"])
def test_a_framework_sees_the_id_of_its_request(framework: str) -> None:
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    with serving_example(f"{framework}_app.py") as port:
        response, body = ask(port)

    told = json.loads(body)
    assert told["hello"].lower() == f"from {framework}"
    assert told["request"] == response.getheader("X-Request-Id")


def test_every_example_is_asked_here_and_short_enough_to_be_one_idea() -> None:
    tested = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for path in EXAMPLES.glob("*.py"):
        name = path.name
        assert name in tested or name.replace("_app.py", "") in tested, f"no test asks {name}"
        assert len(path.read_text().splitlines()) < 60, name
