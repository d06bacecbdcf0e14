"""The onion that `make serve` serves, walked through with a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By

from examples.served import ask, serving_example
from support.chromium import chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.remote.webdriver import WebDriver


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The onion, served."""
    with serving_example("onion.py") as port:
        yield port


@pytest.fixture(scope="module")
def browser(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """A browser that has never been there."""
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def page(browser: WebDriver, port: int) -> WebDriver:
    """The browser at the index page."""
    browser.get(f"http://127.0.0.1:{port}/")
    return browser


def text(page: WebDriver) -> str:
    """All that can be read on the page."""
    return page.find_element(By.TAG_NAME, "body").text


def follow(page: WebDriver, href: str) -> str:
    """Clicks the link to ``href``; what can be read then."""
    page.find_element(By.CSS_SELECTOR, f"a[href='{href}']").click()
    assert page.current_url.endswith(href)
    return text(page)


def test_the_session_counts_the_visits_of_this_browser(page: WebDriver) -> None:
    first = int(page.find_element(By.ID, "visits").text)
    page.refresh()
    assert int(page.find_element(By.ID, "visits").text) == first + 1
    cookie = page.get_cookie("sid")
    assert cookie is not None
    assert cookie["httpOnly"]


def test_the_stylesheet_of_the_page_comes_from_the_folder(page: WebDriver) -> None:
    heading = page.find_element(By.TAG_NAME, "h1")
    assert heading.value_of_css_property("color") in ("rgb(123, 45, 91)", "rgba(123, 45, 91, 1)")


@pytest.mark.parametrize("framework", ["Flask", "Django"])
def test_a_framework_answers_at_its_mount_point(page: WebDriver, framework: str) -> None:
    assert f'"from {framework}"' in follow(page, f"/{framework.lower()}/")


def test_the_folder_has_an_index(page: WebDriver) -> None:
    assert "Python was not asked" in follow(page, "/files/")


def test_xml_is_shown_through_the_stylesheet(page: WebDriver) -> None:
    follow(page, "/bulbs/")
    names = [cell.text for cell in page.find_elements(By.CSS_SELECTOR, "td:first-child")]
    assert names == ["Échalote grise", "Rossa di Tropea", "Stuttgarter Riesen"]
    assert "Skins in all: 20." in text(page)


def test_requests_are_balanced_over_two_processes(page: WebDriver) -> None:
    told = {follow(page, "/workers/")}
    for _ in range(30):
        page.refresh()
        told.add(text(page))
    assert len(told) == 2
    assert all(one.startswith("Hello from process ") and "onionskin" in one for one in told)


def test_addresses_from_elsewhere_are_refused(page: WebDriver) -> None:
    assert "forbidden" in follow(page, "/elsewhere/").lower()


def test_what_is_not_there_is_worded(page: WebDriver, port: int) -> None:
    assert "Not Found" in follow(page, "/nothing")
    assert ask(port, "/nothing")[0].status == 404


def test_a_page_is_compressed_for_a_client_that_can_unpack_it(port: int) -> None:
    response, _ = ask(port, headers={"Accept-Encoding": "zstd, br, gzip"})
    assert response.getheader("Content-Encoding") == "zstd"
    assert response.getheader("X-Request-Id")
