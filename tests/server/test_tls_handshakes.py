"""TLS handshakes: every kind of key, version and key exchange, including the post-quantum one."""

from __future__ import annotations

import json
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from server.process import wait_until
from support.authority import Authority
from support.chromium import chromium

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.process import Server

SOON = 10.0
TLS = ("https://127.0.0.1:0",)
HYBRID = "X25519MLKEM768"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that the clients of a test trust."""
    return Authority(tmp_path)


def environ(
    server: Server, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[dict[str, str], ssl.SSLSession | None, str | None]:
    """The texts of environ on a new connection, its session, and the group if Python knows it."""
    plain = socket.create_connection(("127.0.0.1", server.port), SOON)
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as wrapped:
        wrapped.sendall(b"GET /environ_as_json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        response = b"".join(iter(lambda: wrapped.recv(65536), b""))
        group = getattr(wrapped, "group", lambda: None)()
        return dict(json.loads(response.partition(b"\r\n\r\n")[2])["texts"]), wrapped.session, group


@pytest.mark.parametrize(
    ("key_type", "version", "curve"),
    [
        (key_type, version, curve)
        for key_type in ("ECDSA", "RSA")
        for version in ("TLSv1.2", "TLSv1.3")
        for curve in ("X25519", "prime256v1", "secp384r1")
        # In TLS 1.2 the certificate's curve has to be one of the client's (RFC 8422 section 5.1).
        if (key_type, version) != ("ECDSA", "TLSv1.2") or curve == "prime256v1"
    ],
)
def test_every_kind_of_handshake_succeeds_with_a_client_certificate_and_is_resumed(
    serve: Callable[..., Server], authority: Authority, key_type: str, version: str, curve: str
) -> None:
    pair = authority.pair("localhost", key_type=key_type)
    server = serve(*pair.options, "--tls-client-ca", str(authority.file), bind=TLS)
    context = authority.context(authority.pair("ann@example.org", stem="ann", key_type=key_type))
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version.replace(".", "_")]
    context.set_ecdh_curve(curve)
    texts, session, _ = environ(server, context)
    assert (texts["SSL_PROTOCOL"], texts["SSL_CLIENT_VERIFY"]) == (version, "SUCCESS")
    assert texts["SSL_SESSION_RESUMED"] == "Initial"
    if version == "TLSv1.2":
        assert texts["SSL_CIPHER"] == f"ECDHE-{key_type}-AES256-GCM-SHA384"
    texts, _, _ = environ(server, context, session)
    assert (texts["SSL_SESSION_RESUMED"], texts["SSL_CLIENT_VERIFY"]) == ("Resumed", "SUCCESS")


@pytest.mark.parametrize(
    "cipher",
    ["ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES256-GCM-SHA384", "AES256-GCM-SHA384"],
)
def test_a_cipher_without_forward_secrecy_or_authenticated_encryption_is_rejected(
    serve: Callable[..., Server], authority: Authority, cipher: str
) -> None:
    server = serve(*authority.pair("localhost").options, bind=TLS)
    context = authority.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        environ(server, context)
    assert environ(server, authority.context())[0]["SSL_PROTOCOL"] == "TLSv1.3"


@pytest.mark.smoke
@pytest.mark.skipif(not hasattr(ssl.SSLSocket, "group"), reason="Python 3.15 with OpenSSL 3.5 or newer")
@pytest.mark.parametrize("key_type", ["ECDSA", "RSA"])
def test_a_client_that_supports_the_hybrid_key_exchange_gets_it(
    serve: Callable[..., Server], authority: Authority, key_type: str
) -> None:
    server = serve(*authority.pair("localhost", key_type=key_type).options, bind=TLS)
    context = authority.context()
    texts, session, group = environ(server, context)
    assert (texts["SSL_SESSION_RESUMED"], group) == ("Initial", HYBRID)
    texts, _, group = environ(server, context, session)
    assert (texts["SSL_SESSION_RESUMED"], group) == ("Resumed", HYBRID)
    # A client that guessed another group is not asked for another round trip.
    for groups in (f"*X25519:{HYBRID}", "X25519:P-256"):
        context.set_groups(groups)
        assert str(environ(server, context)[2]).lower() == "x25519"


def test_a_browser_gets_the_hybrid_key_exchange(
    serve: Callable[..., Server], authority: Authority, tmp_path: Path
) -> None:
    server = serve(*authority.pair("localhost").options, bind=TLS)
    with chromium(tmp_path / "profile", "--ignore-certificate-errors", log="performance") as driver:
        driver.execute_cdp_cmd("Network.enable", {})
        driver.get(f"https://localhost:{server.port}/hello")
        security: dict[str, str] = {}

        def received() -> bool:
            for entry in driver.get_log("performance"):
                message = json.loads(entry["message"])["message"]
                if message["method"] == "Network.responseReceived":
                    security.update(message["params"]["response"].get("securityDetails", {}))
            return bool(security)

        wait_until(received)
    assert (security["protocol"], security["keyExchangeGroup"]) == ("TLS 1.3", HYBRID)
