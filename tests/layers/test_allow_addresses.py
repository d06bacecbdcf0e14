"""AllowAddresses: only the clients of some addresses pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from onionskin import AllowAddresses
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from support.both_doors import Seen

    Through = Callable[..., Seen]

pytestmark = pytest.mark.smoke

NOBODY = ["192.0.2.1"]


def test_a_client_with_an_allowed_address_passes(through: Through) -> None:
    seen = through(AllowAddresses(allowed_addresses=["127.0.0.1"]))
    assert (seen.status, seen.body) == (200, b"inside")


def test_a_client_within_an_allowed_range_passes(through: Through) -> None:
    layer = AllowAddresses(allowed_addresses=["10.0.0.0/8", "127.0.0.4/30"])
    assert through(layer, address="127.0.0.7").status == 200
    assert through(layer, address="127.0.0.8").status == 403


def test_another_client_is_forbidden_with_a_page(through: Through) -> None:
    seen = through(AllowAddresses(allowed_addresses=NOBODY))
    assert seen.status == 403
    assert seen.get("Content-Type") == "text/html"
    assert seen.get("Content-Length") == "39"
    assert seen.body == b"You are forbidden to view this resource"


def test_with_status_404_there_is_nothing_to_be_found(through: Through) -> None:
    seen = through(AllowAddresses(allowed_addresses=NOBODY, status=404))
    assert (seen.status, seen.body) == (404, b"Not Found")


def test_the_application_sees_nothing_of_a_refused_request(through: Through) -> None:
    assert through(AllowAddresses(allowed_addresses=NOBODY)).environ is None
    assert through(AllowAddresses(allowed_addresses=["127.0.0.1"])).environ is not None


def test_a_denied_address_is_refused_even_if_it_is_allowed(through: Through) -> None:
    layer = AllowAddresses(allowed_addresses=["127.0.0.9", "127.0.0.0/8"], denied_addresses=["127.0.0.8/30"])
    assert through(layer, address="127.0.0.9").status == 403
    assert through(layer, address="127.0.0.12").status == 200


def test_an_empty_list_lets_nobody_in(through: Through) -> None:
    assert through(AllowAddresses(allowed_addresses=[])).status == 403


def test_what_a_client_says_of_itself_counts_for_nothing(through: Through) -> None:
    claims = [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1"), ("X-Real-Ip", "192.0.2.1")]
    assert through(AllowAddresses(allowed_addresses=NOBODY), headers=claims).status == 403


def test_environ_and_response_stay_as_they_were(through: Through) -> None:
    layer = AllowAddresses(allowed_addresses=["127.0.0.1"])
    seen = through(layer, headers=[("X-A", "1")], answers={"X-B": "2"})
    bare = through(lambda app: app, headers=[("X-A", "1")], answers={"X-B": "2"})
    assert seen.environ is not None
    assert bare.environ is not None
    assert set(seen.environ) == set(bare.environ)
    assert {name for name, _ in seen.headers} == {name for name, _ in bare.headers}


def test_a_refusal_to_a_head_request_has_no_body(through: Through) -> None:
    seen = through(AllowAddresses(allowed_addresses=NOBODY), method="HEAD")
    assert (seen.status, seen.body, seen.get("Content-Length")) == (403, b"", "39")


def test_with_match_other_paths_are_open(through: Through) -> None:
    layer = AllowAddresses(allowed_addresses=NOBODY, match={"path": "/admin/**"})
    statuses = {path: through(layer, path).status for path in ("/", "/admin", "/admin/x/y", "/administrator")}
    assert statuses == {"/": 200, "/admin": 403, "/admin/x/y": 403, "/administrator": 200}


def test_an_escaped_path_is_matched_as_what_it_means(through: Through) -> None:
    layer = AllowAddresses(allowed_addresses=NOBODY, match={"path": "/admin"})
    escaped = "/%61dmin" if through.__name__ == "native" else "/admin"
    assert through(layer, escaped).status == 403


def test_with_unless_one_path_is_open(through: Through) -> None:
    layer = AllowAddresses(allowed_addresses=NOBODY, unless={"path": "/health", "method": ["GET", "HEAD"]})
    assert through(layer, "/health").status == 200
    assert through(layer, "/health", method="POST").status == 403
    assert through(layer, "/").status == 403


# What no client of our server on TCP can be.


def answer(layer: Any, address: str | None) -> str:
    """The status for a client of ``address`` as another server tells it."""

    def inside(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"inside"]

    return run(layer(inside), make_environ(REMOTE_ADDR=address)).status


EVERYBODY = ["0.0.0.0/0", "::/0"]


@pytest.mark.parametrize("address", [None, "", "localhost", "unix:", "127.0.0.1:80", "999.0.0.1"])
def test_a_client_without_a_known_address_is_refused(address: str | None) -> None:
    assert answer(AllowAddresses(allowed_addresses=EVERYBODY), address) == "403 Forbidden"


@pytest.mark.parametrize(
    ("allowed", "address", "passes"),
    [
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("::/0", "::ffff:10.0.0.1", False),
        ("::/0", "10.0.0.1", False),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("2001:db8::/32", "2001:db8:0:1::9", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("2001:DB8::1", "2001:db8:0:0:0:0:0:1", True),
        ("10.1.2.3/8", "10.9.9.9", True),
    ],
)
def test_addresses_are_compared_as_addresses(allowed: str, address: str, passes: bool) -> None:
    status = answer(AllowAddresses(allowed_addresses=[allowed]), address)
    assert status == ("200 OK" if passes else "403 Forbidden")
