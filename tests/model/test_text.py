"""Claims about the text encoder and its tokenizer."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from syncmv4d_model.config import TextConfig
from syncmv4d_model.networks.text import TaskTokenizer, TextEncoder, train_tokenizer, words_of

CONFIG = TextConfig(width=16, layers=2, heads=2, max_tokens=12, vocabulary=128)
TOOLS, VERBS, TARGETS = ("spatula", "brush", "spoon"), ("scrape", "stir", "cut"), ("plate", "bowl", "pan")
SENTENCES = [f"{verb} the {target} with the {tool}" for tool in TOOLS for verb in VERBS for target in TARGETS]
SENTENCES += [f"<{tool}, {verb}, {target}>" for tool in TOOLS for verb in VERBS for target in TARGETS]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(CONFIG, train_tokenizer(SENTENCES, CONFIG.vocabulary)).eval()


def encode(encoder, texts):
    tokens = encoder.tokenize(texts)
    return encoder(tokens.ids, tokens.mask)


def test_training_words_are_known_and_others_are_named(encoder):
    tokens = encoder.tokenize(
        ["Scrape the PLATE with the brush", "zap the bowl with the spoonbrush", "<spatula, stir, pän>"]
    )
    assert tokens.unknown_words == [[], ["zap", "spoonbrush"], ["pän"]]


def test_a_words_list_has_each_word_once_in_order():
    assert words_of("<Spatula, scrape, plate> the plate, pre-heated") == [
        "spatula",
        "scrape",
        "plate",
        "the",
        "pre-heated",
    ]


def test_a_known_word_is_one_token(encoder):
    tokens = encoder.tokenize(["stir the bowl with the spoon", "<spoon, stir, bowl>"])
    assert tokens.mask.sum(1).tolist() == [6 + 1, 3 + 1]


@torch.no_grad()
def test_an_empty_text_is_one_end_token(encoder):
    tokens = encoder.tokenize([""])
    assert tokens.mask.sum() == 1 and tokens.unknown_words == [[]]
    embeddings = encode(encoder, [""])
    assert embeddings[:, 0].any() and not embeddings[:, 1:].any()


def test_a_text_that_is_too_long_is_cut_and_reported(encoder):
    tokens = encoder.tokenize(["stir", "stir the bowl " * 100_000])
    assert tokens.truncated == [False, True]
    assert tokens.ids.shape == (2, CONFIG.max_tokens)
    assert tokens.ids[1, -1] == encoder.encoder.config.eos_token_id
    assert tokens.mask[1].all()


@torch.no_grad()
def test_a_texts_embedding_does_not_depend_on_its_neighbours_and_is_zero_beyond_its_end(encoder):
    alone, mask = encode(encoder, ["stir the pan"]), encoder.tokenize(["stir the pan"]).mask
    beside = encode(encoder, ["stir the pan", "scrape the plate with the spatula"])
    torch.testing.assert_close(beside[:1], alone)
    assert not alone[~mask].any()


@torch.no_grad()
def test_different_tasks_have_different_embeddings(encoder):
    embeddings = encode(encoder, ["stir the pan", "stir the bowl"])
    assert (embeddings[0] - embeddings[1]).abs().max() > 1e-2


def test_gradient_reaches_the_encoder(encoder):
    encode(encoder, SENTENCES[:4]).square().mean().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_training_does_not_depend_on_the_order_of_the_sentences(tmp_path):
    for name, sentences in (("a", SENTENCES), ("b", SENTENCES[::-1])):
        (tmp_path / name).mkdir()
        train_tokenizer(sentences, 128).save(tmp_path / name)
    for file in ("tokenizer.json", "words.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_saved_tokenizer_loads_the_same(encoder, tmp_path):
    encoder.tokenizer.save(tmp_path)
    loaded = TaskTokenizer.load(tmp_path)
    assert loaded.words == encoder.tokenizer.words
    assert all(loaded.pieces(text) == encoder.tokenizer.pieces(text) for text in SENTENCES)


def test_a_missing_or_broken_tokenizer_file_is_named(encoder, tmp_path):
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        TaskTokenizer.load(tmp_path)
    encoder.tokenizer.save(tmp_path)
    (tmp_path / "words.json").write_text("[")
    with pytest.raises(ValueError, match=r"words\.json"):
        TaskTokenizer.load(tmp_path)
    encoder.tokenizer.save(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        TaskTokenizer.load(tmp_path)


def test_sentences_without_words_train_no_tokenizer():
    with pytest.raises(ValueError, match="2 sentences without any"):
        train_tokenizer(["", "<, ,>"], 64)


def test_a_tokenizer_larger_than_the_config_is_refused(encoder):
    small = TextConfig(width=16, layers=1, heads=2, vocabulary=8)
    with pytest.raises(ValueError, match="the config allows 8"):
        TextEncoder(small, encoder.tokenizer)


@torch.no_grad()
def test_a_pretrained_folder_answers_the_same_interface(encoder, tmp_path):
    encoder.tokenizer.save(tmp_path)
    PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "tokenizer.json"), unk_token="<unk>", pad_token="<pad>", eos_token="</s>"
    ).save_pretrained(str(tmp_path / "tokenizer"))
    encoder.encoder.save_pretrained(str(tmp_path / "text_encoder"))
    loaded = TextEncoder.pretrained(CONFIG, tmp_path, dtype=torch.float32).eval()
    texts = ["stir the pan", "stir the pän"]
    torch.testing.assert_close(encode(loaded, texts), encode(encoder, texts))
    assert torch.equal(loaded.tokenize(texts).mask, encoder.tokenize(texts).mask)
    assert loaded.tokenize(texts).unknown_words == [[], ["pän"]]


def test_a_pretrained_folder_without_its_parts_is_refused(tmp_path):
    with pytest.raises(ValueError, match="tokenizer is missing"):
        TextEncoder.pretrained(CONFIG, tmp_path)
