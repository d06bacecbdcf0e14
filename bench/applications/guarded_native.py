"""The address check as our native layer, around the same application and with the same list."""

from apps import hello
from guarded import ALLOWED

# isort: split
from onionskin import AllowAddresses

deny = AllowAddresses(hello, ALLOWED)
