"""Space-filling curves."""

import pytest
import torch

from syncmv4d_model.networks.serialization import (
    BITS,
    CURVES,
    cell_coordinates,
    curve_codes,
    curve_order,
    hilbert_codes,
)


def block_of_cells(size: int) -> torch.Tensor:
    axis = torch.arange(size)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)


@pytest.mark.parametrize("curve", CURVES)
def test_every_cell_has_its_own_code(curve):
    generator = torch.Generator().manual_seed(0)
    cells = torch.unique(torch.randint(0, 1 << BITS, (5000, 3), generator=generator), dim=0)
    codes = curve_codes(cells, curve)
    assert len(torch.unique(codes)) == len(cells)
    assert codes.min() >= 0
    assert codes.max() < 1 << (3 * BITS)


@pytest.mark.parametrize("curve", ["z", "z_transposed", "hilbert", "hilbert_transposed"])
def test_the_codes_of_a_power_of_two_block_at_the_origin_are_exactly_its_cell_count(curve):
    codes = curve_codes(block_of_cells(8), curve)
    assert torch.equal(codes.sort().values, torch.arange(512))


@pytest.mark.parametrize("size", [2, 4, 16])
@pytest.mark.parametrize("curve", ["hilbert", "hilbert_transposed"])
def test_consecutive_hilbert_cells_differ_by_one_step(size, curve):
    cells = block_of_cells(size)
    walk = cells[curve_codes(cells, curve).argsort()]
    assert torch.equal(walk.diff(dim=0).abs().sum(-1), torch.ones(size**3 - 1, dtype=torch.int64))


def test_hilbert_steps_stay_single_across_the_coarsest_octants():
    low = torch.tensor([[(1 << BITS) // 2 - 2] * 3])
    cells = block_of_cells(4) + low
    codes, order = hilbert_codes(cells).sort()
    consecutive = codes.diff() == 1
    steps = cells[order].diff(dim=0).abs().sum(-1)
    assert consecutive.sum() > 40
    assert (steps[consecutive] == 1).all()


def test_transposed_curves_are_the_curves_of_swapped_axes():
    cells = block_of_cells(4)
    assert torch.equal(curve_codes(cells, "z_transposed"), curve_codes(cells.flip(-1), "z"))
    assert torch.equal(curve_codes(cells, "hilbert_transposed"), curve_codes(cells.flip(-1), "hilbert"))


@pytest.mark.parametrize("curve", CURVES)
def test_points_in_one_cell_keep_their_order(curve):
    points = torch.full((1, 50, 3), 0.3)
    assert torch.equal(curve_order(points, curve, cell=0.1), torch.arange(50)[None])


def test_distant_points_go_to_the_border_cell():
    cells = cell_coordinates(torch.tensor([[1e9, -1e9, 0.0]]), 0.01)
    assert cells.tolist() == [[65535, 0, 32768]]
