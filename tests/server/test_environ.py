"""environ, key by key (PEP 3333, RFC 3875)."""

from __future__ import annotations

import json

import pytest

from server.client import Client


def environ(server, data: bytes) -> dict:
    """What the application sees of a request."""
    with server.client() as client:
        client.send(data)
        return json.loads(client.response().body)


def texts(server, target: str = "", *headers: str, version: str = "1.1") -> dict[str, str]:
    """The texts in the environ of a GET."""
    with server.client() as client:
        client.request("GET", f"/environ_as_json{target}", *headers, version=version)
        return json.loads(client.response().body)["texts"]


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("key", "kind", "value"),
    [
        ("REQUEST_METHOD", "str", "'POST'"),
        ("SCRIPT_NAME", "str", "''"),
        ("PATH_INFO", "str", "'/environ_as_json/tea'"),
        ("QUERY_STRING", "str", "'a=1&b=%20'"),
        ("CONTENT_TYPE", "str", "'text/plain'"),
        ("CONTENT_LENGTH", "str", "'5'"),
        ("SERVER_NAME", "str", "'127.0.0.1'"),
        ("SERVER_PROTOCOL", "str", "'HTTP/1.1'"),
        ("GATEWAY_INTERFACE", "str", "'CGI/1.1'"),
        ("REMOTE_ADDR", "str", "'127.0.0.1'"),
        ("REQUEST_URI", "str", "'/environ_as_json/tea?a=1&b=%20'"),
        ("RAW_URI", "str", "'/environ_as_json/tea?a=1&b=%20'"),
        ("HTTP_HOST", "str", "'tea.example'"),
        ("HTTP_X_ONE", "str", "'1'"),
        ("wsgi.version", "tuple", "(1, 0)"),
        ("wsgi.url_scheme", "str", "'http'"),
        ("wsgi.multithread", "bool", "True"),
        ("wsgi.multiprocess", "bool", "False"),
        ("wsgi.run_once", "bool", "False"),
        ("wsgi.input_terminated", "bool", "True"),
        ("wsgi.file_wrapper", "type", None),
        ("wsgi.errors", "StandardError", None),
        ("wsgi.input", "Input", None),
    ],
)
def test_a_key_has_its_type_and_value(client, key, kind, value):
    client.send(
        b"POST /environ_as_json/tea?a=1&b=%20 HTTP/1.1\r\nHost: tea.example\r\nX-One: 1\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\ngreen"
    )
    table = json.loads(client.response().body)["table"]
    assert table[key][0] == kind
    if value is not None:
        assert table[key][1] == value


def test_environ_is_a_dict_and_nothing_else(server):
    facts = environ(server, b"GET /environ_as_json HTTP/1.1\r\nHost: a\r\n\r\n")
    assert facts["exact"] is True
    assert facts["input"] == ["read", "readline", "readlines"]


def test_ports_are_those_of_the_connection(server, client: Client):
    seen = json.loads(client.get("/environ_as_json").body)["texts"]
    assert seen["SERVER_PORT"] == str(server.port)
    assert seen["REMOTE_PORT"] == str(client.socket.getsockname()[1])


def test_the_server_names_itself_and_its_version(server):
    name, _, version = texts(server)["SERVER_SOFTWARE"].partition("/")
    assert (name, version[0].isdigit()) == ("onionskin", True)


@pytest.mark.parametrize(("threads", "multithread"), [(1, False), (2, True)])
def test_multithread_tells_the_truth(serve, threads, multithread):
    seen = json.loads(serve(threads=threads).get("/environ_as_json"))
    assert seen["table"]["wsgi.multithread"][1] == str(multithread)


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ("/a%20b", "/a b"),
        ("/a%2Fb", "/a/b"),
        ("/%e4", "/\xe4"),
        ("/%C3%A4", "/\xc3\xa4"),
        ("/a+b", "/a+b"),
        ("//a", "//a"),
        ("/a;b=c", "/a;b=c"),
        ("/%3fa", "/?a"),
        ("/./..", "/./.."),
    ],
)
def test_a_path_is_decoded_once_byte_for_byte(server, sent, path):
    seen = texts(server, sent)
    assert seen["PATH_INFO"] == f"/environ_as_json{path}"
    assert seen["RAW_URI"] == seen["REQUEST_URI"] == f"/environ_as_json{sent}"


@pytest.mark.parametrize("query", ["", "a=%20+b", "a?b", "%e4", "a=b&&c", "%0d%0a", "a=/../%2f"])
def test_a_query_is_handed_on_as_it_came(server, query):
    assert texts(server, f"?{query}")["QUERY_STRING"] == query


def test_http_1_0_is_named(server):
    assert texts(server, version="1.0")["SERVER_PROTOCOL"] == "HTTP/1.0"


def test_the_next_request_of_a_connection_sees_nothing_of_the_one_before(client):
    client.request(
        "POST", "/environ_as_json/x?y", "X-Old: 1", "Content-Type: a/b", "Connection: keep-alive",
        body=b"z", version="1.0",
    )  # fmt: skip
    client.response()
    seen = json.loads(client.get("/environ_as_json").body)["texts"]
    assert seen.keys().isdisjoint({"HTTP_X_OLD", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_CONTENT_LENGTH"})
    assert seen["QUERY_STRING"] == ""
    assert seen["SERVER_PROTOCOL"] == "HTTP/1.1"


def test_a_field_that_comes_twice_is_joined_in_its_order(server):
    seen = texts(server, "", "X-Two: one", "X-Other: x", "x-two: two", "Cookie: a=1", "Cookie: b=2")
    assert [part.strip() for part in seen["HTTP_X_TWO"].split(",")] == ["one", "two"]
    assert seen["HTTP_COOKIE"] == "a=1; b=2"


def test_names_with_an_underscore_are_dropped(server):
    seen = texts(server, "", "X_Real_IP: 203.0.113.7", "X-Real-Ip: 192.0.2.1", "Content_Length: 5")
    assert seen["HTTP_X_REAL_IP"] == "192.0.2.1"
    assert "203.0.113.7" not in seen.values()


def test_values_are_bytes_as_latin_1(server):
    assert texts(server, "", "X-Name: caf\xe9 \xff")["HTTP_X_NAME"] == "caf\xe9 \xff"


def test_content_type_and_length_come_without_prefix_only(server):
    facts = environ(
        server,
        b"POST /environ_as_json HTTP/1.1\r\nHost: a\r\nContent-Type: x/y\r\nContent-Length: 1\r\n\r\nz",
    )
    assert facts["texts"].keys().isdisjoint({"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"})


def test_a_request_without_body_has_no_content_length(server):
    assert "CONTENT_LENGTH" not in texts(server)
    assert "CONTENT_TYPE" not in texts(server)


def test_chunks_are_gone_when_the_application_sees_the_request(server):
    facts = environ(
        server,
        b"POST /environ_as_json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nab\r\n0\r\n\r\n",
    )
    assert facts["texts"]["CONTENT_LENGTH"] == "2"
    assert "HTTP_TRANSFER_ENCODING" not in facts["texts"]


def test_an_absolute_target_is_split(server):
    facts = environ(server, b"GET http://a/environ_as_json/x?y HTTP/1.1\r\nHost: a\r\n\r\n")["texts"]
    assert (facts["PATH_INFO"], facts["QUERY_STRING"]) == ("/environ_as_json/x", "y")
    assert facts["RAW_URI"] == "http://a/environ_as_json/x?y"


def test_a_proxys_words_change_nothing_by_themselves(server):
    seen = texts(
        server, "", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", "Forwarded: for=1.2.3.4"
    )
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("127.0.0.1", "http")


def test_an_application_may_change_environ_without_others_seeing_it(server):
    """The dict is the application's own (PEP 3333), also where it was copied from a prepared one."""
    first = texts(server, "?first")
    second = texts(server, "?second")
    assert (first["QUERY_STRING"], second["QUERY_STRING"]) == ("first", "second")
