#!/bin/sh
# A minute of bytes that nobody would write, through what parses the bytes of clients. Part of `make check`.
set -eu

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo 'fuzz: NOT run: there is no nightly toolchain (rustup toolchain install nightly)' >&2
    exit "${CHECK_ALL:-0}"
fi
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo 'fuzz: NOT run: cargo-fuzz is missing (cargo install --locked cargo-fuzz)' >&2
    exit "${CHECK_ALL:-0}"
fi
# The targets share the time.
targets=$(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v '^fuzz$')
seconds=$((${FUZZ_SECONDS:-60} / $(echo "$targets" | wc -l)))
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for target in $targets; do
    echo "fuzz: $target, $seconds s"
    mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target"
    # All that it prints, hundreds of lines, is shown only when it found something.
    if ! cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -verbosity=0 -print_funcs=0 -print_final_stats=1 >"$log" 2>&1; then
        cat "$log"
        exit 1
    fi
    sed -n 's/^stat::number_of_executed_units: */  inputs: /p' "$log"
done
