"""Looks: textures, light and families repeat by seed, and what is kept for unseen looks is never drawn for training."""

import mujoco
import numpy as np
import pytest

from syncmv4d_sim.clutter import add_clutter, make_clutter, sample_clutter
from syncmv4d_sim.families import FAMILIES, draw_family
from syncmv4d_sim.hand import HandShape
from syncmv4d_sim.look import TABLE_THICKNESS_M, add_surroundings, sample_look
from syncmv4d_sim.meshes import MeshPart, ellipsoid, lathe, rounded_box, texture_coordinates
from syncmv4d_sim.objects import TARGETS, TOOLS
from syncmv4d_sim.targets import make_target
from syncmv4d_sim.textures import Texture, spectral_noise
from syncmv4d_sim.tools import make_tool

PICTURES = (*FAMILIES["texture"].known, *FAMILIES["texture"].unseen, *FAMILIES["skin"].known, *FAMILIES["skin"].unseen)
UNSEEN = {f"{kind}/{name}" for kind, family in FAMILIES.items() for name in family.unseen}
KNOWN = {f"{kind}/{name}" for kind, family in FAMILIES.items() for name in family.known}


def texture(family: str, seed: int = 0) -> Texture:
    return Texture(family, seed, (0.7, 0.4, 0.2), (0.2, 0.3, 0.6))


def drawn_families(look: str, seed: int) -> frozenset[str]:
    """All families of one scene's worth of draws."""
    rng = np.random.default_rng(seed)
    tools = [make_tool(name, rng, novel=False, look=look) for name in TOOLS]
    targets = [make_target(name, rng, novel=False, look=look) for name in TARGETS]
    things = [make_clutter(rng, look=look)]
    surroundings, hand = sample_look(rng, family=look), HandShape.sample(rng, look=look)
    return frozenset().union(*(model.families for model in (*tools, *targets, *things, surroundings, hand)))


@pytest.mark.parametrize("family", PICTURES)
def test_a_texture_repeats_by_seed_and_differs_by_seed(family):
    picture = texture(family).pixels()
    assert picture.shape == (128, 128, 3)
    assert picture.tobytes() == texture(family).pixels().tobytes()
    assert picture.tobytes() != texture(family, seed=1).pixels().tobytes()
    assert 10 < picture.mean() < 245


def test_noise_has_no_seam_where_it_repeats():
    field = spectral_noise(np.random.default_rng(0), 128, 1.8)
    across_the_seam, inside = np.abs(field[:, 0] - field[:, -1]).mean(), np.abs(np.diff(field, axis=1)).mean()
    assert across_the_seam < 1.5 * inside


def test_what_is_kept_for_unseen_looks_is_never_drawn_for_training():
    drawn = frozenset().union(*(drawn_families("known", seed) for seed in range(60)))
    assert not drawn & UNSEEN
    assert drawn == KNOWN, "and training draws all else"


def test_unseen_looks_draw_every_unseen_family_and_only_those_of_textures_lights_and_shapes():
    drawn = frozenset().union(*(drawn_families("unseen", seed) for seed in range(60)))
    assert drawn >= UNSEEN
    whole = {kind for kind, family in FAMILIES.items() if family.unseen_share == 1}
    assert {"texture", "light", "vessel", "box", "toy", "hammer"} <= whole
    assert not {name for name in drawn & KNOWN if name.split("/")[0] in whole}


def test_every_kind_has_unseen_members_that_are_not_known_ones():
    assert all(family.unseen and not set(family.unseen) & set(family.known) for family in FAMILIES.values())
    assert len(FAMILIES["texture"].unseen) >= 3
    assert len(FAMILIES["light"].unseen) >= 2


def test_a_family_without_weight_is_not_drawn():
    rng, weights = np.random.default_rng(0), dict.fromkeys(FAMILIES["light"].known, 0.0) | {"lamp": 1.0}
    assert {draw_family("light", rng, "known", weights=weights) for _ in range(20)} == {"lamp"}


def test_about_half_of_all_parts_are_plain():
    rng = np.random.default_rng(1)
    parts = [part for i in range(40) for part in make_tool(TOOLS[i % 7], rng, novel=False).parts]
    assert 0.35 < np.mean([part.texture is None for part in parts]) < 0.65


@pytest.mark.parametrize(
    "part",
    [
        rounded_box((0.03, 0.02, 0.01), np.ones(3), bevel_m=0.002),
        ellipsoid((0.03, 0.02, 0.01), np.ones(3)),
        lathe([(0.0, -0.05), (0.02, -0.05), (0.015, 0.05), (0.0, 0.05)], np.ones(3), axis="x"),
    ],
    ids=["box", "ellipsoid", "lathe"],
)
def test_a_projected_texture_is_as_large_on_the_surface_as_it_says_and_has_no_seam(part):
    textured = MeshPart(part.vertices, part.faces, part.rgb, texture=texture("wood"), around=part.around)
    corners, coordinates = part.vertices[part.faces], texture_coordinates(textured) * 0.1
    on_surface = np.linalg.norm(np.diff(corners, axis=1), axis=-1)
    in_picture = np.linalg.norm(np.diff(coordinates, axis=1), axis=-1)
    assert (in_picture < 1.7 * on_surface + 0.005).all(), "a smeared or torn face"


def test_a_compiled_scene_holds_table_walls_and_lights():
    for seed in range(12):
        look = sample_look(np.random.default_rng(seed), family="known" if seed % 2 else "unseen")
        spec = mujoco.MjSpec()
        add_surroundings(spec, look)
        model = spec.compile()
        assert model.nlight == len(look.lighting.lights)
        table = model.geom("table")
        assert table.pos[2] + table.size[2] == pytest.approx(0)
        assert table.size[2] == TABLE_THICKNESS_M / 2
        colliding = [model.geom(i).name for i in range(model.ngeom) if model.geom_contype[i]]
        assert colliding == ["table"]


def test_a_fifth_of_known_scenes_or_more_has_no_shadow_and_some_have_several():
    shadows = [
        sum(light.casts_shadow for light in sample_look(np.random.default_rng(seed)).lighting.lights)
        for seed in range(200)
    ]
    counts = np.bincount(shadows, minlength=3) / 200
    assert 0.18 < counts[0] < 0.35
    assert counts[2] > 0.1


def test_clutter_keeps_clear_of_points_and_of_itself_and_stands_on_the_table():
    path = np.stack([np.linspace(-0.2, 0.2, 30), np.zeros(30)], -1)
    counts = []
    for seed in range(40):
        things = sample_clutter(np.random.default_rng(seed), keep_clear=path, clearance_m=0.12)
        counts.append(len(things))
        clouds = [model.vertices @ pose[:3, :3].T + pose[:3, 3] for model, pose in things]
        for i, cloud in enumerate(clouds):
            assert np.linalg.norm(cloud[:, None, :2] - path, axis=-1).min() >= 0.12
            assert abs(cloud[:, 2].min()) < 2e-3
            for other in clouds[:i]:
                assert np.linalg.norm(cloud[:, None, :2] - other[:, :2], axis=-1).min() > 0
        assert all(model.label == 0 for model, _ in things)
    assert max(counts) >= 4 and min(counts) == 0


def test_clutter_is_seen_and_not_felt_unless_asked_for():
    things = sample_clutter(np.random.default_rng(1), keep_clear=np.zeros((1, 2)), clearance_m=0.1)
    assert things
    for collides in (False, True):
        spec = mujoco.MjSpec()
        add_clutter(spec, things, collides=collides)
        model = spec.compile()
        assert bool(model.geom_contype.any()) == collides
        assert model.nv == 0
