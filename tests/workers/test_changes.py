"""`--reload`: a change of a file begins a reload, and one that breaks the application breaks nothing."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from server.process import ONIONSKIN, Process, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

RELOADED = "reloaded in .*: generation {} serves"


@pytest.fixture
def reloading(serve):
    """A server that reloads by itself."""
    return serve("--reload", workers=0)


@pytest.mark.smoke
def test_a_change_of_the_application_is_served_without_a_signal(site, reloading):
    assert len(reloading.workers()) == 1
    assert "1 worker, 4 threads" in reloading.lines[0]
    site.write("2")
    reloading.wait_for_line(RELOADED.format(2))
    assert "onionskin: site_of_test.py has changed: reloading" in reloading.lines
    reloading.wait_for_version("2")
    assert reloading.stop() == 0


def test_a_broken_edit_is_told_with_its_traceback_and_changes_nothing(site, reloading):
    site.write("2", more="raise ValueError('broken')")
    reloading.wait_for_line("reload failed, generation 1 goes on: .*: ValueError: broken")
    reloading.wait_for_line("^ValueError: broken$")
    assert reloading.answer()[0] == "1"
    site.write("3")
    reloading.wait_for_line(RELOADED.format(3))
    reloading.wait_for_version("3")


def test_an_edit_during_a_reload_does_not_wait_for_its_end(site, reloading):
    site.write("2", more="print('event: boots', file=__import__('sys').stderr, flush=True); time.sleep(60)")
    reloading.wait_for_line("event: boots")
    site.write("3")
    reloading.wait_for_line(RELOADED.format(3))
    reloading.wait_for_version("3")


def test_a_module_of_a_package_is_watched_and_so_is_one_that_is_imported_later(site, serve):
    package = site.folder / "shop" / "cart"
    package.mkdir(parents=True)
    late = site.folder / "late"
    late.mkdir()
    for file in (site.folder / "shop" / "__init__.py", package / "__init__.py", late / "__init__.py"):
        file.write_text("")
    site.write(
        "1",
        more="import shop.cart\nanswered = application\ndef application(environ, start_response):\n"
        "    if environ['PATH_INFO'] == '/late': import late\n    return answered(environ, start_response)\n",
    )
    server = serve("--reload")
    (package / "__init__.py").write_text("changed = True")
    server.wait_for_line("shop/cart/__init__.py has changed")
    server.wait_for_line(RELOADED.format(2))
    # The worker is asked once a second what it has imported.
    number = 0

    def is_noticed() -> bool:
        nonlocal number
        number += 1
        # The one before may have taken a connection when it left.
        server.get("/late")
        (late / "__init__.py").write_text(f"changed = {number}")
        time.sleep(0.1)
        return "late/__init__.py has changed" in server.log

    wait_until(is_noticed)


def test_a_module_that_was_missing_or_raised_is_watched_too(site, reloading):
    package = site.folder / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("from . import cart\n")
    site.write("2", more="import shop")
    reloading.wait_for_line("reload failed, generation 1 goes on: .*cannot import name 'cart'")
    (package / "cart.py").write_text("(")
    reloading.wait_for_line("reload failed, generation 1 goes on: .*SyntaxError")
    (package / "cart.py").write_text("")
    reloading.wait_for_line(RELOADED.format(4))
    reloading.wait_for_version("2")


def test_the_configuration_and_what_globs_name_is_watched(site, serve):
    templates = site.folder / "templates" / "shop"
    templates.mkdir(parents=True)
    (site.folder / "onion.toml").write_text("threads = 4\n")
    server = serve(
        "--reload", "--reload-include", "templates/**/*.html", "--reload-exclude", "generated.py", workers=0
    )
    (site.folder / "generated.py").write_text("")
    (site.folder / "README.md").write_text("")
    (templates / "cart.html").write_text("")
    server.wait_for_line("templates/shop/cart.html has changed: reloading")
    server.wait_for_line(RELOADED.format(2))
    (site.folder / "onion.toml").write_text("threads = true\n")
    server.wait_for_line("onion.toml has changed: reloading")
    server.wait_for_line("reload failed, generation 2 goes on: .*threads")
    (site.folder / "onion.toml").write_text("threads = 2\n")
    server.wait_for_line(RELOADED.format(3))
    assert "generated.py" not in server.log
    assert "README.md" not in server.log


def test_the_status_tells_of_it(site, serve, tmp_path):
    control = tmp_path / "control.sock"
    server = serve("--reload", "--control", str(control), workers=0)
    site.write("2")
    server.wait_for_line(RELOADED.format(2))
    command = [*ONIONSKIN, "status", "--json", "--control", str(control)]
    status = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=20).stdout)
    assert (status["generation"], status["last_reload"]["failed"]) == (2, None)


@pytest.fixture
def broken(site) -> Iterator[Process]:
    """A start of an application that raises, and that waits for the cure."""
    site.write("1", more="raise ValueError('broken')")
    command = [*ONIONSKIN, "serve", "site_of_test.py", "--bind", "127.0.0.1:0", "--reload"]
    process = Process(command, cwd=site.folder)
    yield process
    process.kill()


def test_a_start_that_fails_waits_for_the_cure(site, broken):
    broken.wait_for_line("not started, a change is waited for: .*: ValueError: broken")
    broken.wait_for_line("^ValueError: broken$")
    site.write("2")
    broken.wait_for_line("^onionskin .* on http://127.0.0.1")
    broken.signal()
    assert broken.wait() == 0


def test_without_it_nothing_is_watched(site, serve):
    server = serve()
    site.write("2")
    assert server.answer()[0] == "1"
    assert "has changed" not in server.log
