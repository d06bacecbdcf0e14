"""What Python code may do at awkward moments: import in a subinterpreter, finalisers, closed descriptors."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import onionskin
from support.both_doors import serving
from support.client import ask

if TYPE_CHECKING:
    from pathlib import Path

SUBINTERPRETER = """
import _xxsubinterpreters as interpreters
FIRST
try:
    interpreters.run_string(interpreters.create(), "import onionskin._core")
except interpreters.RunFailedError as error:
    print(error)
"""


@pytest.mark.skipif(sys.version_info[:2] > (3, 12), reason="the module of these versions is called otherwise")
@pytest.mark.parametrize("first", ["", "import onionskin._core"])
def test_a_subinterpreter_is_refused(first: str) -> None:
    code = SUBINTERPRETER.replace("FIRST", first)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "ImportError" in done.stdout and "subinterpreter" in done.stdout, done


def test_start_response_may_be_called_by_a_finaliser() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        class Last:
            def __del__(self) -> None:
                with_errors(start_response)

        def with_errors(start_response: Any) -> None:
            try:
                start_response("500 Late", [])
            except AssertionError:
                calls.append("refused")

        start_response("200 OK", [("Content-Length", "5")])
        for _ in range(50):
            loop: list[Any] = [Last()]
            loop.append(loop)
            del loop
            try:
                raise ValueError
            except ValueError:
                start_response("200 Again", [("Content-Length", "5")], sys.exc_info())
        gc.collect()
        return [b"hello"]

    calls: list[str] = []
    with serving(onionskin.RequestId(app)) as place:
        assert ask(place).body == b"hello"
    assert len(calls) == 50


def test_a_file_that_was_closed_behind_its_back_is_a_fault_and_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "page").write_text("page")

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        file = (tmp_path / "page").open("rb", buffering=0)
        number = file.fileno()
        wrapped = environ["wsgi.file_wrapper"](file)
        os.close(number)
        return wrapped

    with serving(app) as place:
        try:
            body = ask(place).body
        except ConnectionError:
            body = b""
    assert b"secret" not in body and b"page" not in body
