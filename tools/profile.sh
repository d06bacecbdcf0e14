#!/bin/sh
# Has the compiler told what is hot: builds the extension so that it counts, puts it under the load of training.py, and
# prints the path of the profile. Prints nothing but a reason, on stderr, where that cannot be done.
#
#     profile=$(tools/profile.sh .venv/bin)    # the folder of maturin and of the Python to build for
#
# Made anew when something that goes into the extension is newer.
set -eu

bin=$1
folder=$PWD/target/profile
profile=$folder/onionskin.profdata

# LLVM's tool reads the profiles of its own version and of older ones: rustup's is always of the right one.
find_tool() {
    host=$(rustc -vV | sed -n 's/^host: //p')
    own=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
    [ -x "$own" ] && echo "$own" || command -v llvm-profdata
}

if ! tool=$(find_tool); then
    echo "no profile: there is no llvm-profdata here (rustup component add llvm-tools)" >&2
    exit 0
fi
if [ -e "$profile" ] && [ -z "$(find crates python tools/training.py Cargo.lock Cargo.toml -type f -newer "$profile" \
    ! -name '*.so' ! -name '*.pyc')" ]; then
    echo "$profile"
    exit 0
fi

echo "building with counters, and training" >&2
rm -rf "$folder/raw" "$folder/wheel" "$folder/site"
mkdir -p "$folder"
RUSTFLAGS="${RUSTFLAGS:-} -Cprofile-generate=$folder/raw" "$bin/maturin" build --quiet --release \
    --interpreter "$bin/python" --out "$folder/wheel" --target-dir target/counting
# What ran during the build (macros, build scripts) has counted too.
rm -rf "$folder/raw"
"$bin/python" -m zipfile -e "$folder"/wheel/*.whl "$folder/site"
PYTHONPATH=$folder/site "$bin/python" tools/training.py >&2
if ! "$tool" merge --output "$profile" "$folder"/raw; then
    echo "no profile: $tool cannot read what this rustc writes (rustup component add llvm-tools)" >&2
    exit 0
fi
echo "$profile"
