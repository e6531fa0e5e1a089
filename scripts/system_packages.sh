#!/bin/sh
# Check for the Debian or Ubuntu packages that pip cannot bring, and install what is missing when this account may.
# Usage: system_packages.sh PYTHON PACKAGE...   Exit 0: go on. Exit 1: something is missing; the last lines say what to run.
set -eu
python=$1
shift

if ! command -v "$python" >/dev/null 2>&1; then
    echo "error: no '$python' found. Install Python 3.10 or newer: apt-get install python3 python3-venv," >&2
    echo "       or name another interpreter: make PYTHON=/path/to/python3 ..." >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "error: $("$python" --version) is too old, 3.10 or newer is needed; name another: make PYTHON=python3.11 ..." >&2
    exit 1
fi

wanted="$*"
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    wanted="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])') $wanted"
fi
[ -n "$wanted" ] || exit 0

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "note: this is not Debian or Ubuntu. If rendering fails, install what corresponds to: $wanted" >&2
    exit 0
fi

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for package in $wanted; do
    is_installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "system packages missing:$missing"

root=
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "error: installing them needs root. Run:" >&2
        echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
        echo "or, to go on without them (rendering may fail): make SYSTEM_PACKAGES= ..." >&2
        exit 1
    fi
    root="sudo -n"
fi

# A fresh machine has no package lists, or lists whose files have gone from the mirrors.
$root apt-get update -q
available=
for package in $missing; do
    if apt-cache show "$package" >/dev/null 2>&1; then
        available="$available $package"
    else
        echo "note: this release does not offer $package; going on without it" >&2
    fi
done
[ -z "$available" ] || $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $available
