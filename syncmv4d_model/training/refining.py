"""What the video refiner learns from: the codec's own latents of true videos, and latents that the sampler made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from syncmv4d_model.checkpoint import Components
from syncmv4d_model.data.loader import LatentCache
from syncmv4d_model.training.draws import Drawn
from syncmv4d_model.training.kept_samples import KeptSamples
from syncmv4d_model.training.plan import StagePlan
from syncmv4d_model.training.rollouts import draws_for_sampling, sample

Pair = tuple[Float[Tensor, "N C F h w"], Float[Tensor, "N T H W 3"]]
"""Latents, and the true videos that they should show, in [-1, 1]; N = sequences * views."""


@dataclass(frozen=True)
class VideoPairs:
    """True videos beside their latents. What was sampled is mended too, or a refiner would take a ghost that the
    sampler left on the background for a thing that has come there.
    """

    cache: LatentCache
    sampled: dict[int, Float[Tensor, "V C F h w"]]  # by the sequence's place in the cache

    def batches(self, plan: StagePlan, seed: int) -> Callable[[int], Iterator[Pair]]:
        """Drawn by step number: every second sequence of a batch is one that was sampled, where any was."""

        def draw(first_step: int) -> Iterator[Pair]:
            drawn = self.cache.indices(batch_size=plan.batch_size, seed=seed, first_step=first_step)
            for step, indices in enumerate(drawn, start=first_step):
                chosen = np.random.default_rng([seed, step]).permutation(sorted(self.sampled))[: len(indices) // 2]
                own = indices[: len(indices) - len(chosen)]
                latents = [self.cache.read(index)[0]["video"].float() for index in own]
                latents += [self.sampled[index] for index in chosen.tolist()]
                videos = [self.cache.video(index) for index in (*own, *chosen.tolist())]
                yield torch.cat(latents), torch.cat(videos)

        return draw


@torch.no_grad()
def sample_videos(
    components: Components, cache: LatentCache, *, count: int, seed: int, kept: KeptSamples | None = None
) -> VideoPairs:
    """Run the sampler with the shipped number of steps on `count` sequences and keep the video latents. What `kept` holds is
    not sampled again; OutOfTime when its limit is over.
    """
    sampled = {}
    for number, (place, drawn) in enumerate(draws_for_sampling(components, cache, count=count, seed=seed)):

        def made(drawn: Drawn = drawn) -> dict[str, Tensor]:
            return {"video": sample(components, drawn).state.video[0].cpu()}

        sampled[place] = (made() if kept is None else kept.tensors(number, count, made))["video"].cpu()
    return VideoPairs(cache, sampled)
