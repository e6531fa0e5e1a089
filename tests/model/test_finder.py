"""The finder: what it finds, what it learns, and that neither depends on chance."""

import multiprocessing
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from syncmv4d_cli.train_finder import WIDTH
from syncmv4d_model.config import FinderConfig
from syncmv4d_model.data.first_images import read_first_images
from syncmv4d_model.data.sequence import list_sequences
from syncmv4d_model.data.window import ObjectFinder
from syncmv4d_model.finder_files import CheckpointFinder, load_finder, save_finder
from syncmv4d_model.networks.finder import Finder, fit_canvas, from_canvas, mark_inside, to_canvas
from syncmv4d_model.networks.text import train_tokenizer
from syncmv4d_model.training.finder import FinderPlan, overlap, train_finder, validate
from syncmv4d_model.training.finder_data import pixels_of_objects, read_views, vary
from syncmv4d_model.training.time_limit import TimeLimit
from tests.model.coloured_shapes import write_shapes

SMALL = FinderConfig(width=16, text_width=24, max_tokens=12, vocabulary=80, canvas_height=48, canvas_width=64)
SENTENCES = [f"use the rod to push the {colour} box" for colour in ("red", "blue")]


def fresh_finder(seed: int = 0) -> Finder:
    torch.manual_seed(seed)
    return Finder(SMALL, train_tokenizer(SENTENCES, SMALL.vocabulary)).eval()


def views_of(finder, data, split):
    paths = list_sequences(data, split)
    return read_views(paths, finder.config, finder.tokenize, progress=lambda done, total: None)


def train(finder, views, run_dir, *, steps, plan_steps=None, seed=0):
    """Train up to `steps` of a plan; fewer is a slice that ends early."""
    run_dir.mkdir(exist_ok=True)
    plan = FinderPlan(steps=plan_steps or steps, batch=16, learning_rate=4e-3, warmup_steps=20, ema_decay=0.97)

    class Limit(TimeLimit):
        asked = 0

        def over(self):
            type(self).asked += 1
            return type(self).asked > steps

    return train_finder(
        finder, views, plan, run_dir=run_dir, seed=seed, limit=Limit(), report=lambda step, figures: None
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    write_shapes(folder / "train", 120, seed=1)
    write_shapes(folder / "val", 30, seed=2)
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    finder = fresh_finder()
    train(finder, views_of(finder, data, "train"), tmp_path_factory.mktemp("run"), steps=400)
    return finder


def test_the_bundled_size_keeps_to_its_budget_of_weights():
    config = FinderConfig(width=WIDTH)
    finder = Finder(config, train_tokenizer(SENTENCES, config.vocabulary))
    assert sum(parameter.numel() for parameter in finder.parameters()) <= 210_000


@pytest.mark.parametrize("size", [(640, 480), (320, 180), (96, 96), (90, 160), (33, 17)])
def test_the_whole_image_lies_on_the_canvas_and_boxes_come_back_from_it(size):
    fit = fit_canvas(*size, width=64, height=48)
    boxes = np.array([[0.0, 0, *size], [1, 2, 5.5, 7.25]])
    on_canvas = to_canvas(boxes, fit, width=64)
    assert on_canvas.min() > -1e-9 and (on_canvas[:, 2:] <= [64 + 1e-9, 48 + 1e-9]).all()
    assert np.isclose((on_canvas[0, 2:] - on_canvas[0, :2]) / [64, 48], 1).any()
    np.testing.assert_allclose(from_canvas(on_canvas, fit, size, width=64), boxes, atol=1e-9)
    inside = mark_inside(*size, fit, width=64, height=48)
    area = np.prod(on_canvas[0, 2:] - on_canvas[0, :2])
    assert abs(inside.sum() - area) <= 64 + 48


def test_views_of_any_size_are_found_one_by_one_or_together_with_the_same_bits(trained, data):
    images = [read_first_images(path).images[0] for path in list_sequences(data, "val", limit=3)]
    assert len({image.shape for image in images}) == 3
    texts = [SENTENCES[0], SENTENCES[1], "unheard of words"]
    together = trained.find(images, texts)
    assert together.boxes_px.shape == (3, 3, 4) and together.confidence.shape == (3, 3)
    for view, (image, text) in enumerate(zip(images, texts, strict=True)):
        alone = trained.find([image], [text])
        np.testing.assert_array_equal(alone.boxes_px[0], together.boxes_px[view])
        boxes = alone.boxes_px[alone.is_found]
        assert (boxes >= 0).all() and (boxes[:, 2:] <= [image.shape[1], image.shape[0]]).all()


def test_another_number_of_sentences_than_of_images_is_refused(trained):
    with pytest.raises(ValueError, match="1 images need as many texts, got 2"):
        trained.find([np.zeros((48, 64, 3), np.uint8)], ["a", "b"])


def test_training_finds_the_objects_of_images_that_it_never_saw(trained, data):
    views = views_of(trained, data, "val")
    before, after = validate(fresh_finder(), views), validate(trained, views)
    assert after["contained"] > 0.85
    assert after["side_ratio"] < 1.6 < before["side_ratio"]
    assert mean_overlap(trained, data) > 0.45 > mean_overlap(fresh_finder(), data) + 0.2


def mean_overlap(finder, data):
    open_finder = fresh_finder()
    open_finder.load_state_dict(finder.state_dict())
    open_finder.config = replace(SMALL, threshold=0.0)
    values = []
    for path in list_sequences(data, "val"):
        first = read_first_images(path, with_masks=False)
        boxes = open_finder.find(first.images, [first.task] * 2).boxes_px
        seen = np.isfinite(first.boxes_px).all(-1)
        values.append(overlap(torch.from_numpy(boxes[seen]), torch.from_numpy(first.boxes_px[seen]).double()).numpy())
    return float(np.concatenate(values).mean())


def test_the_colour_in_the_sentence_decides_between_two_boxes(trained, data):
    right = []
    for path in list_sequences(data, "val"):
        first = read_first_images(path)
        other = next(sentence for sentence in SENTENCES if sentence != first.task)
        for image, boxes in zip(first.images, first.boxes_px, strict=True):
            asked, swapped = (trained.find([image], [text]).boxes_px[0, 2] for text in (first.task, other))
            distances = [abs((box[:2] + box[2:] - boxes[2, :2] - boxes[2, 2:]) / 2).max() for box in (asked, swapped)]
            right.append(distances[0] < 8 and not distances[1] < 8)
    assert np.mean(right) > 0.8


def test_a_missing_tool_is_not_found(trained, data):
    figures = validate(trained, views_of(trained, data, "val"))
    assert figures["tool_right"] > 0.9


def test_a_few_images_are_learnt_by_heart(tmp_path):
    write_shapes(tmp_path / "train", 3, seed=5)
    finder = fresh_finder()
    views = views_of(finder, tmp_path, "train")
    train(finder, views, tmp_path / "run", steps=250)
    figures = validate(finder, views)
    assert figures["contained"] == 1 and figures["side_ratio"] < 1.7


def test_a_run_in_slices_ends_with_the_same_bits(tmp_path):
    write_shapes(tmp_path / "train", 4, seed=6)
    whole, sliced = fresh_finder(), fresh_finder()
    views = views_of(whole, tmp_path, "train")
    assert train(whole, views, tmp_path / "whole", steps=7) == 7
    assert train(fresh_finder(), views, tmp_path / "sliced", steps=3, plan_steps=7) == 3
    assert train(sliced, views, tmp_path / "sliced", steps=9, plan_steps=7) == 7
    for key, value in whole.state_dict().items():
        assert torch.equal(value, sliced.state_dict()[key]), key
    other = fresh_finder()
    train(other, views, tmp_path / "other", steps=7, seed=1)
    assert not torch.equal(other.stem[0][0].weight, whole.stem[0][0].weight)


def test_varied_views_keep_box_and_mask_together(data):
    finder = fresh_finder()
    views = views_of(finder, data, "train")
    generator = torch.Generator().manual_seed(3)
    batch = vary(views, torch.arange(64), generator)
    assert not torch.equal(batch.boxes.nan_to_num(), views.take(torch.arange(64)).boxes.nan_to_num())
    pixels = pixels_of_objects(batch.mask, batch.boxes)
    for view, boxes in enumerate(batch.boxes):
        for index, box in enumerate(boxes):
            if not box.isfinite().all():
                continue
            rows, columns = pixels[view, index].nonzero().T
            shown = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert (shown - box).abs().max() <= 1.6, (view, index)
    low, high = batch.extent[:, None, :2], batch.extent[:, None, 2:]
    finite = batch.boxes.isfinite().all(-1, keepdim=True)
    assert ((batch.boxes[..., :2] >= low - 1e-3) | ~finite).all()
    assert ((batch.boxes[..., 2:] <= high + 1e-3) | ~finite).all()


def test_colours_stay_where_the_sentence_names_one_and_sides_where_it_names_one(data):
    finder = fresh_finder()
    views = views_of(finder, data, "train")
    assert views.keeps_colour.all() and not views.keeps_sides.any()
    index = torch.arange(96)

    def red_is_red(kept: bool) -> float:
        flagged = replace(views, keeps_colour=torch.full_like(views.keeps_colour, kept))
        batch = vary(flagged, index, torch.Generator().manual_seed(0))
        truth = views.take(index)
        right = []
        for view in range(len(index)):
            before, after = (
                (b.colour[view][b.mask[view] == 3].float().mean(0), b.mask[view] == 3) for b in (truth, batch)
            )
            if after[1].any():
                right.append(bool(before[0].argmax() == after[0].argmax()))
        return float(np.mean(right))

    assert red_is_red(True) > 0.97 > red_is_red(False)
    told = replace(views, keeps_sides=torch.ones_like(views.keeps_sides))
    for flagged, share in ((told, 0.0), (views, 0.5)):
        batch = vary(flagged, index, torch.Generator().manual_seed(0))
        before, after = ((b.boxes[:, 2, 0] + b.boxes[:, 2, 2]) / 2 - 32 for b in (views.take(index), batch))
        far = before.abs() > 20
        assert abs(float((before * after < 0)[far].float().mean()) - share) < 0.2


def test_a_finder_alone_is_what_was_saved_and_works_in_another_process(trained, data, tmp_path):
    save_finder(tmp_path / "finder", trained)
    first = read_first_images(list_sequences(data, "val")[0])
    find = CheckpointFinder(tmp_path / "finder")
    assert isinstance(find, ObjectFinder)
    threads = torch.get_num_threads()
    try:
        here = find(first.images, first.task)
    finally:
        torch.set_num_threads(threads)
    assert here.is_found[:, 0].all()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(pickle.loads(pickle.dumps(find)), (first.images, first.task))
    np.testing.assert_array_equal(here.boxes_px, there.boxes_px)
    loaded = load_finder(tmp_path / "finder")
    assert torch.equal(loaded.stem[0][0].weight, trained.stem[0][0].weight.half().float())


def test_the_callable_for_data_set_builders_is_made_without_torch():
    program = (
        "import sys; sys.modules['torch'] = None;"
        "from syncmv4d_model.finder_files import CheckpointFinder; CheckpointFinder('x')"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_overlap_is_one_for_the_same_box_and_negative_far_away():
    box = torch.tensor([0.0, 0, 2, 2])
    assert overlap(box, box).item() == pytest.approx(1)
    assert overlap(box, torch.tensor([1.0, 0, 3, 2])).item() == pytest.approx(1 / 3)
    assert overlap(box, torch.tensor([10.0, 0, 12, 2])).item() == pytest.approx(-16 / 24)
