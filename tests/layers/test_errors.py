"""Errors: what went wrong is worded for whoever asked, and told in full to the log alone."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

import pytest

from onionskin import AllowAddresses, ConfigurationError, Errors, Onion, RequestId
from onionskin._core import layer_from_text
from support.both_doors import serving
from support.client import ask
from support.told import answering
from support.wsgi import run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = pytest.mark.smoke

HTML = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")]
JSON = [("Accept", "application/json")]
SECRET = "the password is swordfish"


def raising(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    raise RuntimeError(SECRET)


def raising_late(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "yes")])
    raise RuntimeError(SECRET)


def raising_lazily(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "yes")])
    raise RuntimeError(SECRET)
    yield b""


@pytest.mark.parametrize("app", [raising, raising_late, raising_lazily])
def test_an_exception_is_a_page_for_the_client_and_a_traceback_for_the_log(told: Any, app: Any) -> None:
    seen = told(Errors(app), headers=HTML)
    assert (seen.status, seen.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert b"<title>500 Internal Server Error</title>" in seen.body
    assert b"Traceback" not in seen.body and SECRET.encode() not in seen.body
    assert seen.log.count("Traceback (most recent call last)") == 1
    assert seen.log.count(f"RuntimeError: {SECRET}") == 1


@pytest.mark.parametrize("app", [raising, raising_late, raising_lazily])
def test_nothing_of_the_response_that_was_to_be_is_left(told: Any, app: Any) -> None:
    seen = told(Errors(app), headers=HTML)
    assert "x-first" not in seen.headers
    assert (seen.headers["cache-control"], seen.headers["vary"].lower()) == ("no-store", "accept")


def test_a_program_gets_problem_details(told: Any) -> None:
    seen = told(Errors(raising), headers=JSON)
    assert seen.details == {"type": "about:blank", "title": "Internal Server Error", "status": 500}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html", "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("application/json, text/html;q=0.9", "application/problem+json"),
        ("application/json;q=0.5, text/*", "text/html; charset=utf-8"),
        ("application/problem+json", "application/problem+json"),
        ("application/json;q=0", "text/html; charset=utf-8"),
        ("image/webp", "text/html; charset=utf-8"),
        ("nonsense", "text/html; charset=utf-8"),
    ],
)
def test_the_client_chooses_by_its_weights(told: Any, accept: str, kind: str) -> None:
    assert told(Errors(raising), headers=[("Accept", accept)]).headers["content-type"] == kind


def test_problem_details_can_be_for_all_or_for_none(told: Any) -> None:
    always = told(Errors(raising, problem_json="always"), headers=HTML)
    never = told(Errors(raising, problem_json="never"), headers=JSON)
    assert always.details["status"] == 500
    assert never.headers["content-type"] == "text/html; charset=utf-8"
    assert "vary" not in always.headers and "vary" not in never.headers


def test_the_id_of_the_request_is_in_the_details_and_in_the_page(told: Any, tmp_path: Path) -> None:
    (tmp_path / "5xx.html").write_text("{{status}}/{{reason}}/{{request_id}}")
    onion = Onion(RequestId(), Errors(directory=str(tmp_path)))
    details = told(onion(raising), headers=JSON)
    assert details.details["request_id"] == details.headers["x-request-id"]
    assert details.details["instance"] == f"urn:uuid:{details.headers['x-request-id']}"
    page = told(onion(raising), headers=HTML)
    assert page.body.decode() == f"500/Internal Server Error/{page.headers['x-request-id']}"


def test_the_refusal_of_a_layer_is_worded(told: Any) -> None:
    seen = told(Errors(AllowAddresses(raising, [])), headers=JSON)
    assert seen.details == {"type": "about:blank", "title": "Forbidden", "status": 403}
    assert seen.log == ""
    assert "cache-control" not in seen.headers


def test_of_two_around_an_error_the_inner_one_has_the_word(told: Any) -> None:
    inner = Errors(AllowAddresses(raising, []), problem_json="always")
    assert told(Errors(inner, problem_json="never"), headers=HTML).details["status"] == 403


OWN = answering("404 Not Found", lambda: [b"no such ", b"cat"], ("ETag", '"1"'), ("Retry-After", "5"))
LAZY = answering("404 Not Found", lambda: iter([b"", b"no such ", b"cat"]), ("ETag", '"1"'))


@pytest.mark.parametrize("app", [OWN, LAZY])
def test_what_the_application_says_itself_stays(told: Any, app: Any) -> None:
    seen = told(Errors(app), headers=JSON)
    assert (seen.status, seen.body, seen.headers["etag"]) == (404, b"no such cat", '"1"')
    assert seen.headers["content-type"] == "text/plain"
    assert "vary" not in seen.headers


@pytest.mark.parametrize("app", [OWN, LAZY])
def test_what_the_application_says_itself_is_replaced_if_that_is_asked_for(told: Any, app: Any) -> None:
    seen = told(Errors(app, intercept_app_errors=True), headers=JSON)
    assert seen.details == {"type": "about:blank", "title": "Not Found", "status": 404}
    assert "etag" not in seen.headers
    assert int(seen.headers["content-length"]) == len(seen.body)


@pytest.mark.parametrize("body", [list, lambda: iter([b"", b""]), lambda: iter([])])
@pytest.mark.parametrize("headers", [(), (("Content-Length", "0"),)])
def test_an_error_without_a_body_gets_one(told: Any, body: Any, headers: Any) -> None:
    kept = [("Allow", "GET"), ("Retry-After", "5"), ("WWW-Authenticate", "Basic"), ("Set-Cookie", "a=1")]
    seen = told(Errors(answering("405 Method Not Allowed", body, *kept, *headers)), headers=JSON)
    assert seen.details["title"] == "Method Not Allowed"
    assert [(name, seen.headers.get(name.lower())) for name, _ in kept] == kept
    assert int(seen.headers["content-length"]) == len(seen.body)


def test_what_is_no_error_passes(told: Any) -> None:
    seen = told(Errors(answering("302 Found", list, ("Location", "/there"))), headers=JSON)
    assert (seen.status, seen.body, "vary" in seen.headers) == (302, b"", False)


def test_an_answer_to_head_has_the_head_of_a_get(told: Any) -> None:
    get, head = (told(Errors(raising), method=method, headers=HTML) for method in ("GET", "HEAD"))
    assert head.body == b""
    assert [head.headers[name] for name in ("content-type", "content-length", "vary")] == [
        get.headers[name] for name in ("content-type", "content-length", "vary")
    ]
    assert (
        told(Errors(answering("404 Not Found", list)), method="HEAD").headers["content-type"] == "text/plain"
    )


def test_what_is_started_anew_is_the_applications_own(told: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            raise LookupError
        except LookupError:
            start_response("503 Sorry", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"worded here"]

    seen = told(Errors(app), headers=JSON)
    assert (seen.status, seen.body, seen.log) == (503, b"worded here", "")


def test_a_body_that_is_replaced_is_closed(told: Any) -> None:
    closed: list[str] = []

    class Blocks(list[bytes]):
        def close(self) -> None:
            closed.append("closed")

    told(Errors(answering("404 Not Found", lambda: Blocks([b"x"])), intercept_app_errors=True))
    assert closed == ["closed"]


def test_an_exception_after_the_head_was_sent_cuts_the_response_off() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one"
        raise RuntimeError(SECRET)

    with redirect_stderr(io.StringIO()) as log, serving(Errors(app)) as place:
        reply = ask(place, "/")
    assert (reply.status, reply.body, reply.whole) == (200, b"one", False)
    assert log.getvalue().count(f"RuntimeError: {SECRET}") == 1
    with pytest.raises(RuntimeError, match=SECRET):
        run(Errors(app))


def test_a_page_is_chosen_by_status_and_then_by_class(told: Any, tmp_path: Path) -> None:
    for name in ("404.html", "4xx.txt", "5xx.htm", "style.css"):
        (tmp_path / name).write_text(f"{name} {{{{ status }}}}")
    special = tmp_path / "special.html"
    special.write_text("{{ reason }}")
    layer = Errors(directory=str(tmp_path), pages={"410": str(special)})

    def page(status: str) -> tuple[str, str]:
        seen = told(layer(answering(status, list)))
        return seen.headers["content-type"], seen.body.decode()

    assert page("404 Not Found") == ("text/html; charset=utf-8", "404.html 404")
    assert page("403 Forbidden") == ("text/plain; charset=utf-8", "4xx.txt 403")
    assert page("410 <Gone>") == ("text/html; charset=utf-8", "&lt;Gone&gt;")
    assert page("503 Busy") == ("text/html; charset=utf-8", "5xx.htm 503")


def test_a_page_that_will_not_do_is_refused_at_start_up(tmp_path: Path) -> None:
    (tmp_path / "latin1.html").write_bytes(b"caf\xe9")
    (tmp_path / "place.html").write_text("{{ traceback }}")
    (tmp_path / "404.html").write_text("one")
    (tmp_path / "404.txt").write_text("two")
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"pages": {"200": "x"}}, 'pages: "200" is no status of an error; write 404, "4xx" or "5xx"'),
        ({"pages": {404: tmp_path / "none.html"}}, "cannot be read"),
        ({"pages": {404: tmp_path / "latin1.html"}}, "is not UTF-8; save it as UTF-8"),
        ({"pages": {404: tmp_path / "place.html"}}, "has a place {{traceback}} that nothing is known for"),
        ({"pages": {404: "page.php"}}, "is no page; give a file that ends in .html, .htm or .txt"),
        ({"directory": tmp_path}, "are for the same status; keep one of them"),
        ({"directory": tmp_path / "none"}, "cannot be read"),
        ({"problem_json": "maybe"}, 'give "accept" or "always" or "never"'),
    ]
    for options, refusal in refusals:
        with pytest.raises(ConfigurationError) as raised:
            Errors(**options)
        assert str(raised.value).startswith("errors: ")
        assert refusal in str(raised.value)


def test_pages_can_be_given_on_the_command_line(told: Any, tmp_path: Path) -> None:
    page = tmp_path / "404.html"
    page.write_text("not here")
    for text in (f"errors:pages.404={page}", f"errors:directory={tmp_path},problem_json=never"):
        assert told(layer_from_text(text)(answering("404 Not Found", list))).body == b"not here"
