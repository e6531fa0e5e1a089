"""Tools and targets: closed meshes of the sizes that they say, and collision primitives that fit them."""

import mujoco
import numpy as np
import pytest

from syncmv4d_model.geometry import transform
from syncmv4d_model.types import LABELS
from syncmv4d_sim.objects import TARGETS, TOOLS, CollisionPart, ObjectModel, add_object, with_colour
from syncmv4d_sim.targets import make_target
from syncmv4d_sim.tools import make_tool


def every_object(seed: int, *, novel: bool = False) -> list[ObjectModel]:
    rng = np.random.default_rng(seed)
    tools = [make_tool(name, rng, novel=novel) for name in TOOLS]
    return tools + [make_target(name, rng, novel=novel) for name in TARGETS]


def assert_closed_and_outward(model: ObjectModel) -> None:
    for part in model.parts:
        edges = np.concatenate([part.faces[:, [0, 1]], part.faces[:, [1, 2]], part.faces[:, [2, 0]]])
        directed = {tuple(edge) for edge in edges}
        assert all((b, a) in directed for a, b in directed), "an edge belongs to one face only"
        a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
        assert np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6 > 0, "the enclosed volume is negative"


def metres_outside(points: np.ndarray, part: CollisionPart) -> np.ndarray:
    """Of points, to a collision primitive; 0 inside."""
    x, y, z = transform(np.linalg.inv(part.body_from_part), points).T
    a, b, c = part.size
    if part.kind == "box":
        return np.linalg.norm(np.maximum(np.abs([x, y, z]).T - [a, b, c], 0), axis=1)
    if part.kind == "cylinder":
        return np.hypot(np.maximum(np.hypot(x, y) - a, 0), np.maximum(np.abs(z) - b, 0))
    if part.kind == "capsule":
        return np.maximum(np.sqrt(x**2 + y**2 + np.maximum(np.abs(z) - b, 0) ** 2) - a, 0)
    radii = np.array([a, b, c]) if part.kind == "ellipsoid" else np.full(3, a)
    scaled = np.linalg.norm(np.stack([x, y, z], -1) / radii, axis=1)
    return np.linalg.norm([x, y, z], axis=0) * np.maximum(1 - 1 / np.maximum(scaled, 1e-9), 0)


@pytest.mark.parametrize("look", ["known", "unseen"])
@pytest.mark.parametrize("name", TOOLS + TARGETS)
def test_each_family_is_closed_and_what_is_seen_stands_out_of_what_collides_by_millimetres_only(name, look):
    for seed in range(30):
        make = make_tool if name in TOOLS else make_target
        model = make(name, np.random.default_rng(seed), novel=False, look=look)
        assert_closed_and_outward(model)
        gaps = np.min([metres_outside(model.vertices, part) for part in model.collision], axis=0)
        assert np.percentile(gaps, 80) < 0.006, model.shapes
        assert gaps.max() < 0.03, model.shapes  # bolsters, claws


@pytest.mark.parametrize("model", every_object(1), ids=lambda model: model.name)
def test_each_object_compiles_with_its_mass_and_rests_or_is_held(model):
    spec = mujoco.MjSpec()
    add_object(spec, model, name="thing", world_from_body=np.eye(4), free=True)
    compiled = spec.compile()
    np.testing.assert_allclose(compiled.body("thing").mass, model.mass_kg)
    assert model.label in (LABELS.index("tool"), LABELS.index("target"))
    if model.name in TOOLS:
        assert 0.008 < model.handle_radius_m < 0.04
    else:
        assert abs(model.vertices[:, 2].min()) < 1e-6


def test_sizes_vary_and_unseen_sizes_lie_outside_the_trained_range():
    def widths(novel: bool) -> np.ndarray:
        return np.array([make_target("box", np.random.default_rng(i), novel=novel).size_m[0] for i in range(60)])

    trained, novel = widths(False), widths(True)
    assert trained.std() > 0.1 * trained.mean()
    assert ((novel < trained.min()) | (novel > trained.max())).mean() > 0.9


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="unknown tool 'saw'"):
        make_tool("saw", np.random.default_rng(0), novel=False)
    with pytest.raises(ValueError, match="unknown target 'log'"):
        make_target("log", np.random.default_rng(0), novel=False)


def test_a_recoloured_object_has_that_colour_where_most_of_it_is_seen_and_keeps_the_rest():
    blue, rng = np.array([0.1, 0.2, 0.9]), np.random.default_rng(3)
    for name in TOOLS + TARGETS:
        model = (make_tool if name in TOOLS else make_target)(name, rng, novel=False)
        recoloured = with_colour(model, blue)
        changed = np.array([np.array_equal(part.rgb, blue) for part in recoloured.parts])
        area = np.array([part.area_m2 for part in model.parts])
        if name in TARGETS:
            assert area[changed].sum() > 0.55 * area.sum()
        elif len(model.parts) > 1:
            assert changed.tolist() == [False] + [True] * (len(model.parts) - 1), "a handle is hidden by the hand"
        for part in np.array(recoloured.parts, dtype=object)[changed]:
            assert part.texture is None or np.allclose(part.texture.rgb, blue)
            if part.texture is not None:
                middle = part.texture.pixels().reshape(-1, 3).mean(0)
                assert middle.argmax() == 2, part.texture.family
        np.testing.assert_array_equal(model.vertices, recoloured.vertices)
        assert recoloured.collision == model.collision
