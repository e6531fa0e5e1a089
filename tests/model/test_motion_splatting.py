import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from syncmv4d_model.motion.matching import match_identities
from syncmv4d_model.motion.splatting import splat


def draw(pixels, depths, *, splat_px: int, size: int = 12) -> torch.Tensor:
    points = len(depths)
    values = torch.arange(1.0, points + 1)[None, :, None]
    return splat(
        torch.tensor([pixels], dtype=torch.float32).view(1, points, 2),
        torch.tensor([depths], dtype=torch.float32),
        values,
        torch.ones(1, points, dtype=torch.bool),
        height=size,
        width=size,
        splat_px=splat_px,
        recede_m=torch.full((1, points), 0.01),
    )[0, ..., 0]


def test_a_square_covers_splat_px_pixels_each_way_and_is_cut_at_the_edge():
    assert (draw([(5.2, 6.4)], [1.0], splat_px=3) > 0).nonzero().tolist() == [
        [y, x] for y in (5, 6, 7) for x in (4, 5, 6)
    ]
    assert (draw([(0.0, 11.0)], [1.0], splat_px=7) > 0).sum() == 16


def test_the_nearer_surface_wins_and_between_equals_the_closer_centre():
    assert draw([(5, 5), (6, 5)], [1.0, 0.5], splat_px=3)[5, 5] == 2
    painted = draw([(5, 5), (6, 5)], [1.0, 0.999], splat_px=3)
    assert painted[5, 5] == 1
    assert painted[5, 6] == 2


def test_an_even_splat_is_refused():
    with pytest.raises(ValueError, match="got 4"):
        draw([(5, 5)], [1.0], splat_px=4)


@given(seed=st.integers(0, 10_000), points=st.integers(1, 40))
@settings(max_examples=20)
def test_every_identity_is_found_at_the_pixel_that_searching_everywhere_finds(seed, points):
    generator = torch.Generator().manual_seed(seed)
    height, width = 20, 28
    identity = torch.rand(2, height, width, 2, generator=generator) * torch.tensor([width, height])
    # A smooth field, as a picture of surfaces is: neighbours have neighbouring identities.
    smooth = torch.nn.functional.avg_pool2d(identity.movedim(-1, 1), 7, 1, 3, count_include_pad=False).movedim(1, -1)
    member = torch.rand(2, height, width, generator=generator) < 0.6
    depth = torch.rand(2, height, width, generator=generator)
    wanted = torch.rand(2, points, 2, generator=generator) * torch.tensor([width - 1, height - 1])
    levels, tolerance = torch.tensor([2.0, 3.0]), torch.tensor([6.0, 6.0])
    matches = match_identities(
        smooth, depth, member, wanted, levels_per_px=levels, tolerance_levels=tolerance, tie_levels=0.5, reach_px=30
    )
    for frame in range(2):
        error = ((smooth[frame][:, :, None] - wanted[frame]) * levels).norm(dim=-1)
        error = torch.where(member[frame][..., None], error, torch.inf).flatten(0, 1)
        within = ((smooth[frame].flatten(0, 1)[error.argmin(0)] - wanted[frame]).abs() * levels <= tolerance).all(-1)
        assert torch.equal(matches.valid[frame], within)
        for point in torch.nonzero(within)[:, 0].tolist():
            ties = error[:, point] <= error[:, point].min() + 0.5
            if ties.sum() == 1:
                best = int(error[:, point].argmin())
                corrected = (
                    torch.tensor([best % width, best // width])
                    + wanted[frame, point]
                    - smooth[frame].flatten(0, 1)[best]
                )
                assert torch.allclose(matches.pixels[frame, point], corrected, atol=1e-4)
