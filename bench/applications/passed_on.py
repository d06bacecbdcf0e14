"""Everything is passed on to the server behind."""

import os

from onionskin import Proxy

proxy = Proxy(target=f"http://127.0.0.1:{os.environ['BEHIND']}", strip_prefix="/behind", pool=64)
