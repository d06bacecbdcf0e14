"""TLS: what clients see of it, what applications are told of it, and what is refused at start-up."""

from __future__ import annotations

import datetime
import json
import re
import signal
import socket
import ssl
import subprocess
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from server.client import Client, Ended
from server.process import APPLICATION, HERE, ONIONSKIN, wait_until
from support.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.client import Response
    from server.process import Server
    from support.authority import Pair

SOON = 10.0
TLS = ("https://127.0.0.1:0",)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom the clients of a test believe."""
    return Authority(tmp_path)


def connect(server: Server, context: ssl.SSLContext, name: str = "localhost") -> Client:
    """A connection over TLS, on which HTTP/1 is spoken."""
    client = Client(server.places[0].replace("https:", "http:"), SOON)
    client.socket = context.wrap_socket(client.socket, server_hostname=name, suppress_ragged_eofs=False)
    return client


def get(
    server: Server, authority: Authority, path: str, *headers: str, shown: Pair | None = None
) -> Response:
    """One answer on a connection of its own."""
    with connect(server, authority.context(shown)) as client:
        return client.get(path, *headers)


def environ(server: Server, authority: Authority, *headers: str, shown: Pair | None = None) -> dict[str, str]:
    """The texts of environ."""
    body = get(server, authority, "/environ_as_json", *headers, shown=shown).body
    return dict(json.loads(body)["texts"])


@pytest.mark.parametrize(
    ("path", "length"), [("/hello", 5), ("/large?blocks=64", 64 << 16), ("/quick_generator", None)]
)
def test_a_body_arrives_whole(
    serve: Callable[..., Server], authority: Authority, path: str, length: int | None
) -> None:
    server = serve(*authority.pair("localhost").options, bind=TLS)
    response = get(server, authority, path)
    assert response.status == 200
    assert length is None or len(response.body) == length


def test_a_redirect_place_sends_clients_to_the_same_host_and_path_by_https(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(*authority.pair("localhost").options, bind=("redirect://127.0.0.1:0", *TLS))
    port, secured = (place.rsplit(":", 1)[1] for place in server.places)
    with Client(f"http://127.0.0.1:{port}", SOON) as client:
        response = client.get("/hello?a=%20")
        assert (response.status, response.header("Location")) == (308, f"https://a:{secured}/hello?a=%20")
    curl = ("curl", "-sSL", "--cacert", str(authority.file), f"http://localhost:{port}/hello")
    assert subprocess.run(curl, capture_output=True, check=True, timeout=SOON).stdout == b"hello"


def test_a_redirect_without_a_place_to_go_to_is_refused() -> None:
    command = [*ONIONSKIN, "serve", APPLICATION, "--bind", "redirect://127.0.0.1:0"]
    refused = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=SOON)
    assert refused.returncode == 2
    assert refused.stderr == (
        "onionskin: bind: redirect://127.0.0.1:0 has no place to send anybody to; "
        "bind one, such as https://0.0.0.0:443\n"
    )


def test_a_file_arrives_whole_though_the_kernel_cannot_send_it(
    serve: Callable[..., Server], authority: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * 20_000)
    server = serve(*authority.pair("localhost").options, bind=TLS)
    response = get(server, authority, f"/file?path={path}")
    assert response.body == path.read_bytes()


def test_a_slow_reader_gets_all_of_a_response_that_ends_the_connection(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(*authority.pair("localhost").options, bind=TLS)
    with connect(server, authority.context()) as client:
        client.request("GET", "/large?blocks=64", "Connection: close")
        response = client.response()
        assert len(response.body) == 64 << 16
        assert client.rest() == b""  # With close_notify: a bare end of the connection would raise.


def test_what_was_cut_off_ends_without_close_notify(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(*authority.pair("localhost").options, bind=TLS)
    with connect(server, authority.context()) as client:
        client.request("GET", "/breaks_off", version="1.0")
        with pytest.raises((ssl.SSLError, ConnectionError, Ended)):
            client.response()


def test_an_upload_arrives_whole_and_the_connection_is_kept(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(*authority.pair("localhost").options, bind=TLS)
    with connect(server, authority.context()) as client:
        for _ in range(2):
            client.request("POST", "/reads", body=b"0123456789abcdef" * 100_000)
            assert client.response().body == b"0123456789abcdef" * 100_000


def test_curl_and_openssl_are_content(serve: Callable[..., Server], authority: Authority) -> None:
    server = serve(*authority.pair("localhost").options, bind=TLS)
    place = f"localhost:{server.port}"
    curl = ("curl", "-sS", "--cacert", str(authority.file), f"https://{place}/hello")
    assert subprocess.run(curl, capture_output=True, check=True).stdout == b"hello"
    openssl = (
        "openssl",
        "s_client",
        "-connect",
        place,
        "-CAfile",
        str(authority.file),
        "-verify_return_error",
    )
    request = b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    shown = subprocess.run((*openssl, "-ign_eof", "-quiet"), input=request, capture_output=True, check=True)
    assert shown.stdout.endswith(b"\r\n\r\nhello")


def test_a_session_is_resumed(serve: Callable[..., Server], authority: Authority) -> None:
    server = serve(*authority.pair("localhost").options, bind=TLS)
    context = authority.context()
    address = ("127.0.0.1", server.port)

    def told(session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None]:
        plain = socket.create_connection(address, SOON)
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as wrapped:
            wrapped.sendall(b"GET /environ_as_json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            told = b"".join(iter(lambda: wrapped.recv(65536), b""))
            return told, wrapped.session

    first, session = told(None)
    again, _ = told(session)
    assert (b"Initial" in first, b"Resumed" in again) == (True, True)


def test_the_name_that_a_client_asks_for_chooses_the_certificate(
    serve: Callable[..., Server], authority: Authority
) -> None:
    pairs = [
        authority.pair("first.example", stem="first"),
        authority.pair("second.example", "*.wild.example", stem="second"),
    ]
    server = serve(*pairs[0].options, *pairs[1].options, bind=TLS)
    context = authority.context()
    context.check_hostname = False
    for name, pair in [
        ("first.example", pairs[0]),
        ("SECOND.example", pairs[1]),
        ("any.wild.example", pairs[1]),
        ("a.b.wild.example", pairs[0]),
        ("unknown.example", pairs[0]),
        (None, pairs[0]),
    ]:
        with connect(server, context, name) as client:
            assert isinstance(client.socket, ssl.SSLSocket)
            assert client.socket.getpeercert(binary_form=True) == pair.leaf.public_bytes(Encoding.DER), name


def test_applications_are_told_of_the_connection(serve: Callable[..., Server], authority: Authority) -> None:
    server = serve(*authority.pair("localhost").options, bind=TLS)
    texts = environ(server, authority, "Client-Cert: :AAAA:")
    assert (texts["wsgi.url_scheme"], texts["HTTPS"]) == ("https", "on")
    assert re.fullmatch(r"TLSv1\.[23]", texts["SSL_PROTOCOL"])
    assert texts["SSL_CIPHER"].startswith(("TLS_", "ECDHE-"))
    assert (texts["SSL_TLS_SNI"], texts["SSL_CLIENT_VERIFY"]) == ("localhost", "NONE")
    assert "SSL_CLIENT_CERT" not in texts


def test_applications_are_told_of_the_clients_certificate(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(*authority.pair("localhost").options, "--tls-client-ca", str(authority.file), bind=TLS)
    shown = authority.pair("ann@example.org", stem="ann", common_name="Ann")
    texts = environ(server, authority, "Client-Cert: :AAAA:", "Client-Cert-Chain: :AAAA:", shown=shown)
    leaf = shown.leaf
    assert texts["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert "CN=Ann" in texts["SSL_CLIENT_S_DN"]
    assert texts["SSL_CLIENT_S_DN"] == leaf.subject.rfc4514_string()
    assert texts["SSL_CLIENT_I_DN"] == leaf.issuer.rfc4514_string()
    assert int(texts["SSL_CLIENT_M_SERIAL"], 16) == leaf.serial_number
    assert texts["SSL_CLIENT_V_END"] == f"{leaf.not_valid_after_utc:%b %e %H:%M:%S %Y} GMT"
    assert texts["SSL_CLIENT_CERT"].encode() == leaf.public_bytes(Encoding.PEM)
    sent = b64encode(leaf.public_bytes(Encoding.DER)).decode()
    assert texts["HTTP_CLIENT_CERT"] == f":{sent}:"
    assert texts.get("HTTP_CLIENT_CERT_CHAIN") != ":AAAA:"


def test_a_client_without_a_certificate_is_refused_where_one_is_required(
    serve: Callable[..., Server], authority: Authority, tmp_path: Path
) -> None:
    server = serve(*authority.pair("localhost").options, "--tls-client-ca", str(authority.file), bind=TLS)
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other").pair("eve@example.org", stem="eve")
    for shown in (None, stranger):
        with pytest.raises((ssl.SSLError, ConnectionError, Ended)):
            get(server, authority, "/hello", shown=shown)


def test_a_client_without_a_certificate_is_told_of_where_one_is_optional(
    serve: Callable[..., Server], authority: Authority
) -> None:
    asked = ("--tls-client-ca", str(authority.file), "--tls-client-auth", "optional")
    server = serve(*authority.pair("localhost").options, *asked, bind=TLS)
    texts = environ(server, authority, "Client-Cert: :AAAA:", "Client-Cert-Chain: :AAAA:")
    assert texts["SSL_CLIENT_VERIFY"] == "NONE"
    assert not {"HTTP_CLIENT_CERT", "HTTP_CLIENT_CERT_CHAIN"} & texts.keys()


def test_an_older_version_than_the_oldest_is_refused(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(*authority.pair("localhost").options, "--tls-min-version", "1.3", bind=TLS)
    context = authority.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        connect(server, context)
    assert environ(server, authority)["SSL_PROTOCOL"] == "TLSv1.3"


def test_silent_handshakes_hold_up_nobody_and_end(serve: Callable[..., Server], authority: Authority) -> None:
    server = serve(*authority.pair("localhost").options, "--tls-handshake-timeout", "1s", bind=TLS)
    silent = [socket.create_connection(("127.0.0.1", server.port), SOON) for _ in range(200)]
    assert get(server, authority, "/hello").body == b"hello"
    assert [client.recv(1) for client in silent] == [b""] * len(silent)
    for client in silent:
        client.close()


def test_garbage_instead_of_a_handshake_ends_the_connection(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(*authority.pair("localhost").options, bind=TLS)
    with socket.create_connection(("127.0.0.1", server.port), SOON) as client:
        # A handshake of TLS that is none.
        client.sendall(b"\x16\x03\x01\x00\x05hello")
        assert b"HTTP/1.1" not in b"".join(iter(lambda: client.recv(65536), b""))
    assert get(server, authority, "/hello").body == b"hello"


def test_http_where_https_is_spoken_is_told_so(serve: Callable[..., Server], authority: Authority) -> None:
    server = serve(*authority.pair("localhost").options, bind=TLS)
    with Client(server.places[0].replace("https:", "http:"), SOON) as client:
        answer = client.get("/hello")
        assert answer.status == 400
        assert b"write https:// here" in answer.body
        assert client.is_ended()
    assert get(server, authority, "/hello").body == b"hello"


def test_a_renewed_certificate_is_taken_on_sighup_and_a_broken_one_is_not(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(*authority.pair("localhost").options, bind=TLS)
    kept = connect(server, authority.context())
    renewed = authority.pair("localhost")
    server.signal(signal.SIGHUP)
    server.wait_for_line("the certificates were read again")

    def shown() -> bytes | None:
        with connect(server, authority.context()) as client:
            assert isinstance(client.socket, ssl.SSLSocket)
            return client.socket.getpeercert(binary_form=True)

    assert shown() == renewed.leaf.public_bytes(Encoding.DER)
    renewed.key.write_text("no key")
    server.signal(signal.SIGHUP)
    assert "has no private key" in server.wait_for_line("the certificates stay as they were")
    assert shown() == renewed.leaf.public_bytes(Encoding.DER)
    assert kept.get("/hello").body == b"hello"
    kept.close()


def test_a_certificate_that_has_expired_is_told_of(
    serve: Callable[..., Server], authority: Authority
) -> None:
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    server = serve(*authority.pair("localhost", not_after=yesterday).options, bind=TLS)
    wait_until(lambda: "warning: the certificate" in server.log)
    assert "has expired on" in server.log


def refusal(*options: str) -> str:
    """What a server says that does not start."""
    command = [*ONIONSKIN, "serve", APPLICATION, *options]
    ended = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr.count("\n"), "Traceback" in ended.stderr) == (2, 1, False), ended
    return ended.stderr


def test_what_cannot_be_served_by_is_refused_at_start_up(authority: Authority, tmp_path: Path) -> None:
    pair, other = authority.pair("localhost"), authority.pair("localhost", stem="other")
    bind = ("--bind", TLS[0])
    certificate, key = pair.options[:2], pair.options[2:]
    encrypted = tmp_path / "encrypted.key"
    command = (
        "openssl",
        "pkey",
        "-in",
        str(pair.key),
        "-aes128",
        "-passout",
        "pass:x",
        "-out",
        str(encrypted),
    )
    subprocess.run(command, check=True)
    empty = tmp_path / "empty"
    empty.write_text("")
    for options, said in [
        ((*bind, *certificate, *other.options[2:]), f"is not the key of {pair.certificate}"),
        ((*bind, *certificate, "--tls-key", str(encrypted)), "is encrypted; write it without a passphrase"),
        ((*bind, *certificate, "--tls-key", str(empty)), "has no private key"),
        ((*bind, "--tls-certificate", str(empty), *key), f"tls_certificate: {empty}: has no certificate"),
        ((*bind, "--tls-certificate", "/missing", *key), "/missing: cannot be read: No such file"),
        ((*bind, *certificate), "tls_key: there are 0 for 1 of tls_certificate"),
        (bind, "needs tls_certificate and tls_key; give both"),
        (("--bind", "127.0.0.1:0", *pair.options), "no place speaks TLS; bind one, such as https://"),
        ((*bind, *pair.options, "--tls-client-ca", str(empty)), "tls_client_ca"),
        (
            (*bind, *pair.options, "--tls-ticket-key", str(empty)),
            "has 0 bytes; give one that `openssl rand 80`",
        ),
        (("--bind", "127.0.0.1:0", "--tls-ticket-key", str(empty)), "tls_ticket_key: no place speaks TLS"),
        ((*bind, *pair.options, "--tls-min-version", "1.1"), '"1.2" or "1.3"'),
    ]:
        assert said in refusal(*options), options
