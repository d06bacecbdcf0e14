#!/bin/sh
# Runs a command in a root of Debian sid, which has the versions of CPython that are newer than this machine's.
#
#     tools/sid.sh python3.15 --version
#
# Their packages need a newer C library than a stable Debian has, so they cannot be installed beside it. The root is
# made by debootstrap on first use and kept in ~/.cache/onionskin/sid (SID_ROOT=folder for another one; delete it for
# newer packages). The repository, Rust and Cargo's downloads are mounted at the same paths as outside. Needs root.
set -eu

root=${SID_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/onionskin/sid}
mirror=${SID_MIRROR:-http://deb.debian.org/debian}
packages='python3.14-venv python3.14-dev python3.15-venv python3.15-dev gcc libc6-dev libcrypt-dev curl openssl'
cargo=${CARGO_HOME:-$HOME/.cargo}
rustup=${RUSTUP_HOME:-$HOME/.rustup}

if [ "$(id -u)" != 0 ]; then
    echo 'sid: mounting and chroot need root' >&2
    exit 1
fi
if ! command -v debootstrap >/dev/null; then
    echo 'sid: debootstrap is missing (apt-get install debootstrap)' >&2
    exit 1
fi

# Made in a folder of its own, so that an interrupted run leaves no half-made root.
if [ "$(cat "$root/.packages" 2>/dev/null)" != "$packages" ]; then
    rm -rf "$root" "$root.new"
    mkdir -p "$root.new"
    debootstrap --variant=minbase --include=ca-certificates sid "$root.new" "$mirror" >"$root.log" 2>&1 || {
        tail -n 5 "$root.log" >&2
        exit 1
    }
    # A mirror may be older than the release file allows. The signatures are verified all the same.
    echo 'Acquire::Check-Valid-Until "false";' >"$root.new/etc/apt/apt.conf.d/90mirror"
    cp /etc/resolv.conf "$root.new/etc/resolv.conf"
    # shellcheck disable=SC2086 # one word a package
    DEBIAN_FRONTEND=noninteractive chroot "$root.new" sh -c \
        'apt-get update -qq && apt-get install -qq --no-install-recommends "$@" && apt-get clean' sh $packages \
        >"$root.log" 2>&1 || {
        tail -n 5 "$root.log" >&2
        exit 1
    }
    echo "$packages" >"$root.new/.packages"
    mv "$root.new" "$root"
fi

# It trusts the certificates that this machine trusts, and resolves names as it does.
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
cp /etc/resolv.conf "$root/etc/resolv.conf"
mkdir -p "$root$PWD" "$root$cargo" "$root$rustup"

# The mounts are this command's own: they end with it, however it ends.
export root cargo rustup
exec unshare --mount sh -c '
    set -eu
    for path in /proc /dev "$PWD" "$cargo" "$rustup"; do mount --rbind "$path" "$root$path"; done
    exec chroot "$root" env --chdir="$PWD" PATH="$cargo/bin:/usr/bin:/bin:/usr/sbin:/sbin" "$@"
' sh "$@"
