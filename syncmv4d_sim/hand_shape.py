"""The shape of a human right hand with forearm, and what it wears: numbers, and the mesh at rest that follows from them.

Palm frame: origin at the wrist, +x toward the thumb side, +y out of the palm, +z from the fingers toward the forearm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int32

from syncmv4d_sim.families import Range, draw_family
from syncmv4d_sim.textures import Colour

ASSET = Path(__file__).parent / "assets" / "hand.npz"
MEAN_LENGTH_M = 0.185  # wrist to middle fingertip of an average adult
SKIN_TONES = np.array(
    [[0.96, 0.80, 0.70], [0.87, 0.66, 0.52], [0.72, 0.50, 0.37], [0.50, 0.33, 0.23], [0.33, 0.21, 0.15]]
)
RADIUS_PERCENTILE = 45  # of the skin's distance from the bone; skin that bulges past its capsule looks pressed in
BONES_PER_VERTEX = 4  # kept for skinning
SHORT_ARM_SHARE = 0.2
COVER_WEIGHTS = {"bare": 2.0, "long_sleeve": 1.5}
CLOTH = {"weave": 4.0, "stripes": 2.0, "noise": 2.0, "label": 0.2, "photo": 0.3, "marble": 0.4, "brushed": 0.2}
COVER_START_M = {
    "bare": (0.0, 0.0), "long_sleeve": (0.012, 0.06), "cuffed": (0.012, 0.04), "short_sleeve": (0.12, 0.2),
    "glove": (0.025, 0.09), "gauntlet": (0.05, 0.07),
}  # fmt: skip


@dataclass(frozen=True)
class HandShape:
    """One person's hand. Blend weights are fractions of MakeHuman's shape targets."""

    scale: float = 1.0  # of MEAN_LENGTH_M
    female: float = 0.5
    african: float = 0.0
    asian: float = 0.0
    muscle: float = 0.0  # -1 slim .. 1 muscular
    finger_length: float = 0.0  # -1 short .. 1 long
    finger_thickness: float = 0.0  # -1 thin .. 1 thick
    skin_rgb: Colour = (0.87, 0.66, 0.52)
    skin: str = "smooth"  # family of its texture
    cover: str = "bare"  # family of what it wears
    cover_rgb: Colour = (0.3, 0.35, 0.5)
    cover_texture: str | None = None  # family; None is plain
    cover_start_m: float = 0.05  # from the wrist: where a sleeve begins, or a glove ends
    arm_m: float = 0.0  # drawn beyond the elbow; 0 ends as the mesh does, 24 cm behind the wrist
    elbow_rad: float = 0.0  # how far it bends there
    elbow_azimuth: float = 0.0  # bends to the back of the hand, or beside it: positive to the thumb's side
    seed: int = 0  # of textures and folds

    @property
    def families(self) -> frozenset[str]:
        """All that it was drawn from, as "kind/family"."""
        worn = [] if self.cover_texture is None else [f"texture/{self.cover_texture}"]
        return frozenset([f"skin/{self.skin}", f"cover/{self.cover}", *worn])

    @staticmethod
    def sample(rng: np.random.Generator, *, look: Range = "known") -> HandShape:
        """A random adult's hand: lengths 0.167 to 0.203 m, any skin tone, bare or covered, a fifth without the rest of the arm."""
        tone = rng.uniform(0, len(SKIN_TONES) - 1)
        colour = [float(np.interp(tone, range(len(SKIN_TONES)), SKIN_TONES[:, c])) for c in range(3)]
        african, asian = rng.dirichlet([0.7, 0.7, 0.7])[:2]
        return HandShape(
            scale=float(rng.uniform(0.9, 1.1)),
            female=float(rng.uniform()),
            african=float(african),
            asian=float(asian),
            muscle=float(rng.uniform(-1, 1)),
            finger_length=float(rng.uniform(-1, 1)),
            finger_thickness=float(rng.uniform(-1, 1)),
            skin_rgb=(colour[0], colour[1], colour[2]),
            **_sample_cover(rng, look),
        )

    def target_weights(self) -> Mapping[str, float]:
        """Weight of each blend shape of the asset."""
        european = max(0.0, 1.0 - self.african - self.asian)
        return {
            "female": european * self.female,
            "male": european * (1 - self.female),
            "african": self.african,
            "asian": self.asian,
            "muscular": max(0.0, self.muscle),
            "slim": max(0.0, -self.muscle),
            "fingers_longer": 0.3 * max(0.0, self.finger_length),
            "fingers_shorter": 0.8 * max(0.0, -self.finger_length),
            "fingers_thicker": max(0.0, self.finger_thickness),
            "fingers_thinner": max(0.0, -self.finger_thickness),
        }


def _sample_cover(rng: np.random.Generator, look: Range) -> dict[str, Any]:
    """The fields of HandShape that say what is seen of skin, clothes and arm."""
    cover = draw_family("cover", rng, look, weights=COVER_WEIGHTS)
    value, tint = rng.uniform(0.06, 0.92), rng.uniform(-1, 1, 3)
    red, green, blue = np.clip(value + rng.uniform(0, 0.4) * tint * min(value + 0.1, 0.6), 0.03, 0.97)
    is_short = cover in ("bare", "glove") and rng.random() < SHORT_ARM_SHARE * 2.2
    return {
        "skin": draw_family("skin", rng, look),
        "cover": cover,
        "cover_rgb": (float(red), float(green), float(blue)),
        "cover_texture": draw_family("texture", rng, look, weights=CLOTH) if rng.random() < 0.5 else None,
        "cover_start_m": float(rng.uniform(*COVER_START_M[cover])),
        "arm_m": 0.0 if is_short else float(rng.uniform(0.16, 0.3)),
        "elbow_rad": float(rng.uniform(0.0, 0.65)),
        "elbow_azimuth": float(rng.uniform(-1.0, 1.0)),
        "seed": int(rng.integers(2**31)),
    }


@dataclass(frozen=True)
class HandGeometry:
    """A shaped hand at rest, in the palm frame (m). Bones: palm, forearm, then three per finger from thumb to pinky."""

    vertices: Float32[np.ndarray, "P 3"]
    faces: Int32[np.ndarray, "F 3"]
    weights: Float32[np.ndarray, "P 17"]
    heads: Float[np.ndarray, "17 3"]
    tails: Float[np.ndarray, "17 3"]
    radii: Float[np.ndarray, "17"]  # capsule radius per bone


@lru_cache(maxsize=1)
def _asset() -> dict[str, np.ndarray]:
    with np.load(ASSET) as arrays:
        return {name: arrays[name] for name in arrays.files}


@lru_cache(maxsize=32)
def hand_geometry(shape: HandShape) -> HandGeometry:
    """Blend the shape targets, then move the hand into the palm frame at its size."""
    asset = _asset()
    amounts = np.array([shape.target_weights()[name] for name in asset["target_names"]])
    vertices = asset["vertices"] + np.tensordot(amounts, asset["target_vertices"], axes=1)
    ends = asset["bone_ends"] + np.tensordot(amounts, asset["target_bone_ends"], axes=1)

    wrist = ends[0, 0]
    index, middle, pinky = (ends[2 + 3 * finger, 0] for finger in (1, 2, 4))
    z = (wrist - middle) / np.linalg.norm(wrist - middle)
    x = index - pinky
    x -= (x @ z) * z
    x /= np.linalg.norm(x)
    palm_from_mesh = np.stack([x, np.cross(z, x), z])
    finger = ends[8:11]  # the middle finger: wrist to knuckle, then its three bones
    length = np.linalg.norm(middle - wrist) + np.linalg.norm(finger[:, 1] - finger[:, 0], axis=-1).sum()
    size = shape.scale * MEAN_LENGTH_M / length
    vertices = (vertices - wrist) @ palm_from_mesh.T * size
    ends = (ends - wrist) @ palm_from_mesh.T * size

    weights = _strongest_weights(asset["weights"])
    heads, tails = ends[:, 0], ends[:, 1]
    radii = np.array(
        [_capsule_radius(vertices[weights.argmax(1) == bone], heads[bone], tails[bone]) for bone in range(17)]
    )
    return HandGeometry(vertices.astype(np.float32), asset["faces"], weights, heads, tails, radii)


def _strongest_weights(weights: np.ndarray) -> np.ndarray:
    kept = np.where(weights >= np.sort(weights, axis=1)[:, -BONES_PER_VERTEX, None], weights, 0)
    return (kept / kept.sum(1, keepdims=True)).astype(np.float32)


def _capsule_radius(points: np.ndarray, head: np.ndarray, tail: np.ndarray) -> float:
    along = np.clip((points - head) @ (tail - head) / np.sum((tail - head) ** 2), 0, 1)
    distance = np.linalg.norm(points - head - along[:, None] * (tail - head), axis=-1)
    return float(np.percentile(distance, RADIUS_PERCENTILE))
