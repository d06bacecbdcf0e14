"""An application that passes everything on to ``TARGET``, for servers of every kind.

It has asked the target once before a server forks: nothing of that may reach the workers.
"""

from __future__ import annotations

import os

from onionskin import Proxy
from support.wsgi import run

application = Proxy(target=os.environ["TARGET"])
asked_before_the_fork = run(application).status
