"""Proxy among real servers: behind it, around it, and over TLS."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
import trustme

from onionskin import Proxy
from support.both_doors import Seen, serving
from support.client import ask
from support.servers import Servers
from support.upstream import Peer, response, upstream, wait_until
from support.wsgi import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Through = Callable[..., Seen]

LARGE = bytes(range(256)) * 8192


def echo(peer: Peer) -> None:
    """Answers with the body of the request, or with its path."""
    asked = peer.request()
    peer.send(response(asked.body or asked.path.encode()))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Servers]:
    """Servers of one test."""
    servers = Servers(tmp_path)
    yield servers
    servers.stop()


def test_it_passes_on_under_every_server(own: Servers, kind: str) -> None:
    with upstream(echo) as up:
        server = own.get(kind, "layers.proxying:application", TARGET=up.url)
        for _ in range(3):
            assert server.ask("/x?y").body == b"/x?y"
        assert server.ask("/", "POST", body=LARGE).body == LARGE
        assert up.asked[-1].get("via") == "1.1 onionskin"


def test_it_passes_on_when_it_was_made_and_used_before_a_fork(own: Servers) -> None:
    settings = {"GUNICORN_CMD_ARGS": "--preload --workers 3"}
    with upstream(echo) as up:
        server = own.get("gunicorn", "layers.proxying:application", TARGET=up.url, **settings)
        paths = [f"/{number}" for number in range(60)]
        assert [server.ask(path).body.decode() for path in paths] == paths
        # Each worker has connections of its own, and uses them again.
        assert 2 <= up.connections <= 8


NGINX = """
daemon off;
master_process off;
pid {here}/pid;
error_log {here}/error.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {here}/body; proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
  server {{
    listen unix:{here}/socket;
    location / {{ add_header X-Connection $connection; return 200 "$request_uri $http_x_forwarded_for"; }}
    location /large {{ alias {here}/large; }}
    location /moved {{ return 301 /elsewhere; }}
  }}
}}
"""


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[str]:
    """nginx on a Unix socket."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    (tmp_path / "nginx.conf").write_text(NGINX.format(here=tmp_path))
    (tmp_path / "large").write_bytes(LARGE)
    command = [
        program,
        "-c",
        str(tmp_path / "nginx.conf"),
        "-p",
        str(tmp_path),
        "-e",
        str(tmp_path / "error.log"),
    ]
    with subprocess.Popen(command) as process:
        try:
            wait_until((tmp_path / "socket").exists)
            yield f"unix:{tmp_path}/socket"
        finally:
            process.terminate()


def test_nginx_is_passed_on_to_over_one_connection(nginx: str) -> None:
    with serving(Proxy(target=nginx)) as place:
        replies = [ask(place, f"/{number}") for number in range(10)]
        assert [reply.text for reply in replies] == [f"/{number} 127.0.0.1" for number in range(10)]
        assert len({reply.get("X-Connection") for reply in replies}) == 1
        assert ask(place, "/large").body == LARGE
        assert ask(place, "/large", headers=[("Range", "bytes=5-9")]).body == LARGE[5:10]
        tag = ask(place, "/large", "HEAD").get("ETag")
        assert ask(place, "/large", headers=[("If-None-Match", str(tag))]).status == 304


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority of one's own."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """The certificate of localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    """The authority's own certificate, in a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def test_a_target_may_speak_tls(through: Through, tls: ssl.SSLContext, ca_file: str) -> None:
    with upstream(echo, tls=tls) as up:
        proxy = Proxy(target=up.url, ca_file=ca_file)
        assert [through(proxy, "/x").body for _ in range(3)] == [b"/x"] * 3


def test_a_large_body_goes_over_tls_both_ways(tls: ssl.SSLContext, ca_file: str) -> None:
    with upstream(echo, tls=tls) as up, serving(Proxy(target=up.url, ca_file=ca_file)) as place:
        assert ask(place, "/", "POST", body=LARGE).body == LARGE
        assert ask(place, "/", "POST", body=LARGE).body == LARGE
        assert up.connections == 1


@pytest.mark.parametrize("why", ["unknown authority", "another name"])
def test_a_certificate_that_is_not_the_targets_is_not_believed(
    tls: ssl.SSLContext, ca_file: str, tmp_path: Path, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with upstream(echo, tls=tls) as up:
        if why == "another name":
            proxy = Proxy(target=up.url.replace("localhost", "127.0.0.1"), ca_file=ca_file)
        else:
            other = tmp_path / "other.pem"
            trustme.CA().cert_pem.write_to_path(str(other))
            proxy = Proxy(target=up.url, ca_file=str(other))
        assert run(proxy).status == "502 Bad Gateway"
        assert up.asked == []
        assert "certificate" in capfd.readouterr().err
        assert run(Proxy(target=up.url, verify=False)).status == "200 OK"


def test_a_target_without_tls_is_not_taken_for_one(ca_file: str) -> None:
    with upstream(echo) as up:
        target = up.url.replace("http:", "https:")
        assert run(Proxy(target=target, ca_file=ca_file, connect_timeout="1s")).status[:3] in ("502", "504")
