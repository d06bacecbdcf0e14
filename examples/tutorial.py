"""The script of docs/tutorial.md: WSGI's own demo application, for the neighbours only.

python examples/tutorial.py
"""

import sys

from onionskin import AuthenticationMiddleware
from onionskin.simple_server import demo_app, make_server

ALLOWED_ADDRESSES = ["127.0.0.1", "::1"]

application = AuthenticationMiddleware(demo_app, ALLOWED_ADDRESSES)

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    with make_server("127.0.0.1", port, application) as server:
        print(f"http://127.0.0.1:{server.server_port}/, until Ctrl-C", flush=True)
        server.serve_forever()
