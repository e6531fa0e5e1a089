"""The extras. Everything else about the distribution is in pyproject.toml; the extra `ros` needs the address of a folder here."""

from pathlib import Path

from setuptools import setup

# A wheel of its own: who does not ask for `ros` needs neither cmake nor a compiler, and gets a wheel of pure Python.
MESSAGES = Path(__file__).resolve().parent / "ros_messages"

MODEL = [
    "torch>=2.8,<3",
    "diffusers>=0.42,<0.43",
    "transformers>=5.20,<6",
    "accelerate>=1.15,<2",
    "huggingface_hub>=1.0,<3",
    "safetensors>=0.8,<1",
    "tokenizers>=0.22,<0.24",
    "sentencepiece>=0.2,<0.3",
    "einops>=0.8,<1",
]
SIM = ["mujoco>=4.0,<5"]
# Only where no ROS 2 distribution is sourced: Jazzy's wheels (Linux on x86-64), which must be pinned as one set.
ROS = [
    f"syncmv4d-msgs @ {MESSAGES.as_uri()}",
    "ros-jazzy-rclpy==7.1.6",
    "ros-rclpy[fastrtps]==7.1.6",
    "ros-jazzy-std-msgs==5.3.6",
    "ros-jazzy-sensor-msgs==5.3.6",
    "ros-jazzy-geometry-msgs==5.3.6",
    "ros-jazzy-nav-msgs==5.3.6",
    "ros-jazzy-visualization-msgs==5.3.6",
    "ros-jazzy-diagnostic-msgs==5.3.6",
]
ROSBAGS = "rosbags>=0.11,<0.12"
EVAL = ["matplotlib>=3.9,<4", ROSBAGS]
CLUSTER = ["ray>=2.50,<3"]
VIEWER = ["rerun-sdk>=0.40,<0.42"]
TEST = [
    "beartype>=0.22,<0.24",
    "hypothesis>=6.150,<7",
    "pytest>=9.0,<10",
    "pytest-xdist>=3.8,<4",
    "websockets>=15,<18",  # drives a browser, where one is installed
    ROSBAGS,
]
DEV = [
    *TEST,
    "pre-commit>=4.0,<5",
    "pyright[nodejs]>=1.1.400,<2",
    "ruff>=0.17,<0.18",
    # the other executor of the submanifold convolution; built for these Pythons only
    "spconv>=2.3.8,<2.4; platform_machine == 'x86_64' and python_version < '3.12'",
]

setup(
    extras_require={
        "model": MODEL,
        "sim": SIM,
        "ros": ROS,
        "eval": EVAL,
        "viewer": VIEWER,
        "cluster": CLUSTER,
        "test": TEST,
        "dev": DEV,
        # what the tests need; ros is apart, as a sourced distribution brings its own
        "all": [*MODEL, *SIM, *EVAL, *CLUSTER, *DEV],
    }
)
