"""Starts a server that has no command line: `start.py SERVER MODULE:NAME PORT [THREADS | nodelay]`."""

import importlib
import sys

HOST = "127.0.0.1"
BACKLOG = 1024


def fastwsgi(app, port, setting):
    import fastwsgi

    fastwsgi.server.backlog = BACKLOG
    fastwsgi.server.tcp_nodelay = int(setting == "nodelay")
    fastwsgi.run(app, HOST, port)


def fastpysgi(app, port, setting):
    import fastpysgi

    fastpysgi.server.backlog = BACKLOG
    fastpysgi.server.tcp_nodelay = int(setting == "nodelay")
    fastpysgi.run(app, HOST, port)


def bjoern(app, port, setting):
    import bjoern

    bjoern.run(app, HOST, port)


def cheroot(app, port, setting):
    from cheroot import wsgi

    threads = int(setting)
    wsgi.Server((HOST, port), app, numthreads=threads, max=threads, request_queue_size=BACKLOG).start()


def waitress(app, port, setting):
    import waitress

    waitress.serve(
        app, host=HOST, port=port, threads=int(setting), backlog=BACKLOG, connection_limit=4096, _quiet=True
    )


def main():
    server, application, port, setting = [*sys.argv[1:], ""][:4]
    module, _, name = application.partition(":")
    app = getattr(importlib.import_module(module), name)
    starters = {
        "fastwsgi": fastwsgi,
        "fastpysgi": fastpysgi,
        "bjoern": bjoern,
        "cheroot": cheroot,
        "waitress": waitress,
    }
    starters[server](app, int(port), setting)


if __name__ == "__main__":
    main()
