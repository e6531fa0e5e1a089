"""Plans and splits: repeatable, clear of the table, decided by the first image, and held-out things stay held out."""

import dataclasses

import numpy as np
import pytest

from syncmv4d_sim.clearance import is_clear, surface_points
from syncmv4d_sim.scene import PATH_HZ, sample_scene
from syncmv4d_sim.splits import HELD_OUT_TARGET, HELD_OUT_TOOL, HELD_OUT_VERB, RULES, SEEN, SPLITS, rule_of
from syncmv4d_sim.tasks import VERBS, minimum_jerk
from syncmv4d_sim.words import sentence


def test_the_same_arguments_give_the_same_scene_to_the_bit():
    first, again = sample_scene("train", 3, 5), sample_scene("train", 3, 5)
    assert first.world_from_grip.tobytes() == again.world_from_grip.tobytes()
    assert first.tool.vertices.tobytes() == again.tool.vertices.tobytes()
    assert (first.text, first.hand) == (again.text, again.hand)


@pytest.mark.parametrize("changed", [("train", 4, 5, 0), ("val", 3, 5, 0), ("train", 3, 6, 0), ("train", 3, 5, 1)])
def test_another_split_index_seed_or_attempt_gives_another_scene(changed):
    split, index, seed, attempt = changed
    first, other = sample_scene("train", 3, 5), sample_scene(split, index, seed, attempt=attempt)
    assert not np.array_equal(first.world_from_target_start, other.world_from_target_start)


@pytest.mark.parametrize("index", range(len(SEEN)))
def test_every_seen_triplet_starts_at_rest_10_to_23_cm_away_and_keeps_clear(index):
    scene = sample_scene("test_1", index, 1)
    assert scene.triplet == f"({', '.join(SEEN[index])})"
    target = surface_points(scene.target, scene.world_from_target_start)
    assert is_clear(scene.world_from_grip, scene.world_from_tool, tool=scene.tool, target_points=target)
    grip = scene.world_from_grip[:, :3, 3]
    speed = np.linalg.norm(np.diff(grip, axis=0), axis=-1) * PATH_HZ
    assert speed[0] < 0.01
    assert speed.max() < 2.0
    moved = np.linalg.norm(grip - grip[0], axis=-1).max()
    assert 0.05 < moved < 0.45
    rotation = scene.world_from_grip[:, :3, :3]
    np.testing.assert_allclose(
        rotation @ np.swapaxes(rotation, -1, -2), np.tile(np.eye(3), (len(grip), 1, 1)), atol=1e-9
    )


def test_training_never_shows_what_the_test_splits_hold_out():
    for split in ("train", "val", "test_1", "test_2", "open", "hard", "unseen_rig", "unseen_look"):
        words = {word for triplet in RULES[split].triplets for word in triplet}
        assert not words & {HELD_OUT_TARGET, HELD_OUT_TOOL, HELD_OUT_VERB}
    assert not set(RULES["test_3"].triplets) & set(SEEN)
    assert all(tool == HELD_OUT_TOOL for _, tool, _ in RULES["test_4"].triplets)
    assert all(verb == HELD_OUT_VERB for verb, _, _ in RULES["unseen_action"].triplets)
    assert len({rule.stream for rule in RULES.values()}) == len(SPLITS)


def test_there_are_enough_verbs_and_triplets():
    assert len(SEEN) == len(set(SEEN)) >= 25
    assert len({verb for verb, _, _ in SEEN}) >= 6
    assert {verb for rule in RULES.values() for verb, _, _ in rule.triplets} == set(VERBS)


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="unknown split 'test_9'"):
        rule_of("test_9")


def test_sentences_name_tool_and_target_in_several_wordings():
    rng = np.random.default_rng(0)
    texts = {sentence("pour in some", "cup", "pan", rng) for _ in range(60)}
    assert len(texts) > 8
    assert all("cup" in text and "pan" in text for text in texts)
    assert "an orange box" in {text[-13:] for text in (sentence("hit", "hammer", "orange box", rng) for _ in range(99))}


def test_starts_come_from_a_wide_arc_so_that_the_sentence_alone_does_not_tell_the_way():
    scenes = [sample_scene("test_1", 28 * i, 2) for i in range(24)]
    ways = np.stack([s.world_from_tool[-1, :2, 3] - s.world_from_tool[0, :2, 3] for s in scenes])
    mean_way = np.linalg.norm(ways.mean(0)) / np.linalg.norm(ways, axis=-1).mean()
    assert mean_way < 0.75


def test_minimum_jerk_starts_and_ends_at_rest():
    time_s = np.linspace(0, 1, 1001)
    s = minimum_jerk(time_s, 0.2, 0.8)
    assert (s[0], s[-1]) == (0.0, 1.0)
    assert np.abs(np.gradient(s, time_s)[[195, 805]]).max() < 1e-2


def test_scenes_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample_scene("train", 0, 0).text = "another"  # type: ignore[misc]
