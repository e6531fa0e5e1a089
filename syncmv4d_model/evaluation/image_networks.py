"""The published networks behind the appearance scores: DINO, RAFT, CLIP and a matcher, loaded when a score first asks.

They are slow and their weights are not ours, so they are asked for by name, from a local folder or the local hub cache. A
network whose weights are not on this machine has a reason in place of its scores: nothing is downloaded, none stands in for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.network_weights import PublishedFile, Weights, find_file, find_folder

DINO_ID = "facebook/dino-vitb16"
CLIP_ID = "openai/clip-vit-large-patch14"
RAFT_FILE = PublishedFile(
    "raft_large_C_T_V1-22a6c225.pth",
    "https://download.pytorch.org/models/raft_large_C_T_V1-22a6c225.pth",
    digest="22a6c225",
)
"""RAFT as its authors trained it on chairs and things, in torchvision's names."""
GIM_FILE = PublishedFile(
    "gim_lightglue_100h.ckpt", "https://github.com/xuelunshen/gim/raw/main/weights/gim_lightglue_100h.ckpt"
)

NETWORKS = {"dino": DINO_ID, "raft": RAFT_FILE.name, "clip": CLIP_ID, "matcher": GIM_FILE.name}
"""What can be asked for, and what it is unless another source is given."""

FLOW_UPDATES = 20
MATCH_THRESHOLD = 0.5
MINIMUM_SAMPLED = 3
BATCH = 16

NETWORK_RULES = {
    "subject_consistency": "VBench: cosines of DINO's class token, all frames of all views as videos, short side 224 px, bilinear, not "
    "antialiased; mean over frames and views of a sequence, then over sequences: VBench's own where all are equally long",
    "dynamic_degree": "VBench: share of all views' videos that are dynamic by RAFT's flow at 8 frames a second; a video with a side below "
    "128 px, which RAFT cannot take, is first scaled up to it; fewer than 3 such frames are refused, VBench calls any 2 dynamic",
    "clip_v": "100 x cosine of CLIP's projected image embeddings between views at the same time; short side to CLIP's, bicubic, not "
    "antialiased, the square in the middle",
    "matching_pixels": "matches between views at the same time, SuperPoint and LightGlue, mean per pair of views and frame; "
    "matching_pixels_total_k: thousands per sequence. SynCamMaster publishes neither threshold nor matcher: see settings",
    "true_": "the same score of the true videos",
}

Video = UInt8[np.ndarray, "V T H W 3"]


@dataclass
class ImageNetworks:
    """The networks of one evaluation; each is looked up and loaded once. `sources`: name -> its hub id or path."""

    sources: Mapping[str, str]
    device: str = "cpu"
    _found: dict[str, Weights | str] = field(default_factory=dict, repr=False)  # weights, or why there are none
    _ready: dict[str, Any] = field(default_factory=dict, repr=False)  # a network, or why there is none
    _matched: tuple[Any, list[np.ndarray]] | None = field(default=None, repr=False)  # the last video and its matches

    def __post_init__(self) -> None:
        if unknown := set(self.sources) - set(NETWORKS):
            raise ValueError(f"there is no network {min(unknown)!r}, only {', '.join(NETWORKS)}")

    def find(self) -> tuple[dict[str, str], dict[str, str]]:
        """(network -> whose weights it will have, network -> why it has none); loads nothing."""
        found, missing = {}, {}
        for name in self.sources:
            try:
                found[name] = self._weights(name).identity
            except ValueError as error:
                missing[name] = str(error)
        return found, missing

    def settings(self) -> dict[str, str]:
        """For a report: whose weights its numbers belong to, and the choices that the papers leave open."""
        found, missing = self.find()
        recorded = {name: found.get(name, "none: see not_computed") for name in [*found, *missing]}
        if "raft" in recorded:
            recorded["raft"] += f", {FLOW_UPDATES} updates"
        if "matcher" in recorded:
            recorded["matcher"] += f", confidence > {MATCH_THRESHOLD}"
        return recorded | {"device": self.device}

    def subject_consistency(self, video: Video) -> float:
        """Of one sequence: all its views are videos. ValueError without the network; as metrics.subject_consistency."""
        network = self._network("dino")
        return metrics.subject_consistency([self._batched(network, view) for view in video])

    def dynamic_degree(self, video: Video, *, frame_period_s: float) -> float:
        """Share of the views' videos that move. ValueError without the network, and for fewer than 3 frames at 8 a second."""
        network = self._network("raft")
        kept = metrics.sampled_frames(video.shape[1], 1 / frame_period_s)
        if len(kept) < MINIMUM_SAMPLED:
            raise ValueError(
                f"{len(kept)} frames at VBench's 8 a second; it calls any video of 2 dynamic, and has none of 1"
            )
        decisions = []
        for view in video:
            flows, height, width = network(view[kept])
            decisions.append(metrics.is_dynamic(flows, height, width, len(kept)))
        return metrics.dynamic_degree(np.array(decisions))

    def clip_v(self, video: Video) -> float:
        """ValueError without the network; as metrics.clip_views."""
        network = self._network("clip")
        return metrics.clip_views(np.stack([self._batched(network, view) for view in video]))

    def matching_pixels(self, video: Video) -> float:
        """Mean number of matches per pair of views and frame."""
        return metrics.matching_pixels(self._matches(video), MATCH_THRESHOLD)

    def matching_pixels_total_k(self, video: Video) -> float:
        """Thousands of matches over all pairs of views and frames."""
        return metrics.matching_pixels_total(self._matches(video), MATCH_THRESHOLD)

    def _matches(self, video: Video) -> list[np.ndarray]:
        """Confidences of the matches of every pair of views at every frame."""
        if self._matched is None or self._matched[0] is not video:
            network = self._network("matcher")
            pairs = combinations(range(len(video)), 2)
            found = [network(video[[i, j], frame]) for i, j in pairs for frame in range(video.shape[1])]
            self._matched = (video, found)
        return self._matched[1]

    @staticmethod
    def _batched(network: Callable[[np.ndarray], np.ndarray], view: np.ndarray) -> Float[np.ndarray, "T D"]:
        return np.concatenate([network(view[start : start + BATCH]) for start in range(0, len(view), BATCH)])

    def _weights(self, name: str) -> Weights:
        """Looked up, and large files digested, once; ValueError as find_weights, the same every time."""
        if name not in self._found:
            try:
                self._found[name] = find_weights(name, self.sources[name])
            except ValueError as error:
                self._found[name] = str(error)
        found = self._found[name]
        if isinstance(found, str):
            raise ValueError(found)
        return found

    def _network(self, name: str) -> Callable[..., Any]:
        """The network as a function of frames; ValueError where it was not asked for or cannot be had, the same every time."""
        if name not in self.sources:
            raise ValueError(f"not asked for: --networks {name}")
        if name not in self._ready:
            try:
                self._ready[name] = LOADERS[name](self._weights(name), self.device)
            except ValueError as error:
                self._ready[name] = error
        if isinstance(self._ready[name], ValueError):
            raise ValueError(str(self._ready[name]))
        return self._ready[name]


def parse_networks(asked: Iterable[str]) -> dict[str, str]:
    """`dino clip=FOLDER` or `all` -> what each network's source is. ValueError for a name that is none or is given twice."""
    sources: dict[str, str] = {}
    for word in asked:
        name, _, source = word.partition("=")
        names = list(NETWORKS) if word == "all" else [name]
        for name in names:
            if name not in NETWORKS:
                raise ValueError(f"there is no network {name!r}, only {', '.join(NETWORKS)} and all")
            if name in sources:
                raise ValueError(f"network {name} is asked for twice")
            sources[name] = source or NETWORKS[name]
    return sources


def find_weights(name: str, source: str) -> Weights:
    """Of the network `name` on this machine. Errors as find_folder and find_file."""
    if name == "dino":
        return find_folder(source, model_type=("vit",))
    if name == "clip":
        return find_folder(source, model_type=("clip", "clip_vision_model"))
    if name == "raft":
        return find_file(None if source == RAFT_FILE.name else source, RAFT_FILE)
    if source == GIM_FILE.name or source.endswith((".ckpt", ".pth", ".safetensors")):
        return find_file(None if source == GIM_FILE.name else source, GIM_FILE)
    return find_folder(source, model_type=("lightglue",))


def _load_dino(weights: Weights, device: str) -> Callable[[np.ndarray], np.ndarray]:
    import torch
    from transformers import ViTModel

    from syncmv4d_model.evaluation.network_inputs import dino_input
    from syncmv4d_model.evaluation.vision_transformers import load_complete, positions_as_dino

    network = load_complete(ViTModel, weights.path, add_pooling_layer=False).to(device)
    positions_as_dino(network)

    @torch.no_grad()
    def class_tokens(frames: np.ndarray) -> np.ndarray:
        pixels = dino_input(torch.from_numpy(frames).to(device))
        return network(pixels, interpolate_pos_encoding=True).last_hidden_state[:, 0].float().cpu().numpy()

    return class_tokens


def _load_clip(weights: Weights, device: str) -> Callable[[np.ndarray], np.ndarray]:
    import torch
    from transformers import CLIPVisionModelWithProjection

    from syncmv4d_model.evaluation.network_inputs import clip_input
    from syncmv4d_model.evaluation.vision_transformers import load_complete

    network = load_complete(CLIPVisionModelWithProjection, weights.path).to(device)

    @torch.no_grad()
    def embeddings(frames: np.ndarray) -> np.ndarray:
        pixels = clip_input(torch.from_numpy(frames).to(device), network.config.image_size)
        return network(pixels).image_embeds.float().cpu().numpy()

    return embeddings


def _load_raft(weights: Weights, device: str) -> Callable[[np.ndarray], tuple[np.ndarray, int, int]]:
    import torch

    from syncmv4d_model.evaluation.network_inputs import raft_input
    from syncmv4d_model.evaluation.network_weights import read_tensors
    from syncmv4d_model.networks.raft import Raft

    network = Raft().eval()
    try:
        network.load_state_dict(read_tensors(weights.path))
    except RuntimeError as error:
        raise ValueError(
            f"{weights.path} has not the weights of raft_large: {' '.join(str(error).split())[:300]}"
        ) from error
    network.to(device)

    @torch.no_grad()
    def flows(frames: np.ndarray) -> tuple[np.ndarray, int, int]:
        """Flow between neighbouring frames, and the size that its threshold goes by."""
        images, height, width = raft_input(torch.from_numpy(frames).to(device))
        pairs = zip(images[:-1, None], images[1:, None], strict=True)
        return (
            np.concatenate([network(*pair, updates=FLOW_UPDATES).float().cpu().numpy() for pair in pairs]),
            height,
            width,
        )

    return flows


def _load_matcher(weights: Weights, device: str) -> Callable[[np.ndarray], np.ndarray]:
    import torch
    from transformers import LightGlueForKeypointMatching

    from syncmv4d_model.evaluation.matchers import confidences, load_gim
    from syncmv4d_model.evaluation.network_inputs import matcher_input
    from syncmv4d_model.evaluation.vision_transformers import load_complete

    from_folder = weights.path.is_dir()
    loaded = load_complete(LightGlueForKeypointMatching, weights.path) if from_folder else load_gim(weights.path)
    network = loaded.to(device)

    def matches(pair: np.ndarray) -> np.ndarray:
        first, second = matcher_input(torch.from_numpy(pair).to(device))
        return confidences(network, first, second)

    return matches


LOADERS: dict[str, Callable[[Weights, str], Callable[..., Any]]] = {
    "dino": _load_dino,
    "raft": _load_raft,
    "clip": _load_clip,
    "matcher": _load_matcher,
}
