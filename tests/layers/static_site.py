"""The folder ``$STATIC_ROOT`` as an application by itself, for servers in processes of their own."""

from __future__ import annotations

import os

from onionskin import StaticFiles

application = StaticFiles(os.environ["STATIC_ROOT"], recheck="0s")
