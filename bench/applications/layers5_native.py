"""Five layers of ours around `hello`: request id, headers, errors, addresses, prefixes, as in layers5.

The id comes without a W3C trace context, which the one of layers5 doesn't make either.
"""

from apps import hello
from guarded import ALLOWED

# isort: split
from onionskin import AllowAddresses, Errors, Headers, Mount, RequestId

SECURITY = {"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff"}

app = Mount({"/api": hello, "/admin": hello})
app = AllowAddresses(app, [*ALLOWED, "127.0.0.1"])
app = Errors(app)
app = Headers(app, response={"set": SECURITY})
app = RequestId(app, traceparent=False)
