"""Builds the repository's CMakeLists.txt against the ROS 2 wheels, and packs the messages and the share folder as a wheel."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build import build

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent
SHARED = ("ament_index", "syncmv4d/msg", "syncmv4d/action", "syncmv4d/config", "syncmv4d/launch")
"""Folders of share/ that somebody reads; the others serve to build against the package."""


def install_with_cmake(target: Path) -> None:
    """Configure, build and install the ament package into a folder."""
    # imported here: pip asks for the build requirements before it has installed them
    import ament_package

    if not (PACKAGE / "CMakeLists.txt").is_file():
        sys.exit(f"error: no CMakeLists.txt in {PACKAGE}: the messages are built in a checkout, by pip 21.3 or newer")
    if not any(shutil.which(compiler) for compiler in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        sys.exit("error: the messages need a C++ compiler: apt-get install g++")
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        sys.exit(f"error: no Python.h: apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-dev")

    # where pip put the ROS wheels: in an isolated build this is not sys.prefix
    prefix = str(Path(ament_package.__file__).parents[4])
    environment = {**os.environ, "AMENT_PREFIX_PATH": prefix, "CMAKE_PREFIX_PATH": prefix}
    if shutil.which("ninja"):
        environment.setdefault("CMAKE_GENERATOR", "Ninja")
    with tempfile.TemporaryDirectory() as folder:
        definitions = {
            "BUILD_TESTING": "OFF",
            "CMAKE_BUILD_TYPE": "Release",
            "CMAKE_INSTALL_PREFIX": target,
            "CMAKE_POLICY_VERSION_MINIMUM": "3.5",  # some of the wheels' cmake files are older than CMake 4 takes
            "CMAKE_PROJECT_INCLUDE": HERE / "imported_targets.cmake",
            "Python3_EXECUTABLE": sys.executable,
        }
        configure = ["cmake", "-S", PACKAGE, "-B", folder, "--no-warn-unused-cli"]
        configure += [f"-D{name}={value}" for name, value in definitions.items()]
        subprocess.run(configure, check=True, env=environment)
        subprocess.run(["cmake", "--build", folder, "--parallel", "--target", "install"], check=True, env=environment)


class BuildMessages(build):
    """Puts the generated Python package into the wheel, and libraries and share folder into its data."""

    def run(self) -> None:
        installed = Path(self.build_base).resolve() / "installed"
        for stale in (installed, Path(self.build_lib)):
            shutil.rmtree(stale, ignore_errors=True)
        install_with_cmake(installed)

        (package,) = installed.glob("lib/python*/site-packages/syncmv4d")
        shutil.copytree(package, Path(self.build_lib) / "syncmv4d", ignore=shutil.ignore_patterns("__pycache__", "*.c"))
        files = [path for path in installed.glob("lib/*.so") if path.is_file()]
        files += [path for folder in SHARED for path in (installed / "share" / folder).rglob("*") if path.is_file()]
        files.append(installed / "share/syncmv4d/package.xml")
        self.distribution.data_files = [
            (str(path.parent.relative_to(installed)), [os.path.relpath(path, HERE)]) for path in files
        ]


class PlatformDistribution(Distribution):
    """The wheel holds compiled code."""

    def has_ext_modules(self) -> bool:
        return True


build_tools = [] if shutil.which("cmake") else ["cmake>=3.22,<4"]
if not shutil.which("make") and not shutil.which("ninja"):
    build_tools.append("ninja")

setup(
    distclass=PlatformDistribution,
    cmdclass={"build": BuildMessages},
    packages=[],
    setup_requires=build_tools,
)
