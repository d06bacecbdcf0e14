"""What clients of Proxy and Balance notice of targets that are killed, slow or silent; and what 1 GB costs.

    python bench/upstreams.py

needs onionskin in the interpreter that runs it. It prints a line for each scene: how many requests there
were, how they were answered, and how long the answers took.
"""

from __future__ import annotations

import argparse
import http.client
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from onionskin import Balance, Proxy
from onionskin.simple_server import make_server

HOST = "127.0.0.1"
BODY = b"Hello, World!"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n" + BODY
GIGABYTE = 1 << 30
BLOCK = bytes(1 << 20)

Serve = Callable[[socket.socket], None]


def answer(connection: socket.socket) -> None:
    """Answers what comes, at once."""
    while connection.recv(65536):
        connection.sendall(ANSWER)


def answer_slowly(connection: socket.socket) -> None:
    """Answers what comes, after 100 ms."""
    while connection.recv(65536):
        time.sleep(0.1)
        connection.sendall(ANSWER)


def say_nothing(connection: socket.socket) -> None:
    """Takes what comes, and answers nothing."""
    while connection.recv(65536):
        pass


def send_a_gigabyte(connection: socket.socket) -> None:
    """Answers with 1 GB."""
    while connection.recv(65536):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIGABYTE)
        for _ in range(GIGABYTE // len(BLOCK)):
            connection.sendall(BLOCK)


class Target:
    """A server on a free port that can be killed, as a process is: its connections are gone with it."""

    def __init__(self, serve: Serve) -> None:
        self.serve = serve
        self.listener = socket.create_server((HOST, 0), backlog=1024)
        self.url = f"http://{HOST}:{self.listener.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def kill(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self.serve(connection)
        except OSError:
            pass
        finally:
            connection.close()


class Clients:
    """Asks again and again, on some connections at once, and keeps what came of it."""

    def __init__(self, port: int, count: int) -> None:
        self.port = port
        self.outcomes: list[tuple[str, float]] = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self) -> Clients:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def _ask(self) -> None:
        while not self.stopping.is_set():
            began = time.perf_counter()
            try:
                connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
                connection.request("GET", "/")
                outcome = str(connection.getresponse().status)
            except OSError as error:
                outcome = type(error).__name__
            finally:
                connection.close()
            self.outcomes.append((outcome, time.perf_counter() - began))


@contextmanager
def serving(app: object) -> Iterator[int]:
    """onionskin's own server on a thread of this process; gives its port."""
    with make_server(HOST, 0, app) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def scene(title: str, app: object, seconds: float, event: Callable[[], None] = lambda: None) -> None:
    """Load for so long, with something happening half-way."""
    with serving(app) as port, Clients(port, 16) as clients:
        time.sleep(seconds / 2)
        event()
        time.sleep(seconds / 2)
    times = sorted(taken for _, taken in clients.outcomes)
    counted = ", ".join(
        f"{status}: {count}"
        for status, count in sorted(Counter(status for status, _ in clients.outcomes).items())
    )
    p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
    print(f"{title:58} {counted:28} p50 {p50:7.1f} ms  p99 {p99:7.1f} ms  longest {times[-1] * 1000:7.1f} ms")


def gigabyte() -> None:
    """1 GB through the proxy, and what that took."""
    target = Target(send_a_gigabyte)
    with serving(Proxy(target=target.url)) as port:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        connection = http.client.HTTPConnection(HOST, port)
        connection.request("GET", "/")
        response = connection.getresponse()
        buffer, received = bytearray(1 << 20), 0
        while count := response.readinto(buffer):
            received += count
        taken = time.perf_counter() - began
        connection.close()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert received == GIGABYTE
    print(f"{'1 GB through Proxy':58} {taken:.1f} s, {grown:.1f} MiB more memory at the most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each scene lasts")
    seconds = parser.parse_args().seconds
    with ExitStack() as stack:

        def target(serve: Serve) -> Target:
            made = Target(serve)
            stack.callback(made.kill)
            return made

        scene("Proxy, a target that is well", Proxy(target=target(answer).url), seconds)
        victim = Target(answer)
        scene("Proxy, the target is killed half-way", Proxy(target=victim.url), seconds, victim.kill)
        scene("Proxy, a target that takes 100 ms", Proxy(target=target(answer_slowly).url), seconds)
        silent = Proxy(target=target(say_nothing).url, first_byte_timeout="500ms")
        scene("Proxy, a target that says nothing (500 ms allowed)", silent, seconds)
        # An address that is set aside for documentation: packets to it go nowhere.
        nowhere = Proxy(target="http://192.0.2.1:9", connect_timeout="500ms")
        scene("Proxy, a target that is not there (500 ms allowed)", nowhere, seconds)
        victim = Target(answer)
        three = Balance(targets=[victim.url, target(answer).url, target(answer).url])
        scene("Balance, one of three is killed half-way", three, seconds, victim.kill)
        mixed = [target(answer).url, target(answer).url, target(answer_slowly).url]
        scene("Balance (p2c), one of three takes 100 ms", Balance(targets=mixed), seconds)
        scene(
            "Balance (round_robin), one of three takes 100 ms",
            Balance(targets=mixed, policy="round_robin"),
            seconds,
        )
        hanging = [target(answer).url, target(answer).url, target(say_nothing).url]
        scene(
            "Balance, one of three says nothing (500 ms allowed)",
            Balance(targets=hanging, first_byte_timeout="500ms"),
            seconds,
        )
    gigabyte()


if __name__ == "__main__":
    main()
