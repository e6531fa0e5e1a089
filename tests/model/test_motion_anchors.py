import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from syncmv4d_model.motion.anchors import point_colours, stratified_anchors


@given(count=st.integers(1, 200), share=st.floats(0, 1), seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_anchors_lie_on_the_mask_and_repeat_only_when_it_is_too_small(count, share, seed):
    mask = torch.rand(2, 3, 20, 31, generator=torch.Generator().manual_seed(seed)) < share
    mask[..., 0, 0] = True
    pixels, duplicate = stratified_anchors(mask, count, seed=seed)
    assert pixels.shape == (2, 3, count, 2)
    raster = (pixels[..., 1] * 31 + pixels[..., 0]).long()
    assert mask.flatten(2).gather(2, raster).all()
    for one, repeated, room in zip(
        raster.flatten(0, 1), duplicate.flatten(0, 1), mask.sum((2, 3)).flatten(), strict=True
    ):
        assert len(set(one.tolist())) == int((~repeated).sum()) == min(count, int(room))


def test_the_same_seed_gives_the_same_anchors_and_they_spread_over_the_mask():
    mask = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    pixels, _ = stratified_anchors(mask, 64, seed=1)
    assert torch.equal(pixels, stratified_anchors(mask, 64, seed=1)[0])
    assert not torch.equal(pixels, stratified_anchors(mask, 64, seed=2)[0])
    tiles = {(int(x) // 8, int(y) // 8) for x, y in pixels[0, 0].tolist()}
    assert len(tiles) == 64


def test_an_empty_mask_falls_back_to_the_whole_image_all_flagged():
    pixels, duplicate = stratified_anchors(torch.zeros(1, 2, 16, 16, dtype=torch.bool), 10, seed=0)
    assert duplicate.all()
    assert torch.isfinite(pixels).all()


def test_no_anchors_at_all_are_refused():
    with pytest.raises(ValueError, match="got 0"):
        stratified_anchors(torch.ones(1, 1, 4, 4, dtype=torch.bool), 0, seed=0)


def test_a_points_colour_is_the_images_value_at_its_pixel():
    images = torch.arange(2 * 4 * 5 * 3, dtype=torch.float32).view(1, 2, 4, 5, 3)
    pixels = torch.tensor([[[[3.0, 2.0], [99.0, -7.0]], [[0.4, 0.6], [1.0, 3.0]]]])
    colours = point_colours(images, pixels)
    assert torch.equal(colours[0, 0], images[0, 0, [2, 0], [3, 4]])
    assert torch.equal(colours[0, 1], images[0, 1, [1, 3], [0, 1]])
