"""The networks behind the appearance scores: real architectures, small or with seeded weights, loaded from real files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, ViTConfig, ViTModel

from syncmv4d_model.evaluation import image_networks, metrics
from syncmv4d_model.evaluation.harness import evaluate
from syncmv4d_model.evaluation.image_networks import NETWORKS, ImageNetworks, parse_networks
from syncmv4d_model.evaluation.matchers import confidences, load_gim
from syncmv4d_model.evaluation.network_inputs import clip_input, dino_input, matcher_input, raft_input
from syncmv4d_model.evaluation.network_weights import PublishedFile, find_file, find_folder
from syncmv4d_model.evaluation.vision_transformers import positions_as_dino
from syncmv4d_model.networks.raft import Raft
from tests.model.known_error import KnownError, same
from tests.model.seeded_networks import fill, gim_checkpoint, moved_noise, two_views

ORACLES = Path(__file__).parents[1] / "data" / "oracles"
RNG = np.random.default_rng(0)
T, SIZE = 5, 40


def oracle(name: str) -> dict[str, np.ndarray]:
    with np.load(ORACLES / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder or file per network. RAFT has its own size and random weights; its flow is then large everywhere."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    vit = ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48)
    ViTModel(vit, add_pooling_layer=False).save_pretrained(folder / "dino")
    clip = CLIPVisionConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, projection_dim=24
    )
    CLIPVisionModelWithProjection(clip).save_pretrained(folder / "clip")
    torch.save(fill(Raft()).state_dict(), folder / "raft.pth")
    torch.save({"state_dict": gim_checkpoint()}, folder / "gim.ckpt")
    return {
        "dino": str(folder / "dino"),
        "clip": str(folder / "clip"),
        "raft": str(folder / "raft.pth"),
        "matcher": str(folder / "gim.ckpt"),
    }


@pytest.fixture
def nothing_here(tmp_path, monkeypatch):
    """A machine whose caches are empty."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "torch"))
    return tmp_path


def noise(views: int = 2) -> np.ndarray:
    return RNG.integers(0, 256, (views, T, SIZE, SIZE, 3), dtype=np.uint8)


def still(views: int = 2) -> np.ndarray:
    return np.repeat(noise(views)[:, :1], T, axis=1)


@pytest.mark.parametrize("i", [0, 2])
def test_inputs_of_dino_and_clip_are_vbenchs(i):
    keys = oracle("subject_consistency")
    video = torch.from_numpy(keys[f"pre{i}_in"]).permute(0, 2, 3, 1).contiguous()
    for name, made in (("dino", dino_input(video)), ("clip", clip_input(video, 224))):
        assert tuple(made.shape) == tuple(keys[f"pre{i}_{name}_shape"])
        np.testing.assert_allclose(made[..., ::16, ::16].numpy(), keys[f"pre{i}_{name}_sub"], rtol=1e-4, atol=2e-6)
        np.testing.assert_allclose(made.mean((2, 3)).numpy(), keys[f"pre{i}_{name}_mean"], rtol=1e-4, atol=2e-6)


def test_dinos_position_table_is_enlarged_as_its_authors_do():
    keys = oracle("networks")
    config = ViTConfig(image_size=64, patch_size=16, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
    network = ViTModel(config, add_pooling_layer=False)
    network.embeddings.position_embeddings.data = torch.from_numpy(keys["dino_table"])
    height, width = keys["dino_size"].tolist()
    tokens = torch.zeros(1, *keys["dino_enlarged"].shape[1:])
    unlike = network.embeddings.interpolate_pos_encoding(tokens, height, width)
    positions_as_dino(network)
    made = network.embeddings.interpolate_pos_encoding(tokens, height, width)
    np.testing.assert_allclose(made.detach().numpy(), keys["dino_enlarged"], atol=1e-5)
    assert (unlike - made).abs().max() > 1e-3


def test_raft_is_torchvisions():
    keys = oracle("networks")
    first, second = moved_noise()
    with torch.no_grad():
        flow = fill(Raft())(first[None], second[None], updates=int(keys["raft_updates"]))[0]
    np.testing.assert_allclose(flow[:, ::4, ::4].numpy(), keys["raft_flow"], rtol=1e-3, atol=1e-3)


def test_raft_takes_no_small_image_and_no_odd_one():
    network = fill(Raft())
    for size in ((1, 3, 120, 136), (1, 3, 128, 130)):
        with pytest.raises(ValueError, match=f"got {size[2]} x {size[3]}"):
            network(torch.zeros(size), torch.zeros(size), updates=1)


def test_rafts_input_is_padded_to_eights_and_a_small_video_is_scaled_up():
    video = torch.from_numpy(RNG.integers(0, 256, (2, 133, 150, 3), dtype=np.uint8))
    frames, height, width = raft_input(video)
    assert frames.shape == (2, 3, 136, 152) and (height, width) == (133, 150)
    inner = frames[..., 1:134, 1:151].permute(0, 2, 3, 1)
    np.testing.assert_allclose(inner.numpy(), video.numpy() / 127.5 - 1, atol=1e-6)
    assert torch.equal(frames[..., 0, :], frames[..., 1, :])
    frames, height, width = raft_input(video[:, :96, :100])
    assert frames.shape == (2, 3, 128, 136) and (height, width) == (128, 133)


def test_the_matchers_input_is_grey_and_a_multiple_of_eight():
    red = torch.zeros(1, 45, 50, 3, dtype=torch.uint8)
    red[..., 0] = 255
    made = matcher_input(red)
    assert made.shape == (1, 3, 40, 48)
    assert made.numpy() == pytest.approx(0.299, abs=1e-5)


def test_gims_weights_match_as_the_authors_code_does(weights):
    first, second = two_views()
    found = confidences(load_gim(Path(weights["matcher"])), first, second)
    np.testing.assert_allclose(found, oracle("networks")["match_confidences"], rtol=1e-3)


def test_a_still_video_is_consistent_and_noise_is_less_so(weights):
    networks = ImageNetworks(weights)
    assert networks.subject_consistency(still()) == pytest.approx(1, abs=1e-5)
    assert networks.subject_consistency(noise()) < 0.999


def test_subject_consistency_is_of_each_view_and_independent_of_batches(weights, monkeypatch):
    networks, video = ImageNetworks(weights), noise()
    each = [networks.subject_consistency(view[None]) for view in video]
    assert each[0] != each[1]
    assert networks.subject_consistency(video) == pytest.approx(np.mean(each))
    monkeypatch.setattr(image_networks, "BATCH", 2)
    assert networks.subject_consistency(video) == pytest.approx(np.mean(each), abs=1e-6)


def test_subject_consistency_is_of_dinos_class_token_with_its_own_positions(weights):
    video = RNG.integers(0, 256, (1, T, 40, 64, 3), dtype=np.uint8)
    plain, network = (ViTModel.from_pretrained(weights["dino"], add_pooling_layer=False).eval() for _ in range(2))
    positions_as_dino(network)
    pixels = dino_input(torch.from_numpy(video[0]))
    with torch.no_grad():
        right, other = (n(pixels, interpolate_pos_encoding=True).last_hidden_state for n in (network, plain))
    score = ImageNetworks(weights).subject_consistency(video)
    assert score == pytest.approx(metrics.subject_consistency([right[:, 0].numpy()]), abs=1e-9)
    assert abs(score - metrics.subject_consistency([right[:, 1].numpy()])) > 1e-4
    assert abs(score - metrics.subject_consistency([other[:, 0].numpy()])) > 1e-8


def test_identical_views_look_alike_and_others_less(weights):
    networks, video = ImageNetworks(weights), noise()
    assert networks.clip_v(np.stack([video[0], video[0]])) == pytest.approx(100, abs=1e-3)
    assert networks.clip_v(video) < 99.9
    with pytest.raises(ValueError, match="at least 2 views"):
        networks.clip_v(video[:1])


def without_flow(path: Path) -> Path:
    """RAFT that never changes its flow from zero: what the real one should say of a video that stands still."""
    state = fill(Raft()).state_dict()
    for name in ("weight", "bias"):
        state[f"update_block.flow_head.conv2.{name}"].zero_()
    save_file(state, path)
    return path


def test_a_video_without_flow_is_not_dynamic_and_one_with_much_is(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(image_networks, "FLOW_UPDATES", 2)
    unmoved = ImageNetworks({"raft": str(without_flow(tmp_path / "unmoved.safetensors"))})
    assert unmoved.dynamic_degree(still(1), frame_period_s=0.125) == 0
    assert ImageNetworks(weights).dynamic_degree(noise(1), frame_period_s=0.125) == 1


def test_too_few_frames_a_second_are_refused_because_vbench_would_call_them_dynamic(weights):
    with pytest.raises(ValueError, match="2 frames at VBench's 8 a second"):
        ImageNetworks(weights).dynamic_degree(still(1), frame_period_s=1 / 32)


def test_matches_are_counted_per_pair_of_views_and_frame_and_found_once(weights):
    networks = ImageNetworks(weights)
    first, second = (two_views()[:, 0] * 255).round().to(torch.uint8).numpy()
    video = np.repeat(np.stack([first, second, first])[:, None, ..., None], 2, axis=1).repeat(3, axis=-1)
    mean = networks.matching_pixels(video)
    assert mean > 0
    assert networks.matching_pixels_total_k(video) == pytest.approx(mean * 3 * 2 / 1000)
    calls = []
    networks._ready["matcher"] = calls.append
    assert networks.matching_pixels(video) == mean and calls == []


def test_a_network_is_loaded_once_and_its_failure_told_every_time(weights, tmp_path, monkeypatch):
    loaded = []
    load = image_networks.LOADERS["clip"]
    monkeypatch.setitem(image_networks.LOADERS, "clip", lambda *found: loaded.append(found) or load(*found))
    networks = ImageNetworks({"clip": weights["clip"], "dino": str(tmp_path / "nowhere")})
    for _ in range(2):
        networks.clip_v(noise())
        with pytest.raises(ValueError, match="there is no folder"):
            networks.subject_consistency(noise())
    assert len(loaded) == 1


def test_what_was_not_asked_for_says_how_to_ask():
    for name, ask in (("dino", ImageNetworks({}).subject_consistency), ("clip", ImageNetworks({}).clip_v)):
        with pytest.raises(ValueError, match=f"not asked for: --networks {name}"):
            ask(noise())


def test_missing_weights_are_named_with_the_command_that_fetches_them(nothing_here):
    found, missing = ImageNetworks(NETWORKS).find()
    assert found == {}
    assert missing["dino"].endswith("fetch it with: hf download facebook/dino-vitb16")
    assert missing["clip"].endswith("fetch it with: hf download openai/clip-vit-large-patch14")
    raft = nothing_here / "torch" / "checkpoints" / "raft_large_C_T_V1-22a6c225.pth"
    url = f"https://download.pytorch.org/models/{raft.name}"
    assert missing["raft"] == f"{raft} is not there; fetch it with: curl -fL --create-dirs -o {raft} {url}"
    assert "gim_lightglue_100h.ckpt" in missing["matcher"] and "curl -fL" in missing["matcher"]


def test_the_hub_cache_is_looked_into(nothing_here, weights):
    home = nothing_here / "hub" / "models--somebody--dino"
    snapshot = home / "snapshots" / ("0123456789abcdef" * 2 + "01234567")
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(snapshot.name)
    with pytest.raises(ValueError, match=r"no config.json; fetch it with: hf download somebody/dino"):
        find_folder("somebody/dino", model_type=("vit",))
    for file in Path(weights["dino"]).iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    assert find_folder("somebody/dino", model_type=("vit",)).identity == "somebody/dino@0123456789abcdef"
    assert ImageNetworks({"dino": "somebody/dino"}).subject_consistency(still()) == pytest.approx(1, abs=1e-5)


def test_a_published_file_that_is_broken_is_not_used(nothing_here):
    published = PublishedFile("some.pth", "https://example.org/some.pth", digest="22a6c225")
    published.path.parent.mkdir(parents=True)
    published.path.write_bytes(b"half of it")
    with pytest.raises(ValueError, match="is broken: its sha256 is .* not 22a6c225"):
        find_file(None, published)


def test_weights_that_are_not_all_there_are_refused_and_never_drawn_at_random(weights, tmp_path):
    config = Path(weights["clip"]) / "config.json"
    (tmp_path / "config.json").write_bytes(config.read_bytes())
    state = load_file(Path(weights["clip"]) / "model.safetensors")
    save_file({k: v for k, v in state.items() if "visual_projection" not in k}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="lacks 1 weights of CLIPVisionModelWithProjection: visual_projection"):
        ImageNetworks({"clip": str(tmp_path)}).clip_v(noise())


def test_another_kind_of_model_does_not_stand_in(weights, tmp_path):
    with pytest.raises(ValueError, match="of type clip_vision_model, this score takes vit"):
        ImageNetworks({"dino": weights["clip"]}).subject_consistency(noise())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "superglue"}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="of type superglue, this score takes lightglue"):
        ImageNetworks({"matcher": str(tmp_path)}).matching_pixels(noise())


def test_files_of_other_weights_and_files_that_would_run_code_are_refused(weights, tmp_path):
    with pytest.raises(ValueError, match=r"raft.pth has not the weights of GIM's LightGlue"):
        ImageNetworks({"matcher": weights["raft"]}).matching_pixels(noise())
    with pytest.raises(ValueError, match=r"gim.ckpt has not the weights of raft_large"):
        ImageNetworks({"raft": weights["matcher"]}).dynamic_degree(noise(), frame_period_s=0.125)
    torch.save({"weights": Path("a class that is no tensor")}, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=r"odd.pth holds no weights that can be read safely"):
        ImageNetworks({"raft": str(tmp_path / "odd.pth")}).dynamic_degree(noise(), frame_period_s=0.125)


def test_networks_are_asked_for_by_name_with_another_source_or_all():
    assert parse_networks(["dino", "clip=/weights/clip"]) == {"dino": NETWORKS["dino"], "clip": "/weights/clip"}
    assert parse_networks(["all"]) == NETWORKS
    for asked, wrong in ((["sift"], "no network 'sift'"), (["dino", "all"], "dino is asked for twice")):
        with pytest.raises(ValueError, match=wrong):
            parse_networks(asked)


def test_a_report_has_the_scores_beside_the_truths_and_whose_weights_they_are(weights, data, monkeypatch):
    monkeypatch.setattr(image_networks, "FLOW_UPDATES", 1)
    directory, sequences = data
    networks = ImageNetworks(weights | {"dino": "/nowhere/dino"})
    report = evaluate(KnownError(sequences, same), directory, "test_1", limit=1, networks=networks)
    for name in ("clip_v", "dynamic_degree", "matching_pixels", "matching_pixels_total_k"):
        assert report.metrics[name] is not None
        assert report.metrics[name] == pytest.approx(report.metrics[f"true_{name}"])
    assert report.metrics["subject_consistency"] is None
    assert report.not_computed["true_subject_consistency"] == "there is no folder /nowhere/dino"
    made_with = report.settings["networks"]
    assert made_with["clip"].startswith("clip@") and made_with["matcher"].endswith("confidence > 0.5")
    assert made_with["dino"] == "none: see not_computed"
    json.dumps(report.to_json(), allow_nan=False)
