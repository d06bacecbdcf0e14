#!/bin/sh
# A wheel in release mode, compiled by a profile of the extension under load where that can be had: a fifth fewer
# instructions of ours a request.
#
#     tools/wheel.sh .venv/bin --out dist ...    # the folder of maturin and of the Python to build for; maturin's options
#
# With PROFILE=no it is compiled without, in a third of the time. With PROFILE=quick it is not optimised across crates
# either, as `make serve` compiles it: to check the wheel, not to serve with.
set -eu

bin=$1
shift
optimised=--release
if [ "${PROFILE:-}" = quick ]; then
    optimised='--profile quick'
elif [ "${PROFILE:-}" != no ]; then
    profile=$(sh tools/profile.sh "$bin")
    if [ -n "$profile" ]; then
        RUSTFLAGS="${RUSTFLAGS:-} -Cprofile-use=$profile"
        export RUSTFLAGS
        set -- --target-dir target/profiled "$@"
    fi
fi
# shellcheck disable=SC2086 # two words
exec "$bin/maturin" build --quiet $optimised --interpreter "$bin/python" "$@"
