"""ALBEF's text and fusion encoder: a BERT transformer whose last layers attend to image tokens.

Embeddings, feed-forward parts and the MLM head come from transformers' BERT. Attention is implemented here, because
transformers allows cross-attention in decoders only, and the keys have the width of the image tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import (
    BertEmbeddings,
    BertIntermediate,
    BertLMPredictionHead,
    BertOutput,
    BertSelfOutput,
)

from gckd.config.backbone import Compute, Text
from gckd.models.compute import autocast_type, in_autocast_type, run_layer
from gckd.models.vision import init_std, initialise

ROW_STEP = 16  # elements


class SelfAttention(nn.Module):
    """Multi-head attention: queries from the text, keys and values from `memory` (the text, or the image tokens).

    Shapes: states [B, L, width], memory [N, T, memory width], mask broadcastable to [B, heads, L, T] -> [B, L, width].
    `rows` [B] gives the entry of `memory` that each text attends to, so that keys and values of an image in several
    pairs are computed once; None: text i attends to entry i.
    """

    def __init__(self, config: BertConfig, memory_width: int) -> None:
        super().__init__()
        self.heads: int = config.num_attention_heads
        self.dropout: float = config.attention_probs_dropout_prob
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(memory_width, config.hidden_size)
        self.value = nn.Linear(memory_width, config.hidden_size)

    def forward(self, states: Tensor, memory: Tensor, mask: Tensor | None, rows: Tensor | None = None) -> Tensor:
        same, states = memory is states, in_autocast_type(states)  # cast once for the three layers
        memory = states if same else in_autocast_type(memory)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(states), self.key(memory), self.value(memory))
        )
        if rows is not None:
            key, value = key[rows], value[rows]
        rate = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=rate)
        return mixed.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Attention with BERT's output projection, residual and LayerNorm."""

    def __init__(self, config: BertConfig, memory_width: int) -> None:
        super().__init__()
        self.self = SelfAttention(config, memory_width)
        self.output = BertSelfOutput(config)

    def forward(self, states: Tensor, memory: Tensor, mask: Tensor | None, rows: Tensor | None = None) -> Tensor:
        out: Tensor = self.output(self.self(states, memory, mask, rows), states)
        return out


class Layer(nn.Module):
    """BERT layer on text alone: states [B, L, width] -> the first `outputs` states [B, outputs, width]."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = Attention(config, config.hidden_size)
        self.intermediate = BertIntermediate(config)
        self.output = BertOutput(config)

    def forward(self, states: Tensor, mask: Tensor, outputs: int) -> Tensor:
        # Contiguous: torch multiplies other states in one way by trained and in another by frozen weights, which rounds
        # the embeddings of a student differently from those of a teacher with equal weights.
        queries = states if outputs == states.shape[1] else states[:, :outputs].contiguous()
        states = self.attention(queries, states, mask)
        out: Tensor = self.output(self.intermediate(states), states)
        return out


class FusionLayer(nn.Module):
    """BERT layer with cross-attention to the image tokens between self-attention and MLP."""

    def __init__(self, config: BertConfig, image_width: int) -> None:
        super().__init__()
        self.attention = Attention(config, config.hidden_size)
        self.intermediate = BertIntermediate(config)
        self.output = BertOutput(config)
        self.crossattention = Attention(config, image_width)

    def forward(self, states: Tensor, mask: Tensor, image: Tensor, rows: Tensor | None = None) -> Tensor:
        states = self.crossattention(self.attention(states, states, mask), image, None, rows)
        out: Tensor = self.output(self.intermediate(states), states)
        return out


class TextEncoder(nn.Module):
    """Tokens [B, L] -> text states [B, L, width]; text states and image tokens -> fused states [B, L, width]."""

    def __init__(self, config: Text, vocab_size: int, max_tokens: int, image_width: int, compute: Compute) -> None:
        super().__init__()
        self.compute = compute
        bert = BertConfig(
            vocab_size=vocab_size,
            hidden_size=config.width,
            num_attention_heads=config.heads,
            intermediate_size=round(config.width * config.mlp_ratio),
            max_position_embeddings=max_tokens,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
        )
        self.embeddings = BertEmbeddings(bert)
        self.layer = nn.ModuleList(
            [Layer(bert) for _ in range(config.depth)]
            + [FusionLayer(bert, image_width) for _ in range(config.fusion_depth)]
        )
        self.depth = config.depth
        self.predictions = BertLMPredictionHead(bert)
        initialise(self, init_std(config.width))
        self.predictions.decoder.weight = self.embeddings.word_embeddings.weight
        self.predictions.decoder.bias = self.predictions.bias

    def forward(self, tokens: Tensor, class_token_only: bool = False) -> Tensor:
        """Text states from the first `depth` layers, which read text alone.

        With `class_token_only`, the last of these layers computes the state of the first token alone: [B, 1, width].
        """
        states: Tensor = self.embeddings(tokens)
        mask, layers = attention_mask(tokens, autocast_type(states)), self.layer[: self.depth]
        for layer in layers:
            outputs = 1 if class_token_only and layer is layers[-1] else states.shape[1]
            states = run_layer(self.compute, layer, states, mask, outputs)
        return states

    def fuse(self, states: Tensor, tokens: Tensor, image: Tensor, rows: Tensor | None = None) -> Tensor:
        """Fused states from the fusion layers. `tokens` [B, L] marks the padding; `rows` as in `SelfAttention`."""
        mask, image = attention_mask(tokens, autocast_type(states)), in_autocast_type(image)
        for layer in self.layer[self.depth :]:
            states = run_layer(self.compute, layer, states, mask, image, rows)
        return states


def attention_mask(tokens: Tensor, dtype: torch.dtype) -> Tensor:
    """Numbers [B, 1, 1, L] that attention adds to its scores: 0 at tokens, -infinity at padding (id 0).

    Attention would compute them from a boolean mask in every layer. The rows begin at multiples of ROW_STEP; CUDA's
    kernels would copy any other mask.
    """
    padded = F.pad(tokens, (0, -tokens.shape[1] % ROW_STEP))
    blank = torch.zeros(padded.shape, device=tokens.device, dtype=dtype)
    return blank.masked_fill(padded == 0, -torch.inf)[:, None, None, : tokens.shape[1]]
