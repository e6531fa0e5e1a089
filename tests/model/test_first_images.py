"""Folders of first images: what is read, and what is refused by name."""

import numpy as np
import pytest
from PIL import Image

from syncmv4d_model.data.first_images import read_first_images
from tests.model.coloured_shapes import write_shapes


@pytest.fixture
def folder(tmp_path):
    return write_shapes(tmp_path / "train", 5, seed=0) / "000004"


def test_images_masks_and_boxes_belong_together(folder):
    first = read_first_images(folder)
    assert first.task.startswith("use the rod") and first.tags == ("look_alikes", "missing_tool")
    assert np.isnan(first.boxes_px[:, 1]).all() and first.sizes == [(128, 72)] * 2
    for mask, boxes in zip(first.masks, first.boxes_px, strict=True):
        rows, columns = np.nonzero(mask == 3)
        assert boxes[2].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert read_first_images(folder, with_masks=False).masks == ()


def change(folder, **arrays):
    path = folder / "truth.npz"
    with np.load(path) as truth:
        kept = {key: truth[key] for key in truth}
    np.savez(path, **{key: value for key, value in (kept | arrays).items() if value is not None})


def boxes_with(folder, value, place):
    boxes = np.load(folder / "truth.npz")["boxes_px"]
    boxes[place] = value
    return boxes


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda f: (f / "view1.png").unlink(), FileNotFoundError, "no image .*view1.png"),
        (lambda f: (f / "view1.mask0.png").unlink(), FileNotFoundError, "no image .*view1.mask0.png"),
        (lambda f: (f / "view1.png").write_bytes(b"x"), ValueError, "cannot read .*view1.png"),
        (lambda f: Image.new("L", (5, 5)).save(f / "view0.mask0.png"), ValueError, "not of the same size"),
        (lambda f: Image.new("RGB", (5, 6)).save(f / "view0.png"), ValueError, "it is 5 x 6 px, expected 128 x 72"),
        (lambda f: change(f, boxes_px=None), ValueError, "it lacks boxes_px"),
        (lambda f: change(f, boxes_px=np.zeros((2, 2, 4))), ValueError, r"boxes_px must be \[2 3 4\]"),
        (lambda f: change(f, boxes_px=boxes_with(f, np.nan, (0, 0, 1))), ValueError, "only some edges are known"),
        (lambda f: change(f, boxes_px=boxes_with(f, -50, (0, 0, 2))), ValueError, "edge is before its left or top"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(folder, spoil, error, message):
    spoil(folder)
    with pytest.raises(error, match=message):
        read_first_images(folder)
