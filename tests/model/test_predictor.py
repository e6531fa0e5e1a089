"""From an observation to a prediction, with every switch of the paper's ablations."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from syncmv4d_model.checkpoint import save_components
from syncmv4d_model.diffusion.closed_loop import Cancelled
from syncmv4d_model.diffusion.flow_matching import clean_estimate
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.case import observation_of
from syncmv4d_model.evaluation.predicted import cameras_of
from syncmv4d_model.geometry import transform
from syncmv4d_model.predictor import Predictor
from syncmv4d_model.types import LABELS, TRACK_UNIT_M, Observation
from tests.model.tiny_model import TINY, shaken, tiny_checkpoint, tiny_sequence


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    _, _, components = tiny_checkpoint(tmp_path_factory.mktemp("tiny"))
    return Predictor(shaken(components))


@pytest.fixture(scope="module")
def observation():
    return observation_of(tiny_sequence(7))


def first_views(observation, count):
    return Observation(
        observation.images[:count], observation.intrinsics[:count], observation.camera_from_world[:count],
        observation.task, observation.view_names[:count],
    )  # fmt: skip


def assert_same(one, other):
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            assert value.tobytes() == getattr(other, name).tobytes(), name


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(predictor, observation):
    one, again, other = (predictor.predict(observation, seed=seed) for seed in (3, 3, 4))
    assert_same(one, again)
    assert not np.array_equal(one.tracks, other.tracks)


def test_a_saved_checkpoint_predicts_the_same(predictor, observation, tmp_path):
    save_components(tmp_path / "again", predictor.components, dtype=torch.float32)
    assert_same(predictor.predict(observation), Predictor.load(tmp_path / "again").predict(observation))


@pytest.mark.parametrize("views", [1, 2, 3])
def test_any_number_of_views_up_to_the_maximum(predictor, observation, views):
    prediction = predictor.predict(first_views(observation, views))
    frames, points = TINY.num_frames, TINY.num_points
    assert prediction.video.shape == (views, frames, 32, 32, 3) and prediction.tracks.shape == (
        views,
        frames,
        points,
        3,
    )
    assert np.isfinite(prediction.tracks).all() and (prediction.stddev > 0).all()


def test_too_many_views_and_empty_images_are_refused(predictor, observation):
    several = Observation(
        observation.images * 2, np.repeat(observation.intrinsics, 2, 0),
        np.repeat(observation.camera_from_world, 2, 0), "push", tuple("abcdef"),
    )  # fmt: skip
    with pytest.raises(ValueError, match="takes 1 to 4 views, got 6"):
        predictor.predict(several)
    empty = (*observation.images[:2], observation.images[2][:0])
    with pytest.raises(ValueError, match="the image of view 'right' must be .H W 3., got .0, 32, 3."):
        predictor.predict(replace(observation, images=empty))


def test_given_anchors_are_the_ones_tracked(predictor, observation):
    anchors = np.stack(np.meshgrid([8.0, 16.0], [10.0, 20.0]), -1).reshape(1, 4, 2).repeat(3, 0).astype(np.float32)
    prediction = predictor.predict(observation, anchors_px=anchors)
    assert np.array_equal(prediction.anchors_px, anchors) and prediction.tracks.shape[2] == 4


@pytest.mark.parametrize(
    ("anchors", "message"),
    [
        (np.zeros((2, 4, 2)), "anchors must be .3 views, at least 1 point, 2., got .2, 4, 2."),
        (np.zeros((3, 0, 2)), "at least 1 point"),
        (np.full((3, 4, 2), 31.6), "anchor 0 of view 0 lies outside the image"),
        (np.full((3, 4, 2), np.nan), "anchor 0 of view 0 lies outside the image"),
    ],
)
def test_anchors_that_are_no_pixels_are_refused(predictor, observation, anchors, message):
    with pytest.raises(ValueError, match=message):
        predictor.predict(observation, anchors_px=anchors.astype(np.float32))


@pytest.mark.parametrize("name", ["intrinsics", "camera_from_world"])
def test_a_calibration_that_is_not_finite_is_refused(predictor, observation, name):
    broken = getattr(observation, name).copy()
    broken[1, 0, 2] = np.nan
    with pytest.raises(ValueError, match=f"{name} of the observation holds numbers that are not finite"):
        predictor.predict(replace(observation, **{name: broken}))


def test_a_feedback_interval_below_one_is_refused(predictor, observation):
    with pytest.raises(ValueError, match="feedback_interval must be at least 1, got 0"):
        predictor.predict(observation, feedback_interval=0)


@pytest.mark.parametrize("temperature", [-0.1, 1.5, float("nan")])
def test_a_temperature_that_is_none_is_refused(predictor, observation, temperature):
    with pytest.raises(ValueError, match=f"temperature must lie in \\[0, 1\\], got {temperature}"):
        predictor.predict(observation, temperature=temperature)


def test_at_temperature_zero_every_seed_has_the_same_future(predictor, observation):
    """Of video and motion; the aligner's tracks start from noise of their own, which it has to take away."""
    anchors = np.tile(np.array([[4.0, 5.0], [20.0, 11.0]], np.float32), (3, 1, 1))
    cold = [
        predictor.predict(observation, seed=s, temperature=0.0, guidance_strength=0.0, anchors_px=anchors)
        for s in (0, 1)
    ]
    warm = [predictor.predict(observation, seed=s, guidance_strength=0.0, anchors_px=anchors) for s in (0, 1)]
    for name in ("video", "pseudo_video"):
        assert np.array_equal(*(getattr(prediction, name) for prediction in cold))
        assert not np.array_equal(*(getattr(prediction, name) for prediction in warm))


@pytest.mark.parametrize("name", ["text_guidance", "guidance_strength"])
@pytest.mark.parametrize("strength", [float("nan"), float("inf")])
def test_a_strength_that_is_not_finite_is_refused(predictor, observation, name, strength):
    with pytest.raises(ValueError, match=f"{name} must be finite, got {strength}"):
        predictor.predict(observation, **{name: strength})


def test_networks_that_overflow_predict_nothing(predictor, observation):
    with pytest.raises(ValueError, match="numbers of video that are not finite: nothing is predicted"):
        predictor.predict(observation, text_guidance=1e39)


def test_coarse_tracks_lie_in_front_of_their_cameras(predictor, observation):
    prediction = predictor.predict(observation)
    coarse = np.swapaxes(prediction.coarse_tracks, 0, 1)
    camera = transform(observation.camera_from_world[None], coarse.astype(np.float64))
    near, far = (prediction.depth_scale[:, end, None] for end in (0, 1))
    assert (near > 0).all()
    assert ((camera[..., 2] > near - 1e-4) & (camera[..., 2] < far + 1e-4)).all()


def test_an_unknown_word_and_an_empty_task_are_warned_about_and_generated(predictor, observation):
    unknown = predictor.predict(replace(observation, task="frobnicate the pan"))
    assert any("'frobnicate'" in warning for warning in unknown.warnings)
    empty = predictor.predict(replace(observation, task="  "))
    assert any("task is empty" in warning for warning in empty.warnings)
    enormous = predictor.predict(replace(observation, task="stir the pan " * 10_000))
    told = next(warning for warning in enormous.warnings if "its end was dropped" in warning)
    assert f"more tokens than the {TINY.text.max_tokens - 1}" in told and "characters" not in told


def sure_of(label, components):
    """The same components, whose point aligner gives every point one label."""
    aligner = copy.deepcopy(components.point_aligner)
    with torch.no_grad():
        aligner.heads.per_point[-1].bias[LABELS.index(label)] += 1e3
    return replace(components, point_aligner=aligner)


@pytest.mark.parametrize(("label", "lacking"), [("hand", {"tool"}), ("tool", {"hand"}), ("target", {"hand", "tool"})])
def test_a_result_without_a_point_of_hand_or_tool_says_so(predictor, observation, label, lacking):
    warnings = Predictor(sure_of(label, predictor.components)).predict(observation, steps=1).warnings
    told = {name for name in LABELS if any(f"no point was labelled {name}:" in warning for warning in warnings)}
    assert told == lacking


def test_a_result_of_one_view_says_that_its_depth_rests_on_one_camera(predictor, observation):
    for views in (1, 2):
        warnings = predictor.predict(first_views(observation, views), steps=1).warnings
        assert any("rests on one camera" in warning for warning in warnings) == (views == 1)


def test_text_guidance_changes_the_result_and_one_is_off(predictor, observation):
    plain, off, strong = (predictor.predict(observation, text_guidance=g) for g in (None, 1.0, 4.0))
    assert_same(plain, off)
    assert not np.array_equal(plain.video, strong.video) or not np.array_equal(plain.tracks, strong.tracks)


def test_progress_and_cancel_reach_the_loop(predictor, observation):
    done = []
    predictor.predict(observation, steps=3, progress=lambda step, steps: done.append((step, steps)))
    assert done == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(Cancelled):
        predictor.predict(observation, cancelled=lambda: True)


def test_an_unknown_engine_is_refused_with_the_known_ones(predictor):
    with pytest.raises(ValueError, match="one of eager, compile, got 'warp'"):
        Predictor(predictor.components, engine="warp")


SWITCHES = [
    {"multi_view": False}, {"motion": False, "aligner": False, "cycle": False}, {"aligner": False, "cycle": False},
    {"cycle": False}, {"detach_coarse": False}, {"tracking_video": True},
]  # fmt: skip


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_every_switch_of_the_ablations_generates(tmp_path, observation, switches):
    config = replace(TINY, switches=replace(TINY.switches, **switches))
    _, _, components = tiny_checkpoint(tmp_path, config=config)
    prediction = Predictor(shaken(components)).predict(observation)
    assert prediction.video.shape == (3, 5, 32, 32, 3)
    assert prediction.tracks.shape[2] == (0 if switches.get("motion") is False else TINY.num_points)
    if switches.get("aligner") is False:
        assert np.isnan(prediction.stddev).all() and np.array_equal(prediction.tracks, prediction.coarse_tracks)


def test_without_the_multi_view_switch_a_view_does_not_see_the_others(tmp_path, observation):
    images = (*observation.images[:2], 255 - observation.images[2])
    poses = observation.camera_from_world.copy()
    poses[2, :3, 3] += [0.02, 0.01, 0.05]
    other_scene = replace(observation, images=images, camera_from_world=poses)
    for multi_view in (False, True):
        config = replace(TINY, switches=replace(TINY.switches, multi_view=multi_view))
        _, _, components = tiny_checkpoint(tmp_path / str(multi_view), config=config)
        predictor = Predictor(shaken(components))
        one, other = (predictor.predict(scene) for scene in (observation, other_scene))
        for name in ("video", "tracks", "coarse_tracks", "stddev"):
            same = [np.array_equal(getattr(one, name)[view], getattr(other, name)[view]) for view in range(3)]
            assert same == [not multi_view, not multi_view, False], name


def test_true_dense_tracks_survive_the_codec_better_than_standing_still():
    """On the training distribution of a codec with enough channels."""
    import tempfile
    from pathlib import Path

    config = replace(TINY, codec=replace(TINY.codec, motion_channels=48))
    with tempfile.TemporaryDirectory() as folder:
        _, _, components = tiny_checkpoint(Path(folder), config=config)
    sequence = tiny_sequence(2)
    chosen = np.tile(np.arange(0, 256, 4), (3, 1))
    points, found = Predictor(components).codec_round_trip(
        cameras_of(sequence), sequence.positions, sequence.anchors_px, chosen
    )
    truth = np.take_along_axis(sequence.positions, chosen[:, None, :, None], 2)
    moved = np.linalg.norm(truth - truth[:, :1], axis=-1)
    counted = found & (moved > 0.02)
    assert counted.sum() > 50
    error = np.linalg.norm(points - truth, axis=-1)[counted]
    assert np.median(error) < 0.6 * np.median(moved[counted])


def test_a_video_through_the_codec_is_that_video_less_sharp(tmp_path):
    _, _, components = tiny_checkpoint(tmp_path)
    video = tiny_sequence(2).video
    coded = Predictor(components).codec_video(video)
    assert coded.shape == video.shape
    assert 20 < metrics.psnr(coded, video) < 60
    assert 0 < metrics.gradient_energy(coded) < metrics.gradient_energy(video)


def test_the_heads_say_what_is_seen_what_it_is_and_how_sure_they_are_in_metres(tmp_path, observation):
    _, _, components = tiny_checkpoint(tmp_path)
    components = replace(components, statistics=replace(components.statistics, stddev_temperature=3.0))

    def sure(module, inputs, outputs):
        visible, label, log_variance = outputs
        right = torch.arange(label.shape[1]) % 2 == 1
        seen = torch.where(right, 5.0, -5.0).expand_as(visible)
        return seen, torch.eye(4)[2].expand_as(label), torch.full_like(log_variance, 2 * np.log(0.1))

    handle = components.point_aligner.heads.register_forward_hook(sure)
    prediction = Predictor(components).predict(observation)
    handle.remove()
    assert prediction.visible[..., 1::2].all() and not prediction.visible[..., ::2].any()
    assert (prediction.label == LABELS.index("tool")).all()
    np.testing.assert_allclose(prediction.stddev, 3.0 * 0.1 * TRACK_UNIT_M, rtol=1e-5)


def test_before_the_joint_denoiser_has_learned_anything_its_answer_at_pure_noise_is_what_the_motion_prior_expects(
    tmp_path, observation
):
    _, _, components = tiny_checkpoint(tmp_path)
    for last in (components.motion_prior.motion, components.motion_prior.depth_scale):
        torch.nn.init.normal_(last.weight)
    predictor = Predictor(components)
    state, t = predictor.noise(3, 0, TINY.num_points), torch.ones(1)
    with torch.no_grad():
        binding, _ = predictor.bind(predictor.look(observation)[0], 0, 1.0)
        velocity = binding.joint_denoiser(state, t, None)
    expected = binding.condition.expected
    assert expected.motion.any() and expected.depth_scale.any()
    torch.testing.assert_close(clean_estimate(state.motion, velocity.motion, t), expected.motion, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(velocity.depth_scale, expected.depth_scale)


def test_text_guidance_starts_at_the_empty_text_and_passes_through_the_task(predictor, observation):
    t, state = torch.ones(1), predictor.noise(3, 0, TINY.num_points)

    def velocity(task, strength):
        binding, _ = predictor.bind(predictor.look(replace(observation, task=task))[0], 0, strength)
        with torch.no_grad():
            return binding.joint_denoiser(state, t, None)

    plain, empty = velocity(observation.task, 1.0), velocity("", 1.0)
    none, doubled = velocity(observation.task, 0.0), velocity(observation.task, 2.0)
    assert not torch.equal(plain.video, empty.video)
    for name in ("video", "motion"):
        with_text, without = getattr(plain, name), getattr(empty, name)
        torch.testing.assert_close(getattr(none, name), without, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(getattr(doubled, name), 2 * with_text - without, atol=1e-4, rtol=1e-4)
    assert torch.equal(none.depth_scale, plain.depth_scale)
