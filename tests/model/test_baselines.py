"""Which points are scored, and the guess that the sentence alone allows."""

import numpy as np
import pytest

from syncmv4d_model import geometry
from syncmv4d_model.evaluation.anchors import choose_anchors
from syncmv4d_model.evaluation.baselines import TextMean, verb_of
from syncmv4d_model.evaluation.case import at_anchors, in_cameras
from tests.model.sliding_points import K, V, sliding_sequence


def test_anchors_are_distinct_repeatable_and_prefer_what_two_views_share():
    sequence = sliding_sequence("anchors")
    chosen = choose_anchors(sequence, 24, seed=5)
    assert chosen.shape == (V, 24)
    assert all(len(set(view.tolist())) == 24 for view in chosen)
    assert (chosen == choose_anchors(sequence, 24, seed=5)).all()
    assert (chosen != choose_anchors(sequence, 24, seed=6)).any()
    assert len(set(chosen[0].tolist()) & set(chosen[1].tolist())) > 24 * 24 / K
    assert choose_anchors(sequence, 999, seed=0).shape == (V, K)


def test_picking_anchors_keeps_views_frames_and_points_in_place():
    sequence = sliding_sequence("picking")
    chosen = np.array([[3, 1], [0, 59]])
    truth = at_anchors(sequence, chosen)
    assert (truth.positions[1, 4, 1] == sequence.positions[1, 4, 59]).all()
    assert (truth.visible[0, 2, 0] == sequence.visible[0, 2, 3]).all()
    seen = geometry.project(sequence.intrinsics[:, None], in_cameras(truth, truth.positions.astype(np.float64)))[:, 0]
    assert seen == pytest.approx(truth.anchors_px, abs=1e-3)


def test_the_text_mean_is_exact_when_every_sequence_of_a_text_moves_alike(tmp_path):
    fast, slow = (
        sliding_sequence(n, speed_m=v, triplet=t)
        for n, v, t in [("f", 0.04, "(push, cup, box)"), ("s", 0.02, "(hit, hammer, box)")]
    )
    TextMean.fit([fast, slow, slow]).save(tmp_path / "text_mean.safetensors")
    mean = TextMean.load(tmp_path / "text_mean.safetensors")
    assert mean.tracks(fast) == pytest.approx(fast.positions, abs=1e-6)
    last = {
        t: mean.displacement(t, np.array([2, 3, 1], np.uint8))[-1, :, 0]
        for t in ("(hit, spoon, bowl)", "(stir, spoon, bowl)")
    }
    assert last["(hit, spoon, bowl)"] == pytest.approx([0.08, 0, 0], abs=1e-6)
    assert last["(stir, spoon, bowl)"] == pytest.approx([(0.16 + 2 * 0.08) / 3, 0, 0], abs=1e-6)


def test_a_verb_is_read_from_both_forms_of_a_triplet():
    assert verb_of("(pour in some, cup, bowl)") == verb_of("<cup, pour in some, bowl>") == "pour in some"
    with pytest.raises(ValueError, match="three parts"):
        verb_of("push")
