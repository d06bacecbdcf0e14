"""What servers are given: the scripted application, bare, in each layer, and in nests of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doors.scripted import application
from doors.stacks import LOCAL, STACKS
from onionskin import AllowAddresses, Onion, RequestId

if TYPE_CHECKING:
    from collections.abc import Iterable


def python_middleware(app: Any) -> Any:
    """Middleware of the most ordinary kind."""

    def around(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["tests.between"] = environ.get("onionskin.request_id", "no id yet")
        return app(environ, start_response)

    return around


bare = application
writing = application
layered = AllowAddresses(RequestId(application, trust_inbound=True), LOCAL)
written = AllowAddresses(RequestId(application, trust_inbound=True), LOCAL)
untrusting = RequestId(application)
guarded = AllowAddresses(application, [], match={"path": "/refused"})
onion = Onion(RequestId(trust_inbound=True), python_middleware, AllowAddresses(allowed_addresses=LOCAL))
nest = onion(application)

# And `doors.served:NAME` for each stack by its name. No `__getattr__`: uWSGI looks into the module's dict.
globals().update({name: stack.around(application) for name, stack in STACKS.items()})
