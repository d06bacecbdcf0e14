#!/bin/sh
# Runs the tests marked `smoke` on the other versions of CPython, with a wheel built for each. Part of `make check`.
#
#     tools/smoke.sh .venv/bin    # the version there has run the whole suite: it is left out
#
# Versions that this machine lacks run in a root of Debian sid (tools/sid.sh) where root can make one. With
# CHECK_ALL=1, a version that cannot be run is a failure.
set -eu

bin=$1
versions=${SMOKE_VERSIONS:-3.10 3.11 3.12 3.13 3.14 3.15}
in_sid='3.14 3.15'
whole=$("$bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# Prints the interpreter of a version: pyenv's, or the one on PATH (where pyenv's shim may lead nowhere).
find_python() {
    for python in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python "python$1"; do
        if "$python" -c '' >/dev/null 2>&1; then
            command -v "$python"
            return
        fi
    done
}

# Succeeds if a file is missing or something that goes into the wheel is newer.
is_stale() {
    [ ! -e "$1" ] || [ -n "$(find crates python Cargo.lock pyproject.toml -type f -newer "$1" \
        ! -name '*.so' ! -name '*.pyc')" ]
}

# Builds and installs the wheel, and runs the tests. $1 is the version, $2 its interpreter, $3 the command that enters
# the root that has it, or nothing.
smoke() {
    venv=.venvs/$1
    [ -e "$venv/bin/python" ] || $3 "$2" -m venv "$venv"
    pip="$3 $venv/bin/python -m pip install --quiet --disable-pip-version-check"
    if [ ! -e "$venv/.tests" ] || [ tests/requirements.txt -nt "$venv/.tests" ]; then
        $pip --constraint tools/requirements.txt maturin
        $pip --requirement tests/requirements.txt
        touch "$venv/.tests"
    fi
    if is_stale "$venv/.wheel"; then
        rm -rf "$venv/dist"
        # Not optimised, which takes minutes, and with the assertions of a debug build: this tests the other versions of
        # CPython. The root has a newer C library, so what is compiled there is kept apart.
        $3 "$venv/bin/maturin" build --quiet --interpreter "$venv/bin/python" --out "$venv/dist" \
            --target-dir "target${3:+/smoke-sid}"
        $pip --force-reinstall "$venv"/dist/*.whl
        touch "$venv/.wheel"
    fi
    $3 "$venv/bin/python" -m pytest --quiet -m smoke
}

status=0
for version in $versions; do
    [ "$version" = "$whole" ] && continue
    python=$(find_python "$version")
    within=
    if [ -z "$python" ] && [ "${in_sid#*"$version"}" != "$in_sid" ] && tools/sid.sh "python$version" -c ''; then
        python=python$version
        within=tools/sid.sh
    fi
    if [ -z "$python" ]; then
        echo "smoke: NOT run on CPython $version: no interpreter found (pyenv install $version)" >&2
        [ -z "${CHECK_ALL:-}" ] || status=1
        continue
    fi
    echo "smoke: CPython $version ($within${within:+ }$python)"
    # `set -e` has no effect in a command before `||`, so the status is taken in two steps.
    set +e
    (set -e && smoke "$version" "$python" "$within")
    [ $? = 0 ] || status=1
    set -e
done
exit $status
