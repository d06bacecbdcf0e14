"""hello inside WhiteNoise: the same files as `static_native.py` has, from Python."""

from pathlib import Path

from apps import hello
from whitenoise import WhiteNoise

FILES = Path(__file__).parents[1] / "venv" / "work" / "static"

app = WhiteNoise(hello, root=FILES, prefix="static")
