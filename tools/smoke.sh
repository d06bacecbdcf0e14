#!/bin/sh
# The house on the other Pythons: a wheel for each, and the tests that are marked `smoke`. Part of `make check`.
#
#     tools/smoke.sh .venv/bin    # the Python there has had the whole suite: it is left out
#
# With CHECK_ALL=1, a Python that is not found is a failure.
set -eu

bin=$1
versions='3.10 3.11 3.12 3.13'
whole=$("$bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# The interpreter of a version: of pyenv, or on the path (where pyenv's shim may not lead anywhere).
find_python() {
    for python in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python "python$1"; do
        if "$python" -c '' >/dev/null 2>&1; then
            command -v "$python"
            return
        fi
    done
}

# A wheel is built again when something that goes into it is newer.
is_stale() {
    [ ! -e "$1" ] || [ -n "$(find crates python Cargo.lock pyproject.toml -type f -newer "$1" \
        ! -name '*.so' ! -name '*.pyc')" ]
}

status=0
for version in $versions; do
    [ "$version" = "$whole" ] && continue
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "smoke: NOT run on CPython $version: there is none here (pyenv install $version)" >&2
        [ -z "${CHECK_ALL:-}" ] || status=1
        continue
    fi
    venv=.venvs/$version
    echo "smoke: CPython $version ($python)"
    if is_stale "$venv/.wheel"; then
        mkdir -p "$venv" && rm -rf "$venv/dist"
        # In a target of its own: PyO3 is compiled anew for each version of Python. And not optimised as a whole, which
        # takes minutes: what is tested here are the other Pythons.
        export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
        "$bin/maturin" build --quiet --release --interpreter "$python" --out "$venv/dist" --target-dir target/smoke
        [ -e "$venv/bin/python" ] || "$python" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall "$venv"/dist/*.whl
        touch "$venv/.wheel"
    fi
    if [ ! -e "$venv/.tests" ] || [ tests/requirements.txt -nt "$venv/.tests" ]; then
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
        touch "$venv/.tests"
    fi
    "$venv/bin/python" -m pytest --quiet -m smoke || status=1
done
exit $status
