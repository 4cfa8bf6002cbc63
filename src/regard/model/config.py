"""What a transformer is made of: one frozen dataclass a part, saved as JSON in a run's config.json."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Activation = Literal["silu", "gelu", "gelu_tanh", "relu"]
NormKind = Literal["rms", "layer"]
PositionKind = Literal["rotary", "learned", "sinusoidal"]
ResidualKind = Literal["pre", "post"]


@dataclass(frozen=True, kw_only=True)
class NormConfig:
    kind: NormKind = "rms"
    """Root mean square only (Zhang and Sennrich 2019), or mean and variance with a bias (Ba et al. 2016)."""
    epsilon: float = 1e-6
    """Added under the root, so that a vector of zeros stays one."""


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    heads: int
    """Attention heads in a block."""
    key_value_heads: int
    """Heads of keys and values; query heads share them in equal groups (Ainslie et al. 2023); as many: no sharing."""
    head_width: int
    """Numbers in one head's query and key; even."""
    query_key_norm: bool = True
    """Whether queries and keys are RMS-normalised head by head before the rotation, as Qwen3 does."""
    bias: bool = False
    """Whether the query, key and value projections have biases."""
    output_bias: bool = False
    """Whether the matrix that mixes the heads has a bias."""


@dataclass(frozen=True, kw_only=True)
class FeedForwardConfig:
    width: int
    """Hidden numbers of the fully connected network."""
    gated: bool = True
    """Gated: down(activation(gate(x)) * up(x)) (Shazeer 2020); else down(activation(up(x)))."""
    activation: Activation = "silu"
    """The curve between the two matrices; with silu a gated network is SwiGLU. gelu_tanh is GPT-2's approximation."""
    bias: bool = False
    """Whether the matrices have biases."""


@dataclass(frozen=True, kw_only=True)
class PositionConfig:
    kind: PositionKind = "rotary"
    """Rotated queries and keys (Su et al. 2021), a learned table, or fixed sines (Vaswani et al. 2017)."""
    theta: float = 10_000.0
    """The slowest wave's base; rotary and sinusoidal only."""


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    vocabulary: int
    """Scores that come out of each position: one a token id, or one a class."""
    context: int
    """The longest sequence that it is trained on, in tokens; a learned position table has this many rows."""
    width: int
    """Numbers in a token's vector (the papers' d_model)."""
    layers: int
    """Blocks, one after another."""
    attention: AttentionConfig
    feed_forward: FeedForwardConfig
    norm: NormConfig = field(default_factory=NormConfig)
    position: PositionConfig = field(default_factory=PositionConfig)
    residual: ResidualKind = "pre"
    """Norm before each part (pre), or after each sum as in the first transformer (post)."""
    memory: bool = False
    """Whether each block also attends to a second sequence (cross-attention)."""
    tied: bool = False
    """Whether the output matrix is the embedding table."""
    output_bias: bool = False
    """Whether each score that comes out has a bias."""
    ids: int = 0
    """Token ids that go in, where they are another number than the scores that come out (classes); 0: as many."""
    features: int = 0
    """Numbers in a token that is a vector (a patch); 0: tokens are ids."""
    learned: int = 0
    """Tokens at the front whose vectors are weights, such as a class token; only where the others are vectors."""
    dropout: float = 0.0
    """Share of each part's output set to 0 while training, before it joins the residual."""

    @property
    def table(self) -> int:
        """Rows of the embedding table, where tokens are ids."""
        return self.ids or self.vocabulary

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TransformerConfig":
        """The inverse of to_json. Raises TypeError for a name that it does not know."""
        parts = {
            "attention": AttentionConfig,
            "feed_forward": FeedForwardConfig,
            "norm": NormConfig,
            "position": PositionConfig,
        }
        return cls(**{name: parts[name](**value) if name in parts else value for name, value in values.items()})

    def parameters(self) -> int:
        """How many numbers training changes, from the sizes alone (nothing is built)."""
        a, f, norm = self.attention, self.feed_forward, self.width * (1 if self.norm.kind == "rms" else 2)
        inner, shared = a.heads * a.head_width, a.key_value_heads * a.head_width
        attention = self.width * (2 * inner + 2 * shared) + a.bias * (inner + 2 * shared) + a.output_bias * self.width
        attention += norm + 2 * a.head_width * a.query_key_norm
        matrices = 3 if f.gated else 2
        feed_forward = matrices * self.width * f.width + f.bias * ((matrices - 1) * f.width + self.width) + norm
        tables = self.vocabulary * (self.width * (0 if self.tied else 1) + self.output_bias)
        tables += (self.features + 1 + self.learned if self.features else self.table) * self.width
        tables += self.context * self.width if self.position.kind == "learned" else 0
        return tables + self.layers * (attention * (1 + self.memory) + feed_forward) + norm * (self.residual == "pre")
