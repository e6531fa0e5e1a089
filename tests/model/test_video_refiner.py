"""The video refiner: what it may change, and that it learns to take the background from the first image."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from syncmv4d_model.checkpoint import load_components
from syncmv4d_model.config import NANO, WAN5B
from syncmv4d_model.data.loader import LatentCache
from syncmv4d_model.evaluation.case import observation_of
from syncmv4d_model.networks.video_refiner import VideoRefiner
from syncmv4d_model.predictor import Predictor
from syncmv4d_model.training.plan import NANO_PLAN, StagePlan
from syncmv4d_model.training.refining import sample_videos
from syncmv4d_model.training.stages import make_stage
from tests.model.tiny_model import TINY, tiny_sequence


@pytest.fixture
def decoded(prepared):
    """(true videos, the same after encode and decode, components)."""
    components = load_components(prepared[0])
    video = torch.from_numpy(tiny_sequence(1).video).float() / 127.5 - 1
    with torch.no_grad():
        return video, components.codec.decode_video(components.codec.encode_video(video)), components


def test_untrained_it_changes_nothing_but_frame_0_which_is_the_first_image(decoded):
    video, blocky, _ = decoded
    with torch.no_grad():
        mended = VideoRefiner(TINY.codec)(blocky, video[:, 0])
    assert torch.equal(mended[:, 0], video[:, 0])
    assert torch.equal(mended[:, 1:], blocky[:, 1:]) and not torch.equal(blocky[:, 0], video[:, 0])


def test_every_video_is_mended_by_itself(decoded):
    video, blocky, _ = decoded
    refiner = shaken_refiner()
    with torch.no_grad():
        together = refiner(blocky, video[:, 0])
        alone = torch.cat([refiner(blocky[i : i + 1], video[i : i + 1, 0]) for i in range(len(video))])
    torch.testing.assert_close(together, alone)
    assert not torch.equal(together[:, 1:], blocky[:, 1:])


def test_training_it_brings_frames_nearer_to_the_truth(prepared, decoded):
    video, blocky, components = decoded
    stage = make_stage(components, prepared[1], StagePlan("video_refiner", steps=60, sampled_sequences=1), seed=0)
    (refiner,) = stage.modules
    optimizer = torch.optim.Adam(refiner.parameters(), lr=2e-3)
    batches, generator = stage.batches(0), torch.Generator()
    for _ in range(60):
        optimizer.zero_grad()
        stage.losses(next(batches), generator)["video"].backward()
        optimizer.step()
    with torch.no_grad():
        mended = components.decode_video(components.codec.encode_video(video), video[:, 0])
    errors = [(frames - video)[:, 1:].square().mean().item() for frames in (mended, blocky)]
    assert errors[0] < 0.8 * errors[1]


def test_in_bfloat16_it_learns_from_the_frames_that_it_will_be_given(prepared):
    """The codec keeps float32, as where a prediction is decoded."""
    components = load_components(prepared[0])
    stage = make_stage(components, prepared[1], StagePlan("video_refiner", steps=1, sampled_sequences=1), seed=0)
    latents, video = next(stage.batches(0))
    given = []
    stage.modules[0].register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    with torch.autocast("cpu", torch.bfloat16):
        stage.losses((latents, video), torch.Generator())
    assert torch.equal(given[0], components.codec.decode_video(latents))


def test_every_second_sequence_is_one_that_was_sampled_beside_its_own_true_video(prepared):
    components, cache = load_components(prepared[0]), prepared[1]
    pairs = sample_videos(components, cache, count=2, seed=0)
    assert len(pairs.sampled) == 2
    draw = pairs.batches(StagePlan("video_refiner", steps=4, batch_size=2), seed=0)
    whole, resumed = draw(0), draw(1)
    next(whole)
    for _ in range(3):
        latents, video = next(whole)
        again = next(resumed)
        assert torch.equal(latents, again[0]) and torch.equal(video, again[1])
        of_codec, sampled = (part.unflatten(0, (2, -1)) for part in (latents, video))
        exact = components.codec.encode_video(sampled[0])
        torch.testing.assert_close(of_codec[0], exact, atol=2e-3, rtol=2e-3)
        (index,) = [i for i, made in pairs.sampled.items() if torch.equal(made, of_codec[1])]
        assert torch.equal(sampled[1], cache.video(index))
        assert not torch.allclose(of_codec[1], components.codec.encode_video(sampled[1]), atol=0.1)


def test_what_the_predictor_shows_and_its_codec_bound_are_mended(prepared):
    components = load_components(prepared[0])
    without = replace(components, video_refiner=None)
    components = replace(components, video_refiner=shaken_refiner())
    sequence = tiny_sequence(0)
    videos = []
    for parts in (components, without):
        predictor = Predictor(parts)
        videos.append(
            (predictor.predict(observation_of(sequence), seed=0).video, predictor.codec_video(sequence.video))
        )
    for mended, plain in zip(*videos, strict=True):
        assert np.array_equal(mended[:, 0], sequence.video[:, 0])
        assert not np.array_equal(mended[:, 1:], plain[:, 1:])


def test_a_cache_without_videos_says_so(prepared):
    with pytest.raises(ValueError, match="without its sequences' videos"):
        LatentCache(prepared[1].paths).video(0)


def test_only_the_light_codec_is_mended():
    assert NANO.codec.refiner_width and not WAN5B.codec.refiner_width
    plain = replace(NANO, codec=replace(NANO.codec, refiner_width=0))
    assert "video_refiner" not in [stage.stage for stage in NANO_PLAN.for_config(plain).stages]
    with pytest.raises(ValueError, match="refiner_width is of the pca codec"):
        replace(WAN5B, codec=replace(WAN5B.codec, refiner_width=8))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [({"refiner_width": 20}, "a multiple of 8, got 20"), ({"refiner_width": 8, "spatial_stride": 2}, "got 2")],
)
def test_a_width_or_stride_that_it_cannot_work_with_is_refused(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        replace(TINY, codec=replace(TINY.codec, **fields))


def shaken_refiner() -> VideoRefiner:
    refiner, generator = VideoRefiner(TINY.codec), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in refiner.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return refiner
