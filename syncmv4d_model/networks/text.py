"""Task text to embeddings: a small umT5 encoder with a tokenizer of our own, or the pretrained umT5-xxl of Wan.

Both answer `tokenize(texts)`, which names the words that they do not know, and `forward(ids, mask)`.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import AutoTokenizer, UMT5Config, UMT5EncoderModel

from syncmv4d_model.config import TextConfig

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"  # ids 0, 1, 2, as in umT5
TOKENIZER_FILE = "tokenizer.json"
WORDS_FILE = "words.json"
MAX_CHARACTERS_PER_TOKEN = 64
"""Text beyond this many characters per token cannot reach the encoder; it is cut before tokenizing."""


@dataclass(frozen=True)
class TokenizedText:
    """Texts as token ids, always padded to the encoder's length (one shape to compile for)."""

    ids: Int[Tensor, "B L"]
    mask: Bool[Tensor, "B L"]
    unknown_words: list[list[str]]
    truncated: list[bool]  # text longer than the encoder takes: its end was dropped


class TaskTokenizer:
    """A Unigram tokenizer trained on task sentences, and the words that it was trained on."""

    def __init__(self, tokenizer: Tokenizer, words: Iterable[str]):
        self._tokenizer = tokenizer
        self.words = frozenset(words)

    @property
    def vocabulary(self) -> int:
        return self._tokenizer.get_vocab_size()

    def pieces(self, text: str) -> list[int]:
        """Ids of the whole text, without padding or end."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def knows(self, word: str) -> bool:
        """Whether the training sentences had the word."""
        return word in self.words and self._tokenizer.token_to_id(UNKNOWN) not in self.pieces(word)

    def save(self, directory: Path) -> None:
        """Write tokenizer.json and the word list words.json beside it."""
        self._tokenizer.save(str(directory / TOKENIZER_FILE))
        (directory / WORDS_FILE).write_text(json.dumps(sorted(self.words), indent=0) + "\n")

    @classmethod
    def load(cls, directory: Path) -> TaskTokenizer:
        """Read what save wrote; raises ValueError naming a file that is missing or not what it should be."""
        # The library reports a missing or foreign file as a bare Exception without its name, so look first.
        description, words = (_read_json(directory / name) for name in (TOKENIZER_FILE, WORDS_FILE))
        model = description.get("model") if isinstance(description, dict) else None
        if not isinstance(model, dict) or model.get("type") != "Unigram":
            raise ValueError(f"{directory / TOKENIZER_FILE} is not a Unigram tokenizer")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"{directory / WORDS_FILE} is not a list of words")
        try:
            tokenizer = Tokenizer.from_str(json.dumps(description))
        except Exception as error:  # the library raises no narrower class
            raise ValueError(f"{directory / TOKENIZER_FILE} is not a tokenizer: {error}") from error
        return cls(tokenizer, words)


class PretrainedTokenizer:
    """umT5's tokenizer from a local folder."""

    def __init__(self, directory: Path):
        self._tokenizer = AutoTokenizer.from_pretrained(str(directory), local_files_only=True)

    def pieces(self, text: str) -> list[int]:
        """Ids of the whole text, without padding or end."""
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def knows(self, word: str) -> bool:
        """Whether all of the word's pieces are in the vocabulary."""
        return self._tokenizer.unk_token_id not in self.pieces(word)


def words_of(text: str) -> list[str]:
    """The words of a text, lower-case, each once, in order: <Spatula, scrape> -> spatula, scrape."""
    return list(dict.fromkeys(re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.lower())))


def train_tokenizer(sentences: Iterable[str], vocabulary: int) -> TaskTokenizer:
    """A Unigram tokenizer of at most `vocabulary` pieces: the sentences' most frequent words whole, and trained parts of
    words for all others. The result does not depend on the sentences' order.

    Raises ValueError if the sentences have no words or the vocabulary cannot hold their characters.
    """
    sentences = sorted(sentences)
    counts = Counter(word for sentence in sentences for word in words_of(sentence))
    if not counts:
        raise ValueError(f"a tokenizer needs sentences with words, got {len(sentences)} sentences without any")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"[^\w'’-]+"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=max(vocabulary // 2, 1), special_tokens=[PAD, END, UNKNOWN], unk_token=UNKNOWN, show_progress=False
    )
    tokenizer.train_from_iterator(sentences, trainer)
    if tokenizer.get_vocab_size() > vocabulary:
        raise ValueError(
            f"vocabulary {vocabulary} cannot hold the {tokenizer.get_vocab_size()} pieces of the sentences"
        )
    return TaskTokenizer(_with_whole_words(tokenizer, counts, vocabulary), counts)


def _with_whole_words(tokenizer: Tokenizer, counts: Counter[str], vocabulary: int) -> Tokenizer:
    """Add words as pieces: the trainer counts a word once however often it occurs, and so never learns one in a small
    corpus. Pieces are then ordered by score and spelling, because the trainer leaves ties in a random order.
    """
    description = json.loads(tokenizer.to_str())
    trained = {piece: round(score, 6) for piece, score in description["model"]["vocab"]}
    special = {piece: trained.pop(piece) for piece in (PAD, END, UNKNOWN)}
    words = [
        ("\N{LOWER ONE EIGHTH BLOCK}" + word, count)
        for word, count in sorted(counts.items(), key=lambda c: (-c[1], c[0]))
    ]
    new = [(piece, count) for piece, count in words if piece not in trained][: vocabulary - len(special) - len(trained)]
    trained |= {piece: round(math.log(count / counts.total()), 6) for piece, count in new}
    description["model"]["vocab"] = [
        *special.items(),
        *sorted(trained.items(), key=lambda entry: (-entry[1], entry[0])),
    ]
    return Tokenizer.from_str(json.dumps(description))


class TextEncoder(nn.Module):
    """umT5's encoder with its tokenizer. Embeddings beyond a text's end are zero, as Wan expects them."""

    def __init__(
        self,
        config: TextConfig,
        tokenizer: TaskTokenizer | PretrainedTokenizer,
        encoder: UMT5EncoderModel | None = None,
    ):
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        if isinstance(tokenizer, TaskTokenizer) and tokenizer.vocabulary > config.vocabulary:
            raise ValueError(f"the tokenizer has {tokenizer.vocabulary} pieces, the config allows {config.vocabulary}")
        self.encoder = UMT5EncoderModel(_umt5_config(config)) if encoder is None else encoder
        if self.encoder.config.d_model != config.width:
            raise ValueError(f"the text encoder is {self.encoder.config.d_model} wide, the config says {config.width}")

    @classmethod
    def pretrained(cls, config: TextConfig, directory: Path, *, dtype: torch.dtype = torch.bfloat16) -> TextEncoder:
        """umT5-xxl from a folder with `tokenizer/` and `text_encoder/`, as Wan's diffusers releases have; no network.

        Raises ValueError naming a missing folder.
        """
        for name in ("tokenizer", "text_encoder"):
            if not (directory / name).is_dir():
                raise ValueError(f"{directory / name} is missing: a pretrained text encoder needs it")
        encoder = UMT5EncoderModel.from_pretrained(str(directory / "text_encoder"), dtype=dtype, local_files_only=True)
        return cls(config, PretrainedTokenizer(directory / "tokenizer"), encoder)

    def tokenize(self, texts: list[str]) -> TokenizedText:
        """Ids and mask of each text on the encoder's device, cut to max_tokens (the last is always the end token, so an empty
        text has one).
        """
        length = self.config.max_tokens
        ids = torch.zeros(len(texts), length, dtype=torch.long)
        mask = torch.zeros(len(texts), length, dtype=torch.bool)
        unknown_words, truncated = [], []
        for row, text in enumerate(texts):
            readable = text[: length * MAX_CHARACTERS_PER_TOKEN]
            pieces = self.tokenizer.pieces(readable)
            kept = [*pieces[: length - 1], self.encoder.config.eos_token_id]
            ids[row, : len(kept)] = torch.tensor(kept)
            mask[row, : len(kept)] = True
            unknown_words.append([word for word in words_of(readable) if not self.tokenizer.knows(word)])
            truncated.append(len(pieces) > length - 1 or len(readable) < len(text))
        device = self.encoder.device
        return TokenizedText(ids.to(device), mask.to(device), unknown_words, truncated)

    def forward(self, ids: Int[Tensor, "B L"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Embeddings, zero where the mask is False."""
        embeddings = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return embeddings * mask[..., None]


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is not readable: {error}") from error


def _umt5_config(config: TextConfig) -> UMT5Config:
    return UMT5Config(
        vocab_size=config.vocabulary,
        d_model=config.width,
        d_kv=config.width // config.heads,
        d_ff=2 * config.width,
        num_layers=config.layers,
        num_heads=config.heads,
        dropout_rate=0.0,
    )
