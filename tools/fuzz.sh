#!/bin/sh
# A minute of bytes that nobody would write, through the request parser. Part of `make check`.
set -eu

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo 'fuzz: NOT run: there is no nightly toolchain (rustup toolchain install nightly)' >&2
    exit "${CHECK_ALL:-0}"
fi
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo 'fuzz: NOT run: cargo-fuzz is missing (cargo install --locked cargo-fuzz)' >&2
    exit "${CHECK_ALL:-0}"
fi
mkdir -p fuzz/corpus/request
exec cargo +nightly fuzz run request fuzz/corpus/request fuzz/seeds/request -- \
    -max_total_time="${FUZZ_SECONDS:-60}" -verbosity=0 -print_funcs=0 -print_final_stats=1
