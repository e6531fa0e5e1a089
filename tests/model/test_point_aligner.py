"""The point aligner: what it promises at initialisation, and what it may depend on."""

import dataclasses

import pytest
import torch

from syncmv4d_model.config import WAN5B, ModelConfig, PointAlignerConfig, SwitchConfig
from syncmv4d_model.networks.point_aligner import PointAligner, fill_coarse

SMALL = PointAlignerConfig(width=32, blocks=3, heads=4, patch_points=16, voxel_m=0.02)


def small_aligner(*, multi_view: bool = True, perturbed: bool = True, seed: int = 0) -> PointAligner:
    torch.manual_seed(seed)
    aligner = PointAligner(ModelConfig(point_aligner=SMALL, switches=SwitchConfig(multi_view=multi_view)))
    if perturbed:
        for parameter in aligner.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return aligner


def inputs(
    B: int = 2, V: int = 3, T: int = 5, K: int = 18, *, t: float = 0.6, seed: int = 1
) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(B, V, 1, K, 3, generator=generator) * 0.3
    coarse = coarse + torch.randn(B, V, T, K, 3, generator=generator) * 0.05
    return {
        "tracks": coarse + t * torch.randn(B, V, T, K, 3, generator=generator),
        "coarse": coarse,
        "valid": torch.rand(B, V, T, K, generator=generator) > 0.2,
        "t": torch.full((B,), t),
        "anchor_pixels": torch.rand(B, V, K, 2, generator=generator),
        "anchor_colours": torch.rand(B, V, K, 3, generator=generator) * 2 - 1,
    }


def permuted(given: dict[str, torch.Tensor], order: torch.Tensor) -> dict[str, torch.Tensor]:
    axis = {"tracks": 3, "coarse": 3, "valid": 3, "anchor_pixels": 2, "anchor_colours": 2}
    return {name: value.index_select(axis[name], order) if name in axis else value for name, value in given.items()}


@pytest.mark.parametrize("t", [0.01, 0.6])
def test_reordering_the_points_reorders_the_result(t):
    aligner, given = small_aligner(), inputs(t=t)
    order = torch.randperm(18, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        before, after = aligner(**given), aligner(**permuted(given, order))
    torch.testing.assert_close(after.clean, before.clean[:, :, :, order], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(after.label_logits, before.label_logits[:, :, order], atol=1e-5, rtol=1e-4)


def test_reordering_the_views_reorders_the_result():
    aligner, given = small_aligner(), inputs()
    order = torch.tensor([2, 0, 1])
    swapped = {name: value if name == "t" else value[:, order] for name, value in given.items()}
    with torch.no_grad():
        torch.testing.assert_close(aligner(**swapped).clean, aligner(**given).clean[:, order], atol=1e-5, rtol=1e-4)


def test_the_result_at_initialisation_is_the_filled_coarse_track():
    given = inputs()
    aligned = small_aligner(perturbed=False)(**given)
    filled = fill_coarse(given["coarse"], given["valid"])
    torch.testing.assert_close(aligned.clean, filled)
    torch.testing.assert_close(aligned.velocity, (given["tracks"] - filled) / 0.6)


def test_the_loss_reaches_every_parameter():
    aligner = small_aligner()
    aligned = aligner(**inputs())
    sum((value * torch.randn_like(value)).sum() for value in vars(aligned).values()).backward()
    untouched = [name for name, p in aligner.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert untouched == []


def test_the_timestep_changes_the_result():
    aligner, given = small_aligner(), inputs()
    with torch.no_grad():
        later = aligner(**{**given, "t": torch.full((2,), 0.9)})
        assert (aligner(**given).clean - later.clean).abs().max() > 1e-3


@pytest.mark.parametrize("multi_view", [True, False])
def test_a_batch_gives_what_its_members_give_alone(multi_view):
    aligner, given = small_aligner(multi_view=multi_view), inputs()
    given["t"] = torch.tensor([0.02, 0.8])
    with torch.no_grad():
        together = aligner(**given)
        for i in range(2):
            alone = aligner(**{name: value[i : i + 1] for name, value in given.items()})
            for name, value in vars(alone).items():
                torch.testing.assert_close(getattr(together, name)[i : i + 1], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("multi_view", [True, False])
def test_views_talk_exactly_when_the_switch_says_so(multi_view):
    aligner, given = small_aligner(multi_view=multi_view), inputs()
    moved = {**given, "coarse": given["coarse"].clone()}
    moved["coarse"][:, 0] += 0.1
    with torch.no_grad():
        change = (aligner(**given).clean - aligner(**moved).clean)[:, 1:].abs().max()
    assert (change > 1e-5) == multi_view


def test_one_frame_s_coarse_points_reach_the_other_frames_of_the_track():
    aligner, given = small_aligner(), inputs()
    moved = {**given, "coarse": given["coarse"].clone()}
    moved["coarse"][:, :, 0] += 0.1
    with torch.no_grad():
        assert (aligner(**given).clean - aligner(**moved).clean)[:, :, 1:].abs().max() > 1e-5


@pytest.mark.parametrize("t", [0.0, 1.0])
@pytest.mark.parametrize("share_valid", [0.0, 0.5, 1.0])
def test_results_and_gradients_are_finite_at_the_ends_of_time(t, share_valid):
    aligner, given = small_aligner(), inputs(t=t)
    given["valid"] = torch.rand(given["valid"].shape) < share_valid
    aligned = aligner(**given)
    sum(value.square().mean() for value in vars(aligned).values()).backward()
    assert all(value.isfinite().all() for value in vars(aligned).values())
    assert all(p.grad.isfinite().all() for p in aligner.parameters())


@pytest.mark.parametrize(("V", "T", "K"), [(1, 1, 1), (4, 9, 7), (2, 5, 50)])
def test_any_number_of_views_frames_and_points_is_accepted(V, T, K):
    aligned = small_aligner()(**inputs(1, V, T, K))
    assert aligned.velocity.shape == (1, V, T, K, 3)
    assert aligned.visible_logit.shape == (1, V, T, K)
    assert aligned.label_logits.shape == (1, V, K, 4)
    assert aligned.log_variance.shape == (1, V, T, K)


def test_it_runs_under_bfloat16_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        aligned = small_aligner()(**inputs())
    assert aligned.velocity.dtype == torch.float32
    assert aligned.velocity.isfinite().all()


def test_it_overfits_one_small_batch():
    aligner, given = small_aligner(perturbed=False), inputs(1)
    truth = given["coarse"] + torch.randn(1, 3, 1, 18, 3, generator=torch.Generator().manual_seed(5)) * 0.3
    optimiser = torch.optim.AdamW(aligner.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = (aligner(**given).clean - truth).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_the_paper_s_size_has_eight_blocks_of_width_256():
    with torch.device("meta"):
        aligner = PointAligner(WAN5B)
    assert len(aligner.blocks) == 8
    assert aligner.width == 256


def coarse_of_times(values: list[float], valid: list[bool]) -> tuple[torch.Tensor, torch.Tensor]:
    coarse = torch.tensor(values)[None, None, :, None, None].expand(-1, -1, -1, -1, 3)
    return coarse, torch.tensor(valid)[None, None, :, None]


def test_an_invalid_time_takes_the_nearest_valid_one_and_the_earlier_of_two():
    coarse, valid = coarse_of_times(
        [9.0, 1.0, 9.0, 9.0, 9.0, 5.0, 9.0], [False, True, False, False, False, True, False]
    )
    assert fill_coarse(coarse, valid)[0, 0, :, 0, 0].tolist() == [1.0, 1.0, 1.0, 1.0, 5.0, 5.0, 5.0]


def test_valid_points_are_left_as_they_are():
    given = inputs()
    filled = fill_coarse(given["coarse"], given["valid"])
    assert torch.equal(filled[given["valid"]], given["coarse"][given["valid"]])


def test_a_point_never_valid_takes_the_mean_of_its_view_in_that_frame():
    coarse = torch.arange(4.0)[:, None].expand(-1, 3) + torch.tensor([0.0, 10.0])[:, None, None]  # [T K 3]
    valid = torch.ones(1, 1, 2, 4, dtype=torch.bool)
    valid[..., 3] = False
    filled = fill_coarse(coarse[None, None].clone(), valid)
    assert filled[0, 0, :, 3, 0].tolist() == [1.0, 11.0]


def test_a_view_without_valid_points_takes_the_mean_of_the_other_views():
    coarse = torch.tensor([1.0, 3.0, 100.0])[None, :, None, None, None].expand(-1, -1, 2, 4, 3)
    valid = torch.ones(1, 3, 2, 4, dtype=torch.bool)
    valid[:, 2] = False
    assert (fill_coarse(coarse, valid)[:, 2] == 2.0).all()


def test_nothing_valid_at_all_gives_the_centre_of_the_scene():
    given = inputs()
    assert (fill_coarse(given["coarse"], torch.zeros_like(given["valid"])) == 0).all()


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="got 30 and 4"):
        PointAligner(ModelConfig(point_aligner=dataclasses.replace(SMALL, width=30)))
