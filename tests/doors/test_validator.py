"""Both sides of the outward door keep PEP 3333, as the standard library's validator sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest

from doors.scripted import application
from doors.stacks import STACKS, STATIC
from doors.stage import SCRIPTS
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.smoke

FORBIDDEN = {
    "bare_status": "the validator wants a reason",
    "blanks": "begins with an empty block, which is fine",
    "early_fault": "raises",
    "echo": "is asked for below",
    "endless": "has no end",
    "file": "the validator checks the class of a file wrapper",
    "first_step_fault": "raises",
    "head_fault": "is no head",
    "hello": "is asked for below",
    "late_fault": "raises",
    "latin1": "is asked for below",
    "middle_fault": "raises",
    "not_modified": "has no Content-Type",
    "nothing": "is no iterable",
    "no_content": "has no Content-Type",
    "read_all": "reads without a size",
    "real_file": "the validator checks the class of a file wrapper",
    "replaced_too_late": "depends on the server",
    "silent": "is no response",
    "silent_and_empty": "is no response",
    "silent_list": "is no response",
    "stream": "waits for the test",
    "stream_counted": "waits for the test",
    "text": "is no bytes",
    "text_in_a_list": "is no bytes",
    "twice": "is refused",
    "underrun": "is shorter than it said, which a layer that measures it tells",
    "write_slowly": "waits for the test",
    "write_then_fail": "depends on the server",
}
REFUSALS = ("403", "404", "405", "502")
"""What the layers of the stacks answer in the application's place."""

ALLOWED = [name for name in SCRIPTS if name not in FORBIDDEN and name not in ("counts", "close_fault")]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", ALLOWED)
def test_neither_side_of_a_layer_breaks_a_rule(stack: str, name: str) -> None:
    headers = {f"HTTP_{key.upper().replace('-', '_')}": value for key, value in STACKS[stack].headers.items()}
    checked = validator(STACKS[stack].around(validator(application)))
    if (stack, name) == ("xslt_passing", "replaced_after_a_blank"):
        # The layer holds the head while it takes the body: another one comes too late, and is refused.
        with pytest.raises(LookupError):
            run(checked, make_environ(f"/{name}", **headers))
        return
    outcome = run(checked, make_environ(f"/{name}", **headers))
    is_a_file = stack == "static_files_refusing" and (STATIC / name).exists()
    refused = ("refusing" in stack or "hiding" in stack) and not is_a_file
    assert (outcome.status[:3] in REFUSALS) is (refused or name == "other_reason")


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("way", ["read", "readline", "iteration"])
def test_a_body_is_read_by_the_rules(stack: str, way: str) -> None:
    def reading(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"]
        if way == "read":
            lines = [body.read(100)]
        elif way == "readline":
            lines = [body.readline(), body.readline()]
        else:
            lines = list(body)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"".join(lines)]

    checked = validator(STACKS[stack].around(validator(reading)))
    outcome = run(checked, make_environ("/", "POST", b"one\ntwo\n"))
    assert outcome.status[:3] in ("200", *REFUSALS)
    assert (outcome.body == b"one\ntwo\n") is (outcome.status == "200 OK")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("stack", STACKS)
def test_any_method_passes_by_the_rules(stack: str, method: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Method", environ["REQUEST_METHOD"])])
        return []

    checked = validator(STACKS[stack].around(validator(app)))
    outcome = run(checked, make_environ("/", method))
    passed = outcome.status == "200 OK"
    assert (dict(outcome.headers).get("X-Method") == method) is passed
    assert passed is not ("refusing" in stack or "hiding" in stack)
