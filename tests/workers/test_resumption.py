"""Resumption of TLS sessions: a client comes back to any worker, after a reload, and after an upgrade."""

from __future__ import annotations

import datetime
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from server.process import wait_until
from support.authority import Authority, Pair
from workers.conftest import end_successors, halt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOTH = ("127.0.0.1:0", "https://127.0.0.1:0")


class Met(NamedTuple):
    """What a client of openssl has met."""

    resumed: bool
    version: str
    worker: int


class Visitor:
    """A client that keeps its session in a file."""

    def __init__(self, authority: Authority, tls: str, shown: Pair | None = None, name: str = "localhost"):
        self.session = authority.folder / "session"
        self.command = ["openssl", "s_client", "-ign_eof", "-CAfile", str(authority.file), f"-{tls}"]
        self.command += ["-verify_return_error", "-servername", name]
        if shown:
            self.command += ["-cert", str(shown.certificate), "-key", str(shown.key)]

    def visit(self, server: Any, *, keeps: bool = True) -> Met | None:
        """One request on a connection of its own, which goes on with the session; none if it is refused."""
        address = next(place for place in server.places if place.startswith("https:")).rpartition("/")[2]
        command = [*self.command, "-connect", address]
        if self.session.exists():
            command += ["-sess_in", str(self.session)]
        if keeps:
            command += ["-sess_out", str(self.session)]
        request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        shown = subprocess.run(command, input=request, capture_output=True, timeout=10).stdout
        answered = re.search(rb"\r\n\r\n(\S+) (\d+) \w+", shown)
        if answered is None:
            return None
        resumed = re.search(rb"^(New|Reused), ", shown, re.MULTILINE)
        assert resumed, shown
        return Met(resumed[1] == b"Reused", answered[1].decode(), int(answered[2]))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom the clients of a test believe."""
    (tmp_path / "certificates").mkdir()
    return Authority(tmp_path / "certificates")


@pytest.fixture
def serve_by_tls(serve: Callable[..., Any], authority: Authority) -> Iterator[Callable[..., Any]]:
    """Starts servers that speak TLS, and ends what has taken over from them."""
    started: list[Any] = []

    def start(*options: str, **settings: Any) -> Any:
        pair = authority.pair("localhost")
        started.append(serve(*pair.options, *options, **{"bind": BOTH, **settings}))
        return started[-1]

    yield start
    for server in started:
        end_successors(server)


@pytest.fixture(params=["tls1_2", "tls1_3"])
def visitor(request: pytest.FixtureRequest, authority: Authority) -> Visitor:
    """A client without a certificate."""
    return Visitor(authority, request.param)


def reload(server: Any, site: Any, version: str) -> None:
    """Has another version serve, and waits until the workers of the one before have ended."""
    before = server.workers()
    site.write(version)
    server.signal(signal.SIGHUP)
    wait_until(lambda: not before & server.workers())
    server.wait_for_version(version)


def visit_each(server: Any, visitor: Visitor) -> list[Met | None]:
    """One visit at each worker, while the others are stopped."""
    workers = sorted(server.workers())
    met = []
    for one in workers:
        others = [worker for worker in workers if worker != one]
        for other in others:
            halt(other)
        try:
            met.append(visitor.visit(server))
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)
    return met


def test_a_session_is_resumed_by_any_worker(serve_by_tls, visitor):
    server = serve_by_tls()
    workers = sorted(server.workers())
    assert visit_each(server, visitor) == [Met(False, "1", workers[0]), Met(True, "1", workers[1])]
    assert visit_each(server, visitor) == [Met(True, "1", worker) for worker in workers]


def test_a_session_is_resumed_after_a_reload(site, serve_by_tls, visitor):
    server = serve_by_tls()
    assert not visitor.visit(server).resumed
    for version in ("2", "3"):
        reload(server, site, version)
        assert visitor.visit(server)[:2] == (True, version)


def test_a_session_is_resumed_by_the_worker_that_replaces_one_that_was_killed(serve_by_tls, visitor):
    server = serve_by_tls(workers=1)
    killed = visitor.visit(server).worker
    os.kill(killed, signal.SIGKILL)
    server.wait_for_line(f"worker {killed} was ended by signal 9")
    wait_until(lambda: len(server.workers()) == 1)
    resumed, _, worker = visitor.visit(server)
    assert resumed
    assert worker != killed


def test_a_session_is_resumed_after_an_upgrade(site, serve_by_tls, visitor):
    server = serve_by_tls()
    assert not visitor.visit(server).resumed
    site.write("2")
    server.signal(signal.SIGUSR2)
    server.wait_for_line(r"upgraded: process \d+ serves, this one drains")
    assert server.wait_for_old() == 0
    assert visitor.visit(server)[:2] == (True, "2")


def test_a_renewed_certificate_leaves_sessions_as_they_are(site, serve_by_tls, authority, visitor):
    server = serve_by_tls()
    assert not visitor.visit(server).resumed
    authority.pair("localhost")
    reload(server, site, "2")
    assert visitor.visit(server).resumed


def test_certificates_for_other_names_begin_new_sessions(site, serve_by_tls, authority, visitor):
    server = serve_by_tls()
    assert not visitor.visit(server).resumed
    authority.pair("localhost", "other.example")
    reload(server, site, "2")
    assert not visitor.visit(server).resumed


def test_machines_with_the_same_files_resume_each_others_sessions(
    site, serve_by_tls, authority, visitor, monkeypatch
):
    files = [authority.folder / name for name in ("today.key", "before.key")]
    for file in files:
        file.write_bytes(os.urandom(80))
    pair = authority.pair("localhost").options
    # Both show the same certificate, as machines behind one balancer do.
    monkeypatch.setattr(authority, "pair", lambda *_: Pair(Path(pair[1]), Path(pair[3]), None))
    options = [option for file in files for option in ("--tls-ticket-key", str(file))]
    one, other = serve_by_tls(*options), serve_by_tls(*options)
    assert not visitor.visit(one).resumed
    assert visitor.visit(other).resumed

    # What sealed before opens as the second, as long as it is there.
    content = files[0].read_bytes()
    files[0].write_bytes(os.urandom(80))
    files[1].write_bytes(content)
    for server in (one, other):
        reload(server, site, "2")
    assert visitor.visit(one, keeps=False).resumed
    assert visitor.visit(other, keeps=False).resumed
    files[1].write_bytes(os.urandom(80))
    reload(one, site, "3")
    assert not visitor.visit(one, keeps=False).resumed


@pytest.mark.parametrize("tls", ["tls1_2", "tls1_3"])
def test_the_session_of_a_client_with_a_certificate_is_resumed_as_long_as_its_authority_is_believed(
    site, serve_by_tls, authority, tls
):
    clients = authority.folder / "clients.pem"
    clients.write_bytes(authority.file.read_bytes())
    server = serve_by_tls("--tls-client-ca", str(clients))
    visitor = Visitor(authority, tls, authority.pair("ann@example.org", stem="ann"))
    assert not visitor.visit(server).resumed
    reload(server, site, "2")
    assert visitor.visit(server).resumed

    (site.folder / "stranger").mkdir()
    stranger = Authority(site.folder / "stranger")
    clients.write_bytes(authority.file.read_bytes() + stranger.file.read_bytes())
    reload(server, site, "3")
    # It is believed all the same, but has to show its certificate again.
    assert visitor.visit(server)[:2] == (False, "3")
    assert visitor.visit(server).resumed

    clients.write_bytes(stranger.file.read_bytes())
    reload(server, site, "4")
    assert visitor.visit(server) is None


@pytest.mark.parametrize("tls", ["tls1_2", "tls1_3"])
def test_without_workers_a_session_is_resumed_as_long_as_the_clients_authority_is_the_same(
    serve_by_tls, authority, tls
):
    clients = authority.folder / "clients.pem"
    clients.write_bytes(authority.file.read_bytes())
    server = serve_by_tls("--tls-client-ca", str(clients), workers=0)
    visitor = Visitor(authority, tls, authority.pair("ann@example.org", stem="ann"))
    assert not visitor.visit(server).resumed
    server.signal(signal.SIGHUP)
    server.wait_for_line("the certificates were read again")
    assert visitor.visit(server).resumed
    (authority.folder / "stranger").mkdir()
    stranger = Authority(authority.folder / "stranger")
    clients.write_bytes(authority.file.read_bytes() + stranger.file.read_bytes())
    server.signal(signal.SIGHUP)
    server.wait_for_line("the certificates were read again", count=2)
    assert not visitor.visit(server).resumed


def test_a_session_without_a_certificate_ends_where_one_is_required(site, serve_by_tls, authority, visitor):
    (site.folder / "onion.toml").write_text('tls_client_auth = "optional"\n')
    server = serve_by_tls("--tls-client-ca", str(authority.file))
    assert not visitor.visit(server).resumed
    assert visitor.visit(server).resumed
    (site.folder / "onion.toml").write_text('tls_client_auth = "required"\n')
    reload(server, site, "2")
    assert visitor.visit(server) is None


@pytest.mark.parametrize("tls", ["tls1_2", "tls1_3"])
def test_a_client_whose_certificate_has_expired_is_refused_though_it_resumes(serve_by_tls, authority, tls):
    server = serve_by_tls("--tls-client-ca", str(authority.file), workers=1)
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
    visitor = Visitor(authority, tls, authority.pair("ann@example.org", stem="ann", not_after=soon))
    assert not visitor.visit(server).resumed
    assert visitor.visit(server).resumed
    wait_until(lambda: visitor.visit(server, keeps=False) is None)


def test_the_keys_are_in_no_environment_and_no_command_line(serve_by_tls):
    server = serve_by_tls()
    server.signal(signal.SIGUSR2)
    line = server.wait_for_line(r"process \d+ is to take over")
    successor = int(re.findall(r"process (\d+)", line)[0])
    server.wait_for_line(r"upgraded: process \d+ serves, this one drains")
    process = Path(f"/proc/{successor}")
    estate = (process / "environ").read_bytes().split(b"_ONIONSKIN_UPGRADE=")[1].split(b"\0")[0]
    told = estate + (process / "cmdline").read_bytes()
    # A key is a string of 64 characters of base64.
    assert not re.search(rb'"[A-Za-z0-9+/]{40,}"', told)
