#!/bin/sh
# What the house is built of, held against deny.toml. Part of `make check`.
set -eu

if ! cargo deny --version >/dev/null 2>&1; then
    echo 'dependencies: NOT checked: cargo-deny is missing (cargo install --locked cargo-deny)' >&2
    exit "${CHECK_ALL:-0}"
fi
cargo deny check bans licenses sources
if timeout 60 cargo deny fetch db >/dev/null 2>&1; then
    cargo deny check advisories
else
    echo 'dependencies: advisories NOT checked: the RustSec database cannot be fetched from here' >&2
fi
