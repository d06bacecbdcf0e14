#!/bin/sh
# Where our server's CPU time goes: writes results/profile-hello.txt. Options: --server, --case, --seconds.
set -eu
cd "$(dirname "$0")"
exec python3 -m harness.profiling "$@"
