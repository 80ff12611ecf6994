"""Two small domains of random images and captions, and a backbone that encodes them in microseconds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.config import Config, apply
from gckd.data.batches import Feed
from gckd.data.types import SourceBatch, TargetBatch
from gckd.method.build import build_parts
from gckd.method.parts import Parts
from gckd.models.base import Backbone, Encoded, log_temperature
from tests.training.micro import micro

IMAGES, CAPTIONS, LENGTH = 7, 9, 5
WIDTH = 4
TOKENIZER = SimpleNamespace(mask=4, first_word=5, vocab_size=20)


class TinyBackbone(Backbone):
    """Linear encoders. In training mode embeddings are shifted, as dropout would change them."""

    has_matching_head = has_mlm_head = True
    embed_dim = WIDTH

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.pixels, self.words = nn.Linear(3 * 16 * 8, WIDTH), nn.Embedding(TOKENIZER.vocab_size, WIDTH)
        self.log_tau = log_temperature(0.2)

    def _encoded(self, states: Tensor) -> Encoded:
        return Encoded(states, F.normalize(states.mean(1) + 0.5 * self.training, dim=1))

    def encode_image(self, images: Tensor) -> Encoded:
        return self._encoded(self.pixels(images.flatten(1))[:, None])

    def encode_text(self, tokens: Tensor) -> Encoded:
        return self._encoded(self.words(tokens))

    def word_embeddings(self) -> Tensor:
        return self.words.weight

    def text_layer_norms(self) -> list[nn.LayerNorm]:
        return []

    def match(self, image_states: Tensor, text_states: Tensor, tokens: Tensor, images: Tensor | None = None) -> Tensor:
        image = (image_states if images is None else image_states[images]).mean(1)
        score = (image * text_states.mean(1)).sum(1) + tokens.float().mean(1) / 10
        return torch.stack((-score, score), 1)

    def predict_tokens(self, tokens: Tensor, image_states: Tensor | None, positions: Tensor) -> Tensor:
        states = self.words(tokens)
        if image_states is not None:
            states = states + image_states.mean(1, keepdim=True)
        return states[positions] @ self.words.weight.T


class Examples:
    """Train split with random content. Consecutive rows form a batch of 3; two images share an identity."""

    steps_per_epoch = 4

    def __init__(self, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        self.images = torch.randint(256, (IMAGES, 3, 16, 8), generator=random).byte()
        self.tokens = torch.randint(TOKENIZER.first_word, 16, (CAPTIONS, LENGTH), generator=random)
        self.image_identities = torch.arange(IMAGES) // 2 + 10
        self.caption_identities = (torch.arange(CAPTIONS) % IMAGES) // 2 + 10
        self.image_count, self.caption_count = IMAGES, CAPTIONS
        self.words = self.tokens.unique()

    def images_at(self, rows: Tensor) -> Tensor:
        return self.images[rows]

    def tokens_at(self, rows: Tensor) -> Tensor:
        return self.tokens[rows]

    def identities_at(self, rows: Tensor, kind: str) -> Tensor:
        return {"image": self.image_identities, "caption": self.caption_identities}[kind][rows]


class SourceExamples(Examples):
    """Labelled examples."""

    def batch(self, step: int) -> SourceBatch:
        rows = (torch.arange(3) + step) % IMAGES
        return SourceBatch(self.images[rows], self.tokens[rows], self.image_identities[rows], rows, rows)


class TargetExamples(Examples):
    """Examples whose batches are not paired."""

    def batch(self, step: int) -> TargetBatch:
        rows, captions = (torch.arange(3) + step) % IMAGES, (torch.arange(3) + step + 4) % CAPTIONS
        return TargetBatch(self.images[rows], self.tokens[captions], rows, captions)


class TwoDomains:
    """The parts of the method on the two domains, under the micro config with some edits."""

    def __init__(self, edits: dict[str, Any] | None = None) -> None:
        self.source, self.target = SourceExamples(1), TargetExamples(2)
        self.config: Config = apply(micro(Path("source"), Path("target")), {"adapt.batch": 3, **(edits or {})})
        self.student = TinyBackbone()
        self.feed = self.feed_of(self.source)

    def feed_of(self, source: Any) -> Feed:
        target: Any = self.target
        tokenizer: Any = TOKENIZER
        return Feed(source, target, tokenizer, self.config.augment, self.config.seed)

    def parts(self, feed: Feed | None = None) -> Parts:
        return build_parts(self.config, feed or self.feed, self.student)


def clean(model: Backbone, examples: Examples) -> tuple[Tensor, Tensor]:
    """Embeddings of all clean images and captions, in evaluation mode."""
    training = model.training
    model.eval()
    with torch.no_grad():
        images = model.encode_image(examples.images.float() / 127.5 - 1).embedding
        texts = model.encode_text(examples.tokens).embedding
    model.train(training)
    return images, texts
