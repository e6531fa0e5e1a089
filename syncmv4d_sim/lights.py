"""Where a scene's light comes from. Colours in 0..1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import mujoco
import numpy as np
from jaxtyping import Float

from syncmv4d_sim.families import Range, draw_family

SOFT_SPREAD = 0.09  # of the two lights that together give a soft shadow, to either side
EXPOSURE = (0.78, 1.15)  # brightness of a white table in the middle
SHARES = {"sun": 1.2, "window": 0.7}  # each shadow is one more pass of the renderer
WARM, COLD = np.array([1.0, 0.82, 0.6]), np.array([0.78, 0.9, 1.0])


@dataclass(frozen=True)
class Light:
    """One source; a spot shines from `position`, a directional one from infinitely far behind it."""

    kind: Literal["directional", "spot"]
    position: Float[np.ndarray, "3"]
    direction: Float[np.ndarray, "3"]  # from the light into the scene, unit
    rgb: Float[np.ndarray, "3"]
    casts_shadow: bool = True


@dataclass(frozen=True)
class Lighting:
    """All of a scene's light."""

    family: str
    lights: tuple[Light, ...]
    ambient_rgb: Float[np.ndarray, "3"]
    frontal: float  # from the first camera's side


def sample_lighting(rng: np.random.Generator, look: Range) -> Lighting:
    """One of the families."""
    family = draw_family("light", rng, look, weights=SHARES)
    lights = _FAMILIES[family](rng)
    direct = sum(float(light.rgb.mean() * -light.direction[2]) for light in lights)
    ambient = direct * rng.uniform(0.5, 1.1) * _tint(rng, 0.06)
    exposure = rng.uniform(*EXPOSURE) / (direct + float(ambient.mean()))
    lights = [replace(light, rgb=light.rgb * exposure) for light in lights]
    return Lighting(family, tuple(lights), ambient * exposure, float(rng.uniform(0.0, 0.15)))


def add_lighting(spec: mujoco.MjSpec, lighting: Lighting, *, shadow_px: int) -> None:
    """Add the lights, named "light_<i>", and the light that is everywhere."""
    spec.visual.headlight.ambient = lighting.ambient_rgb
    spec.visual.headlight.diffuse = np.full(3, lighting.frontal)
    spec.visual.headlight.specular = np.full(3, 0.05)
    spec.visual.quality.shadowsize = shadow_px
    kinds = {"directional": mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, "spot": mujoco.mjtLightType.mjLIGHT_SPOT}
    for i, light in enumerate(lighting.lights):
        added = spec.worldbody.add_light(
            name=f"light_{i}",
            type=kinds[light.kind],
            pos=light.position,
            dir=light.direction,
            diffuse=light.rgb,
            specular=0.4 * light.rgb,
            castshadow=light.casts_shadow,
        )
        if light.kind == "spot":
            added.cutoff, added.exponent = 60.0, 4.0


def _tint(rng: np.random.Generator, amount: float) -> Float[np.ndarray, "3"]:
    warmth = rng.uniform(-amount, amount)
    return np.array([1 + warmth, 1.0, 1 - warmth])


def _directional(slope: float, azimuth: float, rgb: Float[np.ndarray, "3"], *, casts_shadow: bool = True) -> Light:
    """`slope` is the horizontal part of the way, for a vertical part of 1."""
    direction = np.array([slope * np.cos(azimuth), slope * np.sin(azimuth), -1.0])
    direction /= np.linalg.norm(direction)
    return Light("directional", -1.5 * direction, direction, rgb, casts_shadow)


def _spot(rng: np.random.Generator, rgb: Float[np.ndarray, "3"]) -> Light:
    azimuth, away = rng.uniform(-np.pi, np.pi), rng.uniform(0.2, 0.8)
    position = np.array([away * np.cos(azimuth), away * np.sin(azimuth), rng.uniform(0.8, 1.4)])
    direction = np.array([*rng.uniform(-0.08, 0.08, 2), 0.05]) - position
    return Light("spot", position, direction / np.linalg.norm(direction), rgb)


def _sun(rng: np.random.Generator) -> list[Light]:
    rgb = rng.uniform(0.5, 0.85) * _tint(rng, 0.1)
    lights = [_directional(rng.uniform(0.15, 0.9), rng.uniform(-np.pi, np.pi), rgb)]
    if rng.random() < 0.5:
        fill = rng.uniform(0.1, 0.25) * _tint(rng, 0.15)
        lights.append(_directional(rng.uniform(0.3, 1.2), rng.uniform(-np.pi, np.pi), fill, casts_shadow=False))
    return lights


def _window(rng: np.random.Generator) -> list[Light]:
    """A wide source: two lights beside each other, whose shadows overlap."""
    rgb, slope, azimuth = rng.uniform(0.27, 0.43) * _tint(rng, 0.12), rng.uniform(0.2, 0.8), rng.uniform(-np.pi, np.pi)
    spread = rng.uniform(0.5, 1) * SOFT_SPREAD
    return [_directional(slope + o / 2, azimuth + o / max(slope, 0.4), rgb) for o in (-spread, spread)]


def _lamp(rng: np.random.Generator) -> list[Light]:
    tone = WARM + (COLD - WARM) * rng.uniform(0, 0.8)
    fill = rng.uniform(0.1, 0.25) * _tint(rng, 0.1)
    return [
        _spot(rng, rng.uniform(0.6, 0.95) * tone),
        _directional(rng.uniform(0.1, 0.8), rng.uniform(-np.pi, np.pi), fill, casts_shadow=False),
    ]


def _overcast(rng: np.random.Generator) -> list[Light]:
    """From many sides, without a shadow."""
    count, tone = int(rng.integers(1, 4)), rng.uniform(0.5, 0.8) * _tint(rng, 0.08)
    shares = rng.dirichlet(np.full(count, 3.0))
    return [
        _directional(rng.uniform(0.1, 0.9), rng.uniform(-np.pi, np.pi), tone * share, casts_shadow=False)
        for share in shares
    ]


def _low_sun(rng: np.random.Generator) -> list[Light]:
    """Long shadows, warm light."""
    tone = 0.5 * (WARM + 1) * rng.uniform(0.7, 0.9)
    return [_directional(rng.uniform(1.3, 2.2), rng.uniform(-np.pi, np.pi), tone)]


def _two_lamps(rng: np.random.Generator) -> list[Light]:
    """A warm one and a cold one."""
    return [_spot(rng, rng.uniform(0.45, 0.7) * WARM), _spot(rng, rng.uniform(0.35, 0.6) * COLD)]


_FAMILIES: dict[str, Callable[[np.random.Generator], list[Light]]] = {
    "sun": _sun, "window": _window, "lamp": _lamp, "overcast": _overcast, "low_sun": _low_sun, "two_lamps": _two_lamps,
}  # fmt: skip
