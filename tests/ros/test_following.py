"""Fitted poses become a motion without gaps that moves anything attached to the body; what cannot be followed is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from syncmv4d_ros import cell
from syncmv4d_ros.cell import CellParameters
from syncmv4d_ros.following import followable_motion, received_motion
from tests.ros.moving_bodies import random_path

TRIVIAL = "tests.ros.trivial_cell:open_cell"
FRAMES = 9
EVERY = np.ones(FRAMES, bool)
seeds = st.integers(0, 2**31)


def placed(motion: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Poses of a body that starts anywhere, in any orientation, and moves so."""
    start = np.eye(4)
    start[:3, :3], start[:3, 3] = Rotation.random(random_state=rng).as_matrix(), rng.uniform(-1, 1, 3)
    return motion @ start


@given(seeds)
def test_a_valid_path_is_followed_exactly_wherever_the_body_frame_is(seed):
    rng = np.random.default_rng(seed)
    motion = random_path(rng, FRAMES)
    np.testing.assert_allclose(followable_motion(placed(motion, rng), EVERY, EVERY), motion, atol=1e-9)


@given(seeds, st.sets(st.integers(1, FRAMES - 2)))
def test_gaps_are_bridged_between_the_frames_that_are_valid(seed, gaps):
    rng = np.random.default_rng(seed)
    motion = random_path(rng, FRAMES)  # turns and moves evenly: what a bridge should do
    poses, valid = motion.copy(), EVERY.copy()
    for gap in gaps:
        poses[gap], valid[gap] = np.eye(4) * 77, False
    np.testing.assert_allclose(followable_motion(poses, valid, valid), motion, atol=1e-9)


def test_after_the_last_valid_frame_the_body_stays():
    motion, valid = random_path(np.random.default_rng(0), FRAMES), EVERY.copy()
    valid[6:] = False
    followed = followable_motion(motion, valid, valid)
    np.testing.assert_allclose(followed[6:], np.stack([motion[5]] * 3), atol=1e-9)


def test_where_only_the_turn_is_unsure_the_position_counts():
    motion, turn_valid = random_path(np.random.default_rng(1), FRAMES), EVERY.copy()
    poses = motion.copy()
    poses[4, :3, :3], turn_valid[4] = np.eye(3), False
    np.testing.assert_allclose(followable_motion(poses, EVERY, turn_valid), motion, atol=1e-9)


def test_a_body_whose_turn_is_never_sure_is_turned_as_fitted():
    motion = random_path(np.random.default_rng(2), FRAMES)
    np.testing.assert_allclose(followable_motion(motion, EVERY, ~EVERY), motion, atol=1e-9)


TOO_FEW = {"": [], ", frame 0 alone": [0], ", and frame 0 is not among them": [1, 2, 3]}


@pytest.mark.parametrize(("told", "known"), TOO_FEW.items(), ids=["none", "frame 0 alone", "no frame 0"])
def test_a_path_without_its_start_or_without_a_second_pose_is_refused_with_what_it_lacks(told, known):
    valid = np.zeros(FRAMES, bool)
    valid[known] = True
    reason = f"{len(known)} of {FRAMES} poses are valid{told}; needed are frame 0 and one more, 2 of {FRAMES}. .* another seed"
    with pytest.raises(ValueError, match=reason):
        followable_motion(random_path(np.random.default_rng(3), FRAMES), valid, valid)


numbers = st.one_of(st.floats(-1, 1), st.floats())
flags = st.lists(st.booleans(), min_size=2, max_size=5)


def received_pose(position, orientation):
    x, y, z, w = orientation
    return SimpleNamespace(
        position=SimpleNamespace(**dict(zip("xyz", position, strict=True))),
        orientation=SimpleNamespace(x=x, y=y, z=z, w=w),
    )


orientations = st.one_of(st.sampled_from([(0.0, 0, 0, 1), (0, 1.0, 0, 0)]), st.tuples(*[numbers] * 4))
received_poses = st.builds(received_pose, st.tuples(*[numbers] * 3), orientations)


@given(
    st.integers(0, 6),
    st.lists(received_poses, max_size=5),
    flags,
    flags,
    st.lists(st.sampled_from(["tool", "hand"]), max_size=3),
)
@settings(max_examples=300)
def test_any_trajectory_gives_a_rigid_motion_or_a_value_error(frames, poses, valid, rotation_valid, names):
    bodies = [SimpleNamespace(name=name, poses=poses, valid=valid, rotation_valid=rotation_valid) for name in names]
    try:
        motion = received_motion(SimpleNamespace(bodies=bodies, num_frames=frames), "tool")
    except ValueError:
        return
    assert motion.shape == (frames, 4, 4) and np.isfinite(motion).all()
    np.testing.assert_allclose(motion[0], np.eye(4), atol=1e-9)
    turns = motion[:, :3, :3]
    np.testing.assert_allclose(turns @ np.swapaxes(turns, -1, -2), np.tile(np.eye(3), (frames, 1, 1)), atol=1e-6)


def test_a_cell_is_loaded_by_name_and_told_its_numbers():
    opened = cell.open_cell(CellParameters(cell=TRIVIAL, scene=7, height=40, width=64))
    assert opened.sequence.name == "000007" and opened.sequence.video.shape[2:4] == (40, 64)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:open_cell", "cannot be imported"),
        ("tests.ros.trivial_cell:no_such_name", "is not one"),
        ("tests.ros.trivial_cell:NOT_A_CELL", "is not one"),
        ("tests.ros.trivial_cell", "is not one"),
    ],
)
def test_a_cell_that_is_not_there_is_named(name, message):
    with pytest.raises(ValueError, match=f"parameter cell.*{message}"):
        cell.open_cell(CellParameters(cell=name))


def test_a_parameter_out_of_range_names_itself():
    with pytest.raises(ValueError, match="parameter height must lie in"):
        CellParameters(height=8)
