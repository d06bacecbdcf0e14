"""``match`` and ``unless``: what a condition covers, and which ones are rejected, through both doors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from onionskin import AllowAddresses, ConfigurationError, Mount, RequestId

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.both_doors import Seen

    Through = Callable[..., Seen]

NOBODY = ["192.0.2.1"]


def guard(**condition: Any) -> AllowAddresses:
    """A layer that answers 403 wherever its condition holds."""
    return AllowAddresses(allowed_addresses=NOBODY, match=condition)  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    "path", ["/admin", "/admin/", "/admin/users", "/admin/users/7", "/%61dmin", "/admin%2Fx"]
)
def test_a_guard_covers_the_path_that_its_glob_is_below(through: Through, path: str) -> None:
    assert through(guard(path="/admin/**"), path).status == 403


@pytest.mark.parametrize("path", ["/", "/administrator", "/public/admin"])
def test_a_guard_covers_nothing_beside_it(through: Through, path: str) -> None:
    assert through(guard(path="/admin/**"), path).status == 200


@pytest.mark.parametrize("glob", ["/**", "/", "**"])
def test_a_guard_inside_a_mount_covers_the_mount_point(through: Through, glob: str) -> None:
    def mounted(app: Any) -> Any:
        return Mount({"/shop": guard(path=glob)(app)})

    assert through(mounted, "/shop").status == 403
    assert through(mounted, "/shop/").status == 403


def test_a_glob_over_a_header_is_not_stopped_by_slashes(through: Through) -> None:
    bot = ("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")

    assert through(guard(header="User-Agent: *Googlebot*"), headers=[bot]).status == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("shop.example.org", 403),
        ("shop.example.org:8000", 403),
        ("example.org", 200),
        ("shop.example.com", 200),
    ],
)
def test_a_guard_covers_the_hosts_below_its_name(through: Through, host: str, status: int) -> None:
    assert through(guard(host="*.Example.org"), headers=[("Host", host)]).status == status


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")  # of wsgiref's validator
@pytest.mark.parametrize("method", ["POST", "post", "PoSt"])
def test_a_guard_covers_a_method_in_any_case(through: Through, method: str) -> None:
    assert through(guard(method="POST"), method=method).status == 403
    assert through(guard(method="post"), method=method).status == 403


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@pytest.mark.parametrize("method", ["POST", "post"])
def test_a_route_takes_a_method_in_any_case(through: Through, method: str) -> None:
    def mounted(app: Any) -> Any:
        return Mount({"POST /shop": guard(path="/**")(app), "/shop": app})

    assert through(mounted, "/shop", method=method).status == 403
    assert through(mounted, "/shop").status == 200


def test_a_host_may_have_a_port(through: Through) -> None:
    assert through(guard(host="example.org:8000"), headers=[("Host", "example.org:8000")]).status == 403
    assert through(guard(host="example.org:8000"), headers=[("Host", "example.org")]).status == 200


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (
            {"path": "admin/**"},
            'path: "admin/**" matches no path, since paths begin with a slash; expected a glob such as "/ad',
        ),
        ({"path": "^/x.*$"}, 'expected a glob such as "/x**"'),
        ({"path": "/a%20b"}, 'expected "/a b"'),
        (
            {"host": "https://example.org"},
            'host: "https://example.org" matches no host; expected "example.org"',
        ),
        ({"host": "example.org/shop"}, 'expected "example.org"'),
        ({"header": "X_Debug"}, 'expected "X-Debug"'),
        ({"address": "0.0.0.0"}, 'expected "0.0.0.0/0"'),
        ({"method": "GET,POST"}, "is not a valid request method"),
    ],
    ids=str,
)
@pytest.mark.parametrize("option", ["match", "unless"])
def test_a_condition_that_no_request_satisfies_is_rejected(
    option: str, condition: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RequestId(**{option: condition})

    assert str(caught.value).startswith(f"request_id: {option}: ")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("blog", 'routes: "blog" is ambiguous; expected the path "/blog", or "//blog" for a host'),
        ("/blog/*", "a route covers all paths below it"),
        ("/a%20b", 'expected "/a b"'),
    ],
)
def test_a_route_that_no_request_takes_is_rejected(route: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Mount({route: lambda environ, start_response: []})

    assert expected in str(caught.value)
