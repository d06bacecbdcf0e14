"""A real browser, without a window."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from selenium import webdriver

from support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.remote.webdriver import WebDriver

SECONDS = 20


@contextmanager
def chromium(profile: Path, *arguments: str, log: str | None = None) -> Iterator[WebDriver]:
    """Chromium with an empty profile in that directory, while the block runs; `log` is one to keep."""
    options = webdriver.ChromeOptions()
    if log:
        options.set_capability("goog:loggingPrefs", {log: "ALL"})
    options.binary_location = program("chromium")
    # As root, in a container, it can't have its sandbox; and it shall load nothing but what it is told to.
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-proxy-server",
        f"--user-data-dir={profile}",
        *arguments,
    ):
        options.add_argument(argument)
    service = webdriver.ChromeService(program("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(SECONDS)
        yield driver
    finally:
        driver.quit()
