"""The whole transformer again, one number at a time: float64, plain loops, no line shared with regard.model.

What it is told: a config (sizes only), the weights by their names as numpy arrays, and one example at a time as lists.
Vectors are 1-d arrays; a sequence is a list of vectors.
"""

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regard.model.config import TransformerConfig

Vector = npt.NDArray[np.float64]
Weights = dict[str, Vector]


@dataclass
class Token:
    """One token's id (or, in a memory, its vector), position (one number an axis), sequence, branch and step."""

    content: int | Vector
    position: list[int]
    sequence: int
    branch: int
    step: int


def sees(query: Token, key: Token) -> bool:
    if query.sequence == -1 or key.sequence == -1 or query.sequence != key.sequence:
        return False
    if key.branch not in (0, query.branch):
        return False
    return key.step <= query.step


def linear(weights: Weights, name: str, x: Vector) -> Vector:
    y = np.array([sum(w * v for w, v in zip(row, x, strict=True)) for row in weights[name + ".weight"]])
    return y + weights[name + ".bias"] if name + ".bias" in weights else y


def rms_norm(weight: Vector, epsilon: float, x: Vector) -> Vector:
    return weight * x / math.sqrt(sum(v * v for v in x) / len(x) + epsilon)


def layer_norm(weight: Vector, bias: Vector, epsilon: float, x: Vector) -> Vector:
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    return weight * (x - mean) / math.sqrt(variance + epsilon) + bias


def norm(config: TransformerConfig, weights: Weights, name: str, x: Vector) -> Vector:
    if config.norm.kind == "rms":
        return rms_norm(weights[name + ".weight"], config.norm.epsilon, x)
    return layer_norm(weights[name + ".weight"], weights[name + ".bias"], config.norm.epsilon, x)


def silu(x: float) -> float:
    return x / (1 + math.exp(-x))


def gelu(x: float) -> float:
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def gelu_tanh(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


CURVES: dict[str, Callable[[float], float]] = {
    "silu": silu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "relu": lambda x: max(x, 0.0),
}


def rotate(x: Vector, position: list[int], theta: float) -> Vector:
    """Number i and number i + half are one complex number; it is multiplied by e^(i * angle)."""
    half = len(x) // 2
    turned = np.zeros(len(x))
    for pair in range(half):
        angle = position[pair % len(position)] * theta ** (-2 * pair / len(x))
        z = complex(x[pair], x[pair + half]) * cmath.exp(1j * angle)
        turned[pair], turned[pair + half] = z.real, z.imag
    return turned


def sinusoid(position: int, width: int, theta: float) -> Vector:
    row = [
        math.sin(position / theta ** (i / width)) if i % 2 == 0 else math.cos(position / theta ** ((i - 1) / width))
        for i in range(width)
    ]
    return np.array(row)


def softmax(scores: list[float]) -> list[float]:
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    return [power / sum(powers) for power in powers]


def attend(query: Vector, keys: list[Vector], values: list[Vector], seen: list[bool], scale: float) -> Vector:
    """One head, one query: the mixture of the values that it may see, or zeros."""
    visible = [j for j in range(len(keys)) if seen[j]]
    mixture = np.zeros(len(query))
    if not visible:
        return mixture
    weights = softmax([scale * float(sum(q * k for q, k in zip(query, keys[j], strict=True))) for j in visible])
    for weight, j in zip(weights, visible, strict=True):
        mixture = mixture + weight * values[j]
    return mixture


def attention(
    config: TransformerConfig, weights: Weights, name: str,
    x: list[Vector], source: list[Vector], queries: list[Token], keys: list[Token], rotary: bool,
) -> list[Vector]:  # fmt: skip
    a = config.attention
    width = a.head_width

    def heads(part: str, vector: Vector, token: Token, count: int, norm_name: str | None) -> list[Vector]:
        flat = linear(weights, f"{name}.{part}", vector)
        split = [flat[h * width : (h + 1) * width] for h in range(count)]
        if norm_name is None:
            return split
        if a.query_key_norm:
            split = [rms_norm(weights[f"{name}.{norm_name}.weight"], config.norm.epsilon, head) for head in split]
        return [rotate(head, token.position, config.position.theta) for head in split] if rotary else split

    query = [heads("query", v, t, a.heads, "query_norm") for v, t in zip(x, queries, strict=True)]
    key = [heads("key", v, t, a.key_value_heads, "key_norm") for v, t in zip(source, keys, strict=True)]
    value = [heads("value", v, t, a.key_value_heads, None) for v, t in zip(source, keys, strict=True)]
    out = []
    for i, token in enumerate(queries):
        seen = [sees(token, other) for other in keys]
        mixed = []
        for h in range(a.heads):
            g = h * a.key_value_heads // a.heads  # neighbouring query heads share one key-value head
            mixed.append(attend(query[i][h], [k[g] for k in key], [v[g] for v in value], seen, 1 / math.sqrt(width)))
        out.append(linear(weights, f"{name}.output", np.concatenate(mixed)))
    return out


def feed_forward(config: TransformerConfig, weights: Weights, name: str, x: Vector) -> Vector:
    curve = CURVES[config.feed_forward.activation]
    up = linear(weights, f"{name}.up", x)
    if config.feed_forward.gated:
        gate = linear(weights, f"{name}.gate", x)
        hidden = np.array([curve(g) * u for g, u in zip(gate, up, strict=True)])
    else:
        hidden = np.array([curve(u) for u in up])
    return linear(weights, f"{name}.down", hidden)


def residual(
    config: TransformerConfig, weights: Weights, norm_name: str,
    x: list[Vector], part: Callable[[list[Vector]], list[Vector]],
) -> list[Vector]:  # fmt: skip
    if config.residual == "pre":
        return [v + p for v, p in zip(x, part([norm(config, weights, norm_name, v) for v in x]), strict=True)]
    return [norm(config, weights, norm_name, v + p) for v, p in zip(x, part(x), strict=True)]


def embed(config: TransformerConfig, weights: Weights, token: Token) -> Vector:
    x: Vector = weights["embedding.table.weight"][token.content]
    if config.position.kind == "learned":
        row: Vector = weights["position.table.weight"][token.position[0]]
        return x + row
    if config.position.kind == "sinusoidal":
        return x + sinusoid(token.position[0], config.width, config.position.theta)
    return x


def logits(
    config: TransformerConfig, weights: Weights, tokens: list[Token], memory: list[Token] | None = None
) -> Vector:
    """One example: (n, vocabulary)."""
    x = [embed(config, weights, token) for token in tokens]
    rotary = config.position.kind == "rotary"
    for layer in range(config.layers):
        block = f"blocks.{layer}"

        def look(h: list[Vector], block: str = block) -> list[Vector]:
            return attention(config, weights, f"{block}.attention", h, h, tokens, tokens, rotary)

        def remember(h: list[Vector], block: str = block) -> list[Vector]:
            assert memory is not None
            vectors = [np.asarray(token.content) for token in memory]
            return attention(config, weights, f"{block}.memory_attention", h, vectors, tokens, memory, False)

        def think(h: list[Vector], block: str = block) -> list[Vector]:
            return [feed_forward(config, weights, f"{block}.feed_forward", v) for v in h]

        x = residual(config, weights, f"{block}.attention_norm", x, look)
        if memory is not None:
            x = residual(config, weights, f"{block}.memory_norm", x, remember)
        x = residual(config, weights, f"{block}.feed_forward_norm", x, think)
    if config.residual == "pre":
        x = [norm(config, weights, "output.norm", v) for v in x]
    matrix = weights["embedding.table.weight" if config.tied else "output.projection.weight"]
    bias = weights["output.bias"] if config.output_bias else np.zeros(len(matrix))
    scores = [[sum(w * v for w, v in zip(row, vector, strict=True)) for row in matrix] for vector in x]
    return np.array([[score + b for score, b in zip(row, bias, strict=True)] for row in scores])
