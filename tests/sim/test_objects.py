"""Tools and targets: closed meshes of the sizes that they say, and collision primitives that fit them."""

import mujoco
import numpy as np
import pytest

from syncmv4d_model.types import LABELS
from syncmv4d_sim.objects import TARGETS, TOOLS, ObjectModel, add_object
from syncmv4d_sim.targets import make_target
from syncmv4d_sim.tools import make_tool


def every_object(seed: int, *, novel: bool = False) -> list[ObjectModel]:
    rng = np.random.default_rng(seed)
    tools = [make_tool(name, rng, novel=novel) for name in TOOLS]
    return tools + [make_target(name, rng, novel=novel) for name in TARGETS]


@pytest.mark.parametrize("model", every_object(0), ids=lambda model: model.name)
def test_each_mesh_is_closed_and_faces_outwards(model):
    for part in model.parts:
        edges = np.concatenate([part.faces[:, [0, 1]], part.faces[:, [1, 2]], part.faces[:, [2, 0]]])
        directed = {tuple(edge) for edge in edges}
        assert all((b, a) in directed for a, b in directed), "an edge belongs to one face only"
        a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
        assert np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6 > 0, "the enclosed volume is negative"


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
