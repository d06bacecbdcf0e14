"""A crowd of connections that are idle, slow or silent, held by one process without much ado.

    python bench/crowding.py PORT TLS_PORT IDLE HEADS BODIES READERS SILENT

prints a line when all of them are there, and one with a JSON object of what is open, and how often a
connection was begun anew because the server had closed it, for each line on its standard input. It ends with
its standard input.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import sys
import time
from collections import Counter, deque

from trial import HOST, allow_open_files

CONNECTING = 200  # that are begun, but not yet made, at the most
AN_ADDRESS = 5000  # connections from each of 127.0.0.2, 127.0.0.3, ...
ROUND = 1.0  # seconds between two bytes of one slow connection


class Member:
    """A connection of the crowd: what it sends first, byte by byte then, and how it reads."""

    kind = "idle"
    first = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    drop = b""
    taken = 65536  # that are read at once, as soon as something is there
    slow = False

    def __init__(self, number: int, port: int) -> None:
        self.number, self.port = number, port
        self.begun = False
        self.there = False

    def connect(self) -> None:
        """Begins a connection."""
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.prepare()
        self.socket.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        self.socket.bind((f"127.0.0.{2 + self.number // AN_ADDRESS}", 0))
        code = self.socket.connect_ex((HOST, self.port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        self.begun = self.there = False

    def prepare(self) -> None:
        """What is set before it is connected."""

    def is_held(self) -> bool:
        """Whether it is what it wants to be."""
        return self.there

    def begin(self) -> None:
        """Is connected."""
        self.begun = True
        self.there = self.kind != "idle"  # which is idle when it has had its answer
        if self.first:
            self.socket.send(self.first)

    def trickle(self) -> None:
        """Does its slow part."""
        self.socket.send(self.drop)


class SlowHead(Member):
    """A request head that never ends (slow loris)."""

    kind, slow = "slow head", True
    first, drop = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"x"


class SlowBody(Member):
    """A request body of a megabyte, a byte a second."""

    kind, slow = "slow body", True
    first, drop = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", b"x"


class SlowReader(Member):
    """A response of a megabyte, half a kilobyte a second."""

    kind, slow = "slow reader", True
    first = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
    taken = 0

    def prepare(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def trickle(self) -> None:
        if not self.socket.recv(512):
            raise ConnectionResetError


class Silent(Member):
    """A TLS handshake that is never begun."""

    kind = "silent handshake"
    first = b""


KINDS = (Member, SlowHead, SlowBody, SlowReader, Silent)


class Crowd:
    """All members, on one epoll."""

    def __init__(self, port: int, tls_port: int, counts: list[int]) -> None:
        self.poll = select.epoll()
        self.open: dict[int, Member] = {}
        kinds = [kind for kind, count in zip(KINDS, counts, strict=True) for _ in range(count)]
        members = [kind(at, tls_port if kind is Silent else port) for at, kind in enumerate(kinds)]
        self.members = members
        self.waiting = deque(members)
        self.slow = deque(member for member in members if member.slow)
        self.connecting = 0
        self.again: Counter[str] = Counter()
        self.said = False

    def run(self) -> None:
        """Until standard input ends."""
        self.poll.register(0, select.EPOLLIN)
        due = time.monotonic()
        while True:
            while self.waiting and self.connecting < CONNECTING:
                self.connect(self.waiting.popleft())
            for number, events in self.poll.poll(0.001 if self.slow else 0.1):
                if number == 0:
                    if not os.read(0, 4096):
                        return
                    self.tell()
                elif number in self.open:
                    self.attend(self.open[number], events)
            # As many as are due, so that they never come all at once.
            while self.slow and due <= time.monotonic():
                due = max(due + ROUND / len(self.slow), time.monotonic() - 0.01)
                self.slow.rotate(-1)
                self.trickle(self.slow[-1])
            if not self.said and not self.waiting and all(member.is_held() for member in self.members):
                self.said = True
                print("held", flush=True)

    def connect(self, member: Member) -> None:
        member.connect()
        self.connecting += 1
        self.open[member.socket.fileno()] = member
        self.poll.register(member.socket, select.EPOLLOUT)

    def attend(self, member: Member, events: int) -> None:
        """Something has happened to it."""
        try:
            if not member.begun:
                self.connecting -= 1
                member.begun = True
                if code := member.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(code, os.strerror(code))
                member.begin()
                self.poll.modify(member.socket, select.EPOLLIN if member.taken else 0)
            elif events & (select.EPOLLHUP | select.EPOLLERR) or not member.socket.recv(member.taken):
                raise ConnectionResetError
            else:
                member.there = True
        except BlockingIOError:
            pass
        except OSError:
            self.lost(member)

    def trickle(self, member: Member) -> None:
        if not member.begun or not member.there:
            return
        try:
            member.trickle()
        except BlockingIOError:
            pass
        except OSError:
            self.lost(member)

    def lost(self, member: Member) -> None:
        """The server has closed it: it comes again."""
        del self.open[member.socket.fileno()]
        self.poll.unregister(member.socket)
        member.socket.close()
        member.begun = member.there = False
        self.again[member.kind] += 1
        self.waiting.append(member)

    def tell(self) -> None:
        held = Counter(member.kind for member in self.members if member.is_held())
        print(json.dumps({kind.kind: [held[kind.kind], self.again[kind.kind]] for kind in KINDS}), flush=True)


if __name__ == "__main__":
    port, tls_port, *counts = map(int, sys.argv[1:])
    allow_open_files(sum(counts) + 100)
    Crowd(port, tls_port, counts).run()
