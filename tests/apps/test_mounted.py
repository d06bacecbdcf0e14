"""Frameworks that are mounted make links that lead back to them, under every kind of server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.browser import browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from support.servers import Servers


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Django would have its database; nothing here needs one."""
    return tmp_path_factory.mktemp("mounted")


@pytest.fixture
def site(servers: Servers, kind: str, data: Path) -> Iterator[httpx.Client]:
    """A browser, so to speak."""
    with browser(servers.get(kind, "apps.mounted_site:application", DJANGO_DIRECTORY=str(data))) as client:
        yield client


@pytest.mark.parametrize("root", ["/flask", "/deep/django"])
def test_links_begin_with_the_mount_point(site: httpx.Client, root: str) -> None:
    told = site.get(f"{root}/page/a%20b").json()
    assert told["root"] == root
    assert told["own"] == f"{root}/page/a%20b"
    assert told["whole"] == str(site.base_url.join(f"{root}/page/a%20b"))


@pytest.mark.parametrize("root", ["/flask", "/deep/django"])
def test_a_redirect_stays_below_the_mount_point(site: httpx.Client, root: str) -> None:
    reply = site.get(f"{root}/elsewhere", follow_redirects=True)
    assert reply.json()["own"] == f"{root}/page/b"


def test_the_admin_asks_for_the_log_in_below_its_mount_point(site: httpx.Client) -> None:
    reply = site.get("/deep/django/admin/")
    assert (reply.status_code, reply.headers["Location"]) == (
        302,
        "/deep/django/admin/login/?next=/deep/django/admin/",
    )


def test_what_is_mounted_nowhere_is_not_found(site: httpx.Client) -> None:
    assert site.get("/flasks/page/a").status_code == 404
