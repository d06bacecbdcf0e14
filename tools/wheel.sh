#!/bin/sh
# A wheel in release mode, compiled by a profile of the extension under load where that can be had: a fifth fewer
# instructions of ours a request.
#
#     tools/wheel.sh .venv/bin --out dist ...    # the folder of maturin and of the Python to build for; maturin's options
#
# With PROFILE=no it is compiled without, in a third of the time.
set -eu

bin=$1
shift
if [ "${PROFILE:-}" != no ]; then
    profile=$(sh tools/profile.sh "$bin")
    if [ -n "$profile" ]; then
        RUSTFLAGS="${RUSTFLAGS:-} -Cprofile-use=$profile"
        export RUSTFLAGS
        set -- --target-dir target/profiled "$@"
    fi
fi
exec "$bin/maturin" build --quiet --release --interpreter "$bin/python" "$@"
