"""`hello` behind a Mount of few and of many routes."""

from apps import hello

# isort: split
from onionskin import Mount

three = Mount({"/api": hello, "/admin": hello, "/shop/cart": hello})
many = Mount({"/api": hello, **{f"/tenants/{number}/shop": hello for number in range(2_999)}})
