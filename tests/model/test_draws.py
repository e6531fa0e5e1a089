"""What is drawn for a training batch."""

from dataclasses import replace

import pytest
import torch

from syncmv4d_model.checkpoint import load_components
from syncmv4d_model.training.draws import Draw
from syncmv4d_model.training.plan import StagePlan
from syncmv4d_model.training.stages import make_stage


def texts_read(prepared, stage, monkeypatch, *, dropout):
    """Every text that the encoder is given while a stage's first losses are made."""
    components, cache = load_components(prepared[0]), prepared[1]
    read, tokenize = [], components.text_encoder.tokenize
    monkeypatch.setattr(components.text_encoder, "tokenize", lambda texts: read.extend(texts) or tokenize(texts))
    plan = StagePlan(stage, steps=1, batch_size=4, text_dropout=dropout, sampled_sequences=2)
    stage = make_stage(components, cache, plan, seed=0)
    if plan.stage == "joint_denoiser":
        read.clear()  # what the motion prior leaves over was measured first, with every text
    stage.losses(next(stage.batches(0)), torch.Generator().manual_seed(0))
    return read


@pytest.mark.parametrize("stage", ["motion_prior", "point_prior", "joint_denoiser", "point_aligner", "closed_loop"])
def test_a_task_is_dropped_as_often_as_the_plan_says(prepared, monkeypatch, stage):
    assert set(texts_read(prepared, stage, monkeypatch, dropout=1.0)) == {""}
    assert "" not in texts_read(prepared, stage, monkeypatch, dropout=0.0)


def test_a_plans_share_of_the_tasks_is_dropped(prepared):
    components, cache = load_components(prepared[0]), prepared[1]
    batch = next(cache.batches(batch_size=1, num_points=1, seed=0, first_step=0))
    draw = Draw(components, StagePlan("joint_denoiser", steps=1, text_dropout=0.3))
    texts = draw.texts(replace(batch, texts=["stir"] * 2000), torch.Generator().manual_seed(0))
    assert texts.count("") == pytest.approx(600, abs=80) and set(texts) == {"", "stir"}


@pytest.mark.parametrize("stage", ["rollouts", "heads"])
def test_the_sampler_always_reads_the_task(prepared, monkeypatch, stage):
    read = texts_read(prepared, stage, monkeypatch, dropout=1.0)
    assert read and "" not in read
