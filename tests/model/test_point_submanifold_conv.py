"""Submanifold convolution: both executors against each other and against a dense convolution."""

import importlib.util

import pytest
import torch

from syncmv4d_model.networks.submanifold_conv import SubmanifoldConv, VoxelGrid, voxelise


def cloud(groups: int, count: int, *, spread: float = 0.08, seed: int = 0) -> torch.Tensor:
    return torch.randn(groups, count, 3, generator=torch.Generator().manual_seed(seed)) * spread


def densely(convolution: SubmanifoldConv, features: torch.Tensor, grid: VoxelGrid) -> torch.Tensor:
    group, x, y, z = grid.coordinates.unbind(-1)
    low, high = grid.coordinates[:, 1:].amin(0), grid.coordinates[:, 1:].amax(0)
    shape = (high - low + 1).tolist()
    volume = torch.zeros(grid.num_groups, *shape, features.shape[1])
    volume[group, x - low[0], y - low[1], z - low[2]] = features
    out = torch.nn.functional.conv3d(
        volume.movedim(-1, 1), convolution.weight.movedim(-1, 1), convolution.bias, padding=1
    )
    return out.movedim(1, -1)[group, x - low[0], y - low[1], z - low[2]]


@pytest.mark.parametrize(("groups", "count", "in_width", "out_width"), [(1, 200, 8, 8), (3, 64, 4, 12), (2, 1, 3, 5)])
def test_the_torch_executor_equals_a_dense_convolution_on_occupied_voxels(groups, count, in_width, out_width):
    torch.manual_seed(0)
    grid = voxelise(cloud(groups, count), 0.04)
    convolution = SubmanifoldConv(in_width, out_width)
    torch.nn.init.normal_(convolution.bias)
    features = torch.randn(len(grid.keys), in_width)
    torch.testing.assert_close(
        convolution.convolve(features, grid), densely(convolution, features, grid), atol=1e-5, rtol=1e-5
    )


def test_the_spconv_executor_equals_the_torch_executor():
    if importlib.util.find_spec("spconv") is None:
        pytest.skip("spconv is not installed: pip install spconv (CPU) or spconv-cu126 (CUDA)")
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    grid = voxelise(cloud(4, 300), 0.04)
    ours, theirs = SubmanifoldConv(16, 24), SubmanifoldConv(16, 24, executor="spconv")
    theirs.load_state_dict(ours.state_dict())
    features = torch.randn(len(grid.keys), 16)
    with torch.no_grad():
        # Twice: the second convolution on a grid takes the neighbours that the first one found.
        differences = [ours.convolve(x, grid) - theirs.convolve(x, grid) for x in (features, 2 * features)]
    torch.set_num_threads(threads)
    assert all(difference.abs().max() < 1e-5 for difference in differences)
    assert grid.spconv_pairs


def test_spconv_asked_for_but_missing_fails_loudly():
    if importlib.util.find_spec("spconv") is not None:
        pytest.skip("spconv is installed here, so nothing is missing")
    grid = voxelise(cloud(1, 20), 0.04)
    with pytest.raises(ImportError, match="spconv"):
        SubmanifoldConv(4, 4, executor="spconv").convolve(torch.randn(len(grid.keys), 4), grid)


def test_spconv_refuses_several_cpu_threads():
    if importlib.util.find_spec("spconv") is None:
        pytest.skip("spconv is not installed: pip install spconv (CPU) or spconv-cu126 (CUDA)")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    grid = voxelise(cloud(1, 20), 0.04)
    try:
        with pytest.raises(ValueError, match="one CPU thread, got 2"):
            SubmanifoldConv(4, 4, executor="spconv").convolve(torch.randn(len(grid.keys), 4), grid)
    finally:
        torch.set_num_threads(threads)


def test_points_that_share_a_voxel_are_averaged_and_all_get_the_result():
    points = torch.tensor([[[0.01, 0.01, 0.01], [0.03, 0.02, 0.01], [0.3, 0.0, 0.0]]])
    grid = voxelise(points, 0.04)
    features = torch.tensor([[1.0], [3.0], [7.0]])
    assert grid.pool(features).flatten().tolist() == [2.0, 7.0]
    assert grid.scatter(grid.pool(features)).flatten().tolist() == [2.0, 2.0, 7.0]


def test_groups_at_the_same_place_do_not_touch():
    torch.manual_seed(0)
    points = cloud(1, 100).expand(2, -1, -1)
    features = torch.randn(200, 4)
    convolution = SubmanifoldConv(4, 4)
    together = convolution(features, voxelise(points, 0.04))
    alone = convolution(features[:100], voxelise(points[:1], 0.04))
    torch.testing.assert_close(together[:100], alone)


def test_points_far_outside_the_grid_stay_finite_and_apart_from_other_groups():
    points = torch.tensor([[[1e6, 1e6, 1e6]], [[-1e6, -1e6, -1e6]]])
    grid = voxelise(points, 0.04)
    assert all(len(voxel) == 0 for voxel, _ in grid.pairs)


def test_the_torch_executor_has_the_gradient_of_the_dense_convolution():
    torch.manual_seed(0)
    grid = voxelise(cloud(2, 40), 0.04)
    convolution = SubmanifoldConv(3, 3)
    features = torch.randn(len(grid.keys), 3, requires_grad=True)
    ours = torch.autograd.grad(convolution.convolve(features, grid).square().sum(), [features, convolution.weight])
    dense = torch.autograd.grad(densely(convolution, features, grid).square().sum(), [features, convolution.weight])
    for a, b in zip(ours, dense, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_a_voxel_without_size_is_refused():
    with pytest.raises(ValueError, match="got 0"):
        voxelise(cloud(1, 4), 0.0)
