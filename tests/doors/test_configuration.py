"""A wrong option is refused when the layer is made, in one line that names layer, option and value."""

from __future__ import annotations

from typing import Any

import pytest

import onionskin
from onionskin import AllowAddresses, ConfigurationError, RequestId

pytestmark = pytest.mark.smoke

WRONG: list[tuple[Any, dict[str, Any], list[str]]] = [
    (AllowAddresses, {}, ["allow_addresses", "allowed_addresses"]),
    (AllowAddresses, {"allowed_addresses": ["10.0.0"]}, ["allow_addresses", "allowed_addresses", "10.0.0"]),
    (AllowAddresses, {"allowed_addresses": ["::1", "10.0.0.0/33"]}, ["allowed_addresses[1]", "10.0.0.0/33"]),
    (AllowAddresses, {"allowed_addresses": ["localhost"]}, ["allow_addresses", "localhost"]),
    (
        AllowAddresses,
        {"allowed_addresses": "127.0.0.1"},
        ["allow_addresses", "allowed_addresses", "127.0.0.1"],
    ),
    (AllowAddresses, {"allowed_addresses": [1]}, ["allow_addresses", "allowed_addresses", "1"]),
    (AllowAddresses, {"allowed_addresses": [], "denied_addresses": ["x"]}, ["denied_addresses", "x"]),
    (AllowAddresses, {"allowed_addresses": [], "status": 200}, ["allow_addresses", "status", "200"]),
    (AllowAddresses, {"allowed_addresses": [], "status": "no"}, ["allow_addresses", "status", "no"]),
    (RequestId, {"format": "uuid9"}, ["request_id", "format", "uuid9", "uuid7"]),
    (RequestId, {"header": "x_request_id"}, ["request_id", "header", "x_request_id"]),
    (RequestId, {"header": "Host"}, ["request_id", "header", "host"]),
    (RequestId, {"header": "a b"}, ["request_id", "header", "a b"]),
    (RequestId, {"header": ""}, ["request_id", "header"]),
    (RequestId, {"max_len": 0}, ["request_id", "max_len", "0"]),
    (RequestId, {"max_len": 65536}, ["request_id", "max_len", "65536"]),
    (RequestId, {"max_len": -1}, ["request_id", "max_len", "-1"]),
    (RequestId, {"max_len": 2**70}, ["request_id", "max_len"]),
    (RequestId, {"trust_inbound": "maybe"}, ["request_id", "trust_inbound", "maybe"]),
    (RequestId, {"trust_inbound": 1}, ["request_id", "trust_inbound", "1"]),
    (RequestId, {"match": {"paths": "/a"}}, ["request_id", "match", "paths"]),
    (RequestId, {"match": {}}, ["request_id", "match"]),
    (RequestId, {"match": "/a"}, ["request_id", "match", "/a"]),
    (RequestId, {"unless": {"address": "here"}}, ["request_id", "unless", "address", "here"]),
    (RequestId, {"unless": {"header": ": x"}}, ["request_id", "unless", "header"]),
    (RequestId, {"match": {"method": "G T"}}, ["request_id", "match", "method", "G T"]),
]


@pytest.mark.parametrize(("layer", "options", "named"), WRONG)
def test_a_wrong_option_is_refused_in_one_line_that_names_it(
    layer: Any, options: dict[str, Any], named: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        layer(**options)
    message = str(refused.value)
    assert "\n" not in message
    assert [name for name in named if name.lower() not in message.lower()] == []


@pytest.mark.parametrize("layer", [AllowAddresses, RequestId])
def test_an_unknown_option_is_refused(layer: Any) -> None:
    with pytest.raises((TypeError, ConfigurationError), match="allowed_adresses"):
        layer(allowed_adresses=["127.0.0.1"])


def test_an_option_of_no_kind_that_options_have_is_refused() -> None:
    with pytest.raises((TypeError, ConfigurationError)) as refused:
        AllowAddresses(allowed_addresses=[object()])  # type: ignore[list-item]
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        ["127.0.0.1"],
        ("127.0.0.1",),
        {"127.0.0.1"},
        frozenset(["127.0.0.1"]),
        iter(["127.0.0.1"]),
        {"127.0.0.1": 1}.keys(),
    ],
)
def test_a_list_option_takes_any_sequence_of_texts(given: Any) -> None:
    assert repr(AllowAddresses(allowed_addresses=given)) == "<AllowAddresses>"


@pytest.mark.parametrize("row", onionskin._core.declarations(), ids=lambda row: row["name"])
def test_every_layer_of_the_table_has_its_class(row: dict[str, Any]) -> None:
    layer = getattr(onionskin, row["class"])
    assert issubclass(layer, onionskin.Layer)
    assert row["class"] in onionskin.__all__
    assert layer.__doc__.startswith(row["summary"].replace("`", "``"))


@pytest.mark.parametrize("row", onionskin._core.declarations(), ids=lambda row: row["name"])
def test_every_option_of_the_table_is_an_argument_and_no_more(row: dict[str, Any]) -> None:
    layer = getattr(onionskin, row["class"])
    arguments = [*layer.__new__.__annotations__]
    assert sorted({*row["schema"]["properties"], "match", "unless"}) == sorted(
        {*arguments} - {"app", "return"}
    )
