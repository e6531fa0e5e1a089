#!/bin/sh
# Make an environment with ROS 2, or add ROS 2 to one, by the one command that users are told: pip install '.[ros]'.
# Usage: ros_environment.sh PYTHON VENV EXTRAS
# Where that cannot work on this machine, VENV/.why-not holds the reason and the exit status is 0; a failed build is an error.
set -eu
python=$1
venv=$2
extras=$3
here=$(dirname "$0")

give_up() {
    echo "$1" > "$venv/.why-not"
    echo "note: no ROS 2 here: $1"
    exit 0
}

# Another PYTHON makes a new environment.
which_python='import sys; print(sys.base_prefix, sys.version)'
[ "$("$python" -c "$which_python")" = "$("$venv/bin/python" -c "$which_python" 2>/dev/null)" ] || "$python" -m venv --clear "$venv"
rm -f "$venv/.why-not"
pip="$venv/bin/python -m pip --disable-pip-version-check"

# The wheels alone first: where there are none for this Python and machine, that is no error of ours.
pinned=$(sed -n 's/^ *"\(ros-jazzy-rclpy==[^"]*\)".*/\1/p' "$here/../ros_messages/pyproject.toml" | head -n 1)
$pip install -q --only-binary ros-rclpy "$pinned" 2> "$venv/pip.log" \
    || give_up "pip has no $pinned for $("$python" --version) on $(uname -sm): $(grep '^ERROR' "$venv/pip.log" | tail -n 1)"

needed=
command -v c++ >/dev/null 2>&1 || needed="g++"
"$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
    || needed="$needed $("$python" -c 'import sys; print("python%d.%d-dev" % sys.version_info[:2])')"
[ -z "$needed" ] || "$here/system_packages.sh" "$python" $needed || give_up "the messages cannot be built without $needed"

cd "$here/.."
$pip install -e ".[$extras]"
