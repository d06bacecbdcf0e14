"""One address that holds as much of a server as it gets, and tries again what is taken from it.

    python bench/greedy.py KIND PORT COUNT

KIND is connections, handshakes, requests or streams, and COUNT is how many it wants. It prints a line when it
has tried as often, and one with a JSON object of what it holds, and what was refused, for each line on its
standard input. It ends with its standard input.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time

import hpack
from hyperframe import frame as frames

from trial import HOST, allow_open_files

ADDRESS = "127.0.0.2"
TICK = 0.01  # seconds between two rounds of attempts
ATTEMPTS = 5  # a round
SETTLED = 0.5  # seconds without attempts before it counts what it holds
HALF = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STREAMS = 100  # of a connection


class Member:
    """A connection that is open and silent: idle, or a handshake that is never begun."""

    most = 1
    first = b""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: socket.socket | None = None
        self.held = 0

    def attempt(self) -> None:
        """Takes one more."""
        self.connect()
        self.held = 1

    def connect(self) -> socket.socket:
        """A new connection."""
        self.socket = socket.create_connection((HOST, self.port), 10, (ADDRESS, 0))
        self.socket.setblocking(False)
        self.socket.send(self.first)
        return self.socket

    def attend(self) -> int:
        """Takes what has come; how much was refused."""
        self.socket, self.held = None, 0
        return 1


class HalfRequest(Member):
    """A request whose body does not end. Whatever comes says that it was not taken."""

    first = HALF


class Streams(Member):
    """A connection of HTTP/2 with requests whose bodies do not end."""

    most = STREAMS
    first = PREFACE + frames.SettingsFrame(0).serialize()

    def attempt(self) -> None:
        connection = self.socket
        if connection is None:
            connection = self.connect()
            self.buffer, self.stream, self.encoder = b"", -1, hpack.Encoder()
        self.stream += 2
        fields = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
        head = frames.HeadersFrame(self.stream, self.encoder.encode(fields), flags=["END_HEADERS"])
        connection.send(head.serialize() + frames.DataFrame(self.stream, b"ab").serialize())
        self.held += 1

    def attend(self) -> int:
        assert self.socket is not None
        block = self.socket.recv(65536)
        if not block:
            lost, self.socket, self.held = self.held, None, 0
            return lost
        self.buffer += block
        refused = 0
        while len(self.buffer) >= 9:
            frame, length = frames.Frame.parse_frame_header(memoryview(self.buffer[:9]))
            if len(self.buffer) < 9 + length:
                break
            self.buffer = self.buffer[9 + length :]
            refused += isinstance(frame, frames.RstStreamFrame)
        self.held -= refused
        return refused


KINDS = {"connections": Member, "handshakes": Member, "requests": HalfRequest, "streams": Streams}


class Greed:
    """All that it wants, on one epoll."""

    def __init__(self, kind: str, port: int, count: int) -> None:
        self.poll = select.epoll()
        made = KINDS[kind]
        self.members = [made(port) for _ in range(-(-count // made.most))]
        self.open: dict[int, Member] = {}
        self.refused = self.tried = 0
        self.count = count

    def run(self) -> None:
        """Until standard input ends."""
        self.poll.register(0, select.EPOLLIN)
        due, said, turn, asked = time.monotonic(), False, 0, False
        while True:
            for number, _ in self.poll.poll(max(0.0, due - time.monotonic())):
                if number == 0:
                    if not os.read(0, 4096):
                        return
                    # What was tried last may still be refused.
                    due, asked = time.monotonic() + SETTLED, True
                elif number in self.open:
                    self.attend(number)
            if time.monotonic() < due:
                continue
            if asked:
                held, asked = sum(member.held for member in self.members), False
                print(json.dumps({"held": held, "refused": self.refused}), flush=True)
            due = time.monotonic() + TICK
            for _ in range(ATTEMPTS):
                turn = self.attempt(turn)
            if not said and self.tried >= self.count:
                said = True
                print("tried", flush=True)

    def attempt(self, turn: int) -> int:
        """Takes one more for the next member that has not all; where to go on."""
        for step in range(len(self.members)):
            member = self.members[(turn + step) % len(self.members)]
            if member.held < member.most:
                self.tried += 1
                before = member.socket
                try:
                    member.attempt()
                except OSError:
                    self.refused += 1
                    member.socket, member.held = None, 0
                    return turn + step + 1
                assert member.socket is not None
                if member.socket is not before:
                    self.open[member.socket.fileno()] = member
                    self.poll.register(member.socket, select.EPOLLIN)
                return turn + step + 1
        return turn

    def attend(self, number: int) -> None:
        """Something has come, or the connection has ended."""
        member = self.open[number]
        former = member.socket
        assert former is not None
        try:
            self.refused += member.attend()
        except OSError:
            self.refused += member.held
            member.socket, member.held = None, 0
        if member.socket is None:
            del self.open[number]
            self.poll.unregister(number)
            former.close()


if __name__ == "__main__":
    allow_open_files(int(sys.argv[3]) + 100)
    Greed(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])).run()
