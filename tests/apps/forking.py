"""An application that starts processes in its requests: `/KIND`, for the kinds below.

The answer says how the child ended, or what it has said.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path


def application(environ, start_response):
    kind = environ["PATH_INFO"].strip("/")
    if kind == "generator":
        return generator(start_response)
    return answer(start_response, KINDS.get(kind, hello)(environ, start_response))


def answer(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def hello(environ, start_response):
    return b"hello"


def waited(pid):
    return str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode()


def returns(environ, start_response):
    return waited(pid) if (pid := os.fork()) else b"the child's answer"


def raises(environ, start_response):
    if pid := os.fork():
        return waited(pid)
    raise ValueError("raised in the child")


def exits(environ, start_response):
    if pid := os.fork():
        return waited(pid)
    sys.exit(7)


def leaves(environ, start_response):
    if pid := os.fork():
        return waited(pid)
    os._exit(8)


def twice(environ, start_response):
    """What a daemon does: the grandchild returns."""
    reading, writing = os.pipe()
    if pid := os.fork():
        os.close(writing)
        waited(pid)
        # Until the grandchild has ended.
        return os.read(reading, 100) or b"0"
    os.close(reading)
    os.setsid()
    if os.fork():
        os._exit(0)
    return b"the grandchild's answer"


def generator(start_response):
    pid = os.fork()
    body = waited(pid) if pid else b"the child's answer"
    yield from answer(start_response, body)


def threads(environ, start_response):
    """Forks on a thread of the application, whose target then returns."""
    ended = []
    thread = threading.Thread(target=lambda: ended.append(returns(environ, start_response)))
    thread.start()
    thread.join()
    return ended[0]


def writes(environ, start_response):
    """The child uses `write()`; the parent answers as it always does."""
    if pid := os.fork():
        return waited(pid)
    try:
        start_response("200 OK", [])(b"the child's answer")
    except OSError:
        os._exit(9)
    return b"more of it"


def logs(environ, start_response):
    if pid := os.fork():
        return waited(pid)
    environ["wsgi.errors"].write("event: logged in the child\n")
    environ["wsgi.errors"].flush()
    os._exit(0)


def lives(environ, start_response):
    """A child that lives until it is ended by SIGTERM; the answer has its pid, and its sockets."""
    reading, writing = os.pipe()
    if pid := os.fork():
        os.close(writing)
        return f"{pid} ".encode() + os.read(reading, 1000)
    descriptors = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    kept = [what for descriptor in descriptors if (what := kept_of_server(descriptor))]
    os.write(writing, f"{kept}\n".encode())
    while True:
        time.sleep(60)


def kept_of_server(descriptor):
    """What a descriptor of a server is: an epoll instance, a TCP socket; nothing if it is another."""
    try:
        if "epoll" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            return "epoll"
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        with socket.socket(fileno=os.dup(descriptor)) as found:
            return None if found.family == socket.AF_UNIX else repr(found)
    except OSError:
        return None


def started(method):
    def start(environ, start_response):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=queue.put, args=("said",))
        process.start()
        said = queue.get(timeout=60)
        process.join()
        return f"{said} {process.exitcode}".encode()

    return start


def pool(environ, start_response):
    with multiprocessing.get_context("fork").Pool(2) as workers:
        return str(sum(workers.map(abs, range(-10, 0)))).encode()


def terminated(environ, start_response):
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join(20)
    return str(process.exitcode).encode()


ECHO = (sys.executable, "-c", "print('said')")


def runs(environ, start_response):
    return subprocess.run(ECHO, capture_output=True, check=True).stdout.strip()


def prepared(environ, start_response):
    """A `preexec_fn` makes `subprocess` call what is registered for the child of a fork."""
    run = subprocess.run(ECHO, capture_output=True, check=True, preexec_fn=os.setsid)
    return run.stdout.strip()


def executes(environ, start_response):
    if pid := os.fork():
        return waited(pid)
    os.execv(sys.executable, [sys.executable, "-c", "raise SystemExit(5)"])


def spawns(environ, start_response):
    script = [sys.executable, "-c", "raise SystemExit(6)"]
    return waited(os.posix_spawn(sys.executable, script, os.environ))


def handlers(environ, start_response):
    """Which signals the child ignores or handles."""
    if pid := os.fork():
        return waited(pid)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    os._exit(0)


KINDS = {
    "returns": returns,
    "raises": raises,
    "exits": exits,
    "leaves": leaves,
    "twice": twice,
    "threads": threads,
    "writes": writes,
    "logs": logs,
    "lives": lives,
    "fork": started("fork"),
    "spawn": started("spawn"),
    "forkserver": started("forkserver"),
    "pool": pool,
    "terminated": terminated,
    "runs": runs,
    "prepared": prepared,
    "executes": executes,
    "spawns": spawns,
    "handlers": handlers,
}
