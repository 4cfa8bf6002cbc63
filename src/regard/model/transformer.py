"""The transformer: embedding, blocks, output; and the one place where its parts are wired.

Shapes: batch; n tokens; width; vocabulary.
"""

import math
from typing import get_args

import torch
from torch import Tensor, nn

from regard.errors import RegardError
from regard.model.attention import PATHS
from regard.model.block import RESIDUALS, Attention, Block, FeedForward, Recorder, build_norm
from regard.model.cache import Cache
from regard.model.config import Activation, NormKind, PositionKind, ResidualKind, TransformerConfig
from regard.model.embedding import TokenEmbedding, VectorEmbedding
from regard.model.mask import Mask
from regard.model.output import Output
from regard.model.position import Learned, Rotary, Sinusoidal
from regard.model.sequence import Sequence
from regard.model.written import fits, written


class Transformer(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        """Raises RegardError for sizes that cannot be built."""
        super().__init__()
        check_sizes(config)
        self.config = config
        self.embedding = build_embedding(config)
        self.position = build_position(config)
        self.blocks = nn.ModuleList([build_block(config) for _ in range(config.layers)])
        final_norm = build_norm(config.norm, config.width) if config.residual == "pre" else nn.Identity()
        table = self.embedding.table if isinstance(self.embedding, TokenEmbedding) and config.tied else None
        self.output = Output(final_norm, config.width, config.vocabulary, table, config.output_bias)

    def forward(
        self, sequence: Sequence, memory: tuple[Tensor, Sequence] | None = None,
        cache: Cache | None = None, record: Recorder | None = None, last: bool = False,
    ) -> Tensor:  # fmt: skip
        """Logits of every position, (batch, n, vocabulary) float32; if last, the last one's (batch, 1, vocabulary).

        memory: a second sequence's vectors (batch, m, width) and what they stand for; the blocks attend to it.
        cache: keys and values of the tokens before these; these are added to it.
        """
        x = self.stream(sequence, memory, cache, record)
        logits: Tensor = self.output(x[:, -1:] if last else x)
        return logits

    def stream(
        self, sequence: Sequence, memory: tuple[Tensor, Sequence] | None = None,
        cache: Cache | None = None, record: Recorder | None = None, start: tuple[int, Tensor] | None = None,
    ) -> Tensor:  # fmt: skip
        """The residual stream that leaves the last block, (batch, n, width).

        start: a layer, and the stream that enters it, (batch, n, width), instead of the embeddings and all before it.
        """
        mask = sequence.mask if cache is None else cache.mask(sequence)
        rotation = self.position.rotation(sequence.position)
        first, x = (0, self.embedded(sequence)) if start is None else start
        vectors, allowed = None, None
        if memory is not None:
            assert self.config.memory, "built without memory, so the memory given would be left unread"
            vectors, allowed = memory[0], Mask.between(sequence.places, memory[1].places)
        for layer in range(first, len(self.blocks)):
            x = self.blocks[layer](x, mask, rotation, vectors, allowed, cache, record, layer)
        if record is not None:
            record.stream(len(self.blocks), "in", x)
        if cache is not None:
            cache.advance(sequence)
        return x

    def embedded(self, sequence: Sequence) -> Tensor:
        """What enters the first block, (batch, n, width): each token's vector, with its place where that is added."""
        return self.position.embed(self.embedding(sequence.tokens), sequence.position)

    def train_with(self, path: str) -> None:
        """How attention is computed while training; all ways give the same numbers.

        plain, unfused, fused: attention.py's paths. written: whole blocks with their gradient written out (written.py);
        raises RegardError for a model that is not of their kind.
        """
        check_way(self.config, path)
        for module in self.modules():
            if isinstance(module, Block):
                module.whole = written if path == "written" else None
            elif isinstance(module, Attention):
                module.training_path = PATHS["unfused" if path == "written" else path]


def check_way(config: TransformerConfig, path: str) -> None:
    """Raises RegardError for a way of computing attention that this model does not have."""
    if path == "written" and not fits(config):
        what = "written is for Qwen3's block, each head with keys and values of its own"
        raise RegardError("--attention", what, "give plain, unfused or fused")


def build_embedding(config: TransformerConfig) -> TokenEmbedding | VectorEmbedding:
    if config.features:
        return VectorEmbedding(config.features, config.width, config.learned)
    return TokenEmbedding(config.table, config.width)


def build_position(config: TransformerConfig) -> Rotary | Learned | Sinusoidal:
    kind, theta = config.position.kind, config.position.theta
    if kind == "rotary":
        return Rotary(config.attention.head_width, theta)
    return Learned(config.context, config.width) if kind == "learned" else Sinusoidal(config.width, theta)


def build_block(config: TransformerConfig) -> Block:
    width, norm = config.width, config.norm

    def attention() -> Attention:
        return Attention(width, config.attention, norm.epsilon)

    return Block(
        attention=attention(),
        attention_norm=build_norm(norm, width),
        memory_attention=attention() if config.memory else None,
        memory_norm=build_norm(norm, width) if config.memory else None,
        feed_forward=FeedForward(width, config.feed_forward),
        feed_forward_norm=build_norm(norm, width),
        residual=RESIDUALS[config.residual],
        dropout=config.dropout,
    )


def check_sizes(config: TransformerConfig) -> None:
    """Raises RegardError, naming the field, for sizes and choices that cannot be built."""
    a = config.attention
    sizes = {"vocabulary": config.vocabulary, "context": config.context, "width": config.width, "layers": config.layers,
             "heads": a.heads, "key_value_heads": a.key_value_heads, "head_width": a.head_width,
             "feed_forward": config.feed_forward.width}  # fmt: skip
    for name, value in sizes.items():
        if type(value) is not int or value < 1:
            raise RegardError(name, f"{value!r} is not a whole number above 0", "give one")
    for name, value in (("ids", config.ids), ("features", config.features), ("learned", config.learned)):
        if type(value) is not int or value < 0:
            raise RegardError(name, f"{value!r} is not a whole number", "give one from 0 on")
    if config.features == 0 and config.learned:
        raise RegardError("learned", "tokens that are ids have a table already", "leave it at 0, or give features")
    if config.features and config.ids:
        raise RegardError("ids", "tokens that are vectors have none", "leave it at 0, or give no features")
    if config.tied and config.table != config.vocabulary:
        what = f"{config.table} ids and {config.vocabulary} scores cannot share a table"
        raise RegardError("tied", what, "leave it out")
    if config.features and config.tied:
        raise RegardError("tied", "tokens that are vectors have no table to share", "leave it out")
    choices = {"activation": (config.feed_forward.activation, Activation), "norm": (config.norm.kind, NormKind),
               "position": (config.position.kind, PositionKind),
               "residual": (config.residual, ResidualKind)}  # fmt: skip
    for name, (chosen, known) in choices.items():
        if chosen not in get_args(known):
            raise RegardError(name, f"{chosen!r} is not known", f"choose one of {', '.join(get_args(known))}")
    if a.heads % a.key_value_heads:
        raise RegardError("heads", f"{a.heads} query heads do not share {a.key_value_heads} key-value heads equally",
                          "make heads a multiple of key_value_heads")  # fmt: skip
    if a.head_width % 2:
        raise RegardError("head_width", f"{a.head_width} is odd", "choose an even head_width")
    if config.position.kind == "sinusoidal" and config.width % 2:
        raise RegardError("width", f"{config.width} is odd and sines come with cosines", "choose an even width")
    for name, number in (("theta", config.position.theta), ("epsilon", config.norm.epsilon)):
        if not 0 < number < math.inf:
            raise RegardError(name, f"{number!r} is not a number above 0", "give a positive number")
    if not 0 <= config.dropout < 1:
        raise RegardError("dropout", f"{config.dropout!r} is not a share below 1", "give a number from 0 to 0.9")


def initialise(model: Transformer, seed: int) -> None:
    """Random weights that depend on the seed alone.

    Tables, learned tokens and the output matrix 0.02, other matrices 1 / sqrt(inputs); the last matrix of each part is
    divided by sqrt(2 layers), so that the stream's size does not grow with depth (Radford et al. 2019).
    """
    generator = torch.Generator().manual_seed(seed)
    shrink = 1 / math.sqrt(2 * model.config.layers)
    for name, parameter in sorted(model.named_parameters()):
        with torch.no_grad():
            if parameter.dim() < 2:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
                continue
            small = "table" in name or "learned" in name or "output.projection" in name
            deviation = 0.02 if small else parameter.shape[1] ** -0.5
            if name.endswith((".attention.output.weight", ".memory_attention.output.weight", ".down.weight")):
                deviation *= shrink
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation)
