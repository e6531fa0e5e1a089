"""MANO's hands, with a hand of MANO's form and made-up numbers: the model itself may not be shipped."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from syncmv4d_model.data.mano import HandModel, hand_vertices, read_hand_model

SEEDS = st.integers(0, 2**32 - 1)
PARENTS = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14]


def made_up(seed: int = 0, points: int = 20) -> HandModel:
    rng = np.random.default_rng(seed)
    regressor, weights = rng.random((16, points)), rng.random((points, 16))
    return HandModel(
        template=rng.normal(scale=0.05, size=(points, 3)),
        shape_directions=rng.normal(scale=0.01, size=(points, 3, 10)),
        pose_directions=rng.normal(scale=0.001, size=(points, 3, 135)),
        joint_regressor=regressor / regressor.sum(1, keepdims=True),
        weights=weights / weights.sum(1, keepdims=True),
        parents=np.array(PARENTS),
        faces=rng.integers(0, points, (30, 3)),
    )


def written(path: Path, model: HandModel, **changed: object) -> Path:
    kintree = np.stack([np.array(PARENTS, np.int64) % 2**32, np.arange(16)]).astype(np.uint32)
    content = {
        "v_template": model.template,
        "shapedirs": model.shape_directions,
        "posedirs": model.pose_directions,
        "J_regressor": scipy.sparse.csc_matrix(model.joint_regressor),
        "weights": model.weights,
        "kintree_table": kintree,
        "f": model.faces.astype(np.uint32),
        "hands_mean": np.zeros(45),
    }
    path.write_bytes(pickle.dumps({key: value for key, value in (content | changed).items() if value is not None}, 2))
    return path


def by_matrices(model: HandModel, pose: np.ndarray, shape: np.ndarray, wrist: np.ndarray) -> np.ndarray:
    """One frame as the paper writes it: chains of 4 x 4 matrices, joint by joint."""
    rest = model.template + model.shape_directions @ shape
    joints = model.joint_regressor @ rest
    turns = Rotation.from_rotvec(pose.reshape(16, 3)).as_matrix()
    shaped = rest + model.pose_directions @ np.concatenate([(turn - np.eye(3)).ravel() for turn in turns[1:]])
    chains: list[np.ndarray] = []
    for joint, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = turns[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        chains.append(local if parent < 0 else chains[parent] @ local)
    world = [
        chain @ np.block([[np.eye(3), -joint[:, None]], [np.zeros((1, 3)), 1]])
        for chain, joint in zip(chains, joints, strict=True)
    ]
    blended = np.einsum("pj,jab->pab", model.weights, np.stack(world))
    skin = np.einsum("pab,pb->pa", blended, np.concatenate([shaped, np.ones((len(shaped), 1))], axis=1))[:, :3]
    return skin - joints[0] + wrist  # the wrist joint is where the recording says


@given(seed=SEEDS)
def test_vertices_are_those_of_chained_matrices(seed):
    rng = np.random.default_rng(seed)
    model, shape = made_up(seed), rng.normal(size=10)
    pose, wrist = rng.normal(scale=0.7, size=(3, 48)), rng.normal(size=(3, 3))
    found = hand_vertices(model, pose, shape, wrist)
    for frame in range(3):
        np.testing.assert_allclose(found[frame], by_matrices(model, pose[frame], shape, wrist[frame]), atol=1e-12)


def test_a_flat_hand_is_the_template_and_a_turned_wrist_turns_all_of_it():
    model, turn = made_up(), np.array([0.3, -0.5, 0.9])
    pose = np.zeros((2, 48))
    pose[1, :3] = turn
    flat, turned = hand_vertices(model, pose, np.zeros(10), np.zeros((2, 3)))
    joint = model.joint_regressor[0] @ model.template
    np.testing.assert_allclose(flat, model.template - joint, atol=1e-12)
    np.testing.assert_allclose(turned, Rotation.from_rotvec(turn).apply(flat), atol=1e-12)


def test_what_is_read_is_what_was_written(tmp_path):
    model = made_up()
    found = read_hand_model(written(tmp_path / "MANO_RIGHT.pkl", model))
    for name, value in vars(model).items():
        np.testing.assert_array_equal(getattr(found, name), value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": None, "f": None}, "no hand of MANO: it lacks weights, f"),
        ({"weights": np.zeros((7, 16))}, r"weights must be \[P J\], got \[7, 16\]"),
        ({"posedirs": np.zeros((20, 3, 12))}, "9 numbers for each of 15 joints, got 12"),
        ({"f": np.full((1, 3), 20)}, "faces name vertices that are not there"),
        ({"kintree_table": np.ones((2, 16))}, "parent before it"),
        ({"v_template": np.full((20, 3), "a")}, "an array of U1, which is no number"),
    ],
)
def test_what_is_no_hand_is_refused(changed, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_hand_model(written(tmp_path / "MANO_LEFT.pkl", made_up(), **changed))


def test_poses_of_another_hand_are_refused():
    with pytest.raises(ValueError, match=r"takes pose \[T 48\], shape \[10\] and wrist \[T 3\], got \[2, 45\]"):
        hand_vertices(made_up(), np.zeros((2, 45)), np.zeros(10), np.zeros((2, 3)))
