"""Uses of onionskin that type checkers reject, each on a line marked ``# wrong``.

Read by test_typing.py, never run.
"""

from onionskin import AllowAddresses, Mount, Proxy, Session, StaticFiles, serve

Session(secret="one string, not a list of them", idle=None)  # wrong
AllowAddresses()  # wrong
AllowAddresses(allowed_addresses=[1])  # wrong
Mount()  # wrong
Proxy()  # wrong
StaticFiles()  # wrong
StaticFiles("static", roots="static")  # wrong
serve("package.module:hello", worker=2)  # wrong
serve("package.module:hello", http2="yes")  # wrong
serve("package.module:hello", error_log_format="xml")  # wrong
