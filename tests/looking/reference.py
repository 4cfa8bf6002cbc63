"""The same mathematics once more, in plain Python loops over floats, sharing no code with what it checks."""

import math
from collections.abc import Sequence

Row = list[float]
Matrix = list[Row]


def weights(query: Matrix, key: Matrix, allowed: list[list[bool]], scale: float) -> Matrix:
    """Softmax over the allowed keys, row by row; 0 where not allowed."""
    rows = []
    for q, may in zip(query, allowed, strict=True):
        scores = [scale * sum(a * b for a, b in zip(q, k, strict=True)) for k in key]
        seen = [s for s, m in zip(scores, may, strict=True) if m]
        largest = max(seen, default=0.0)
        total = sum(math.exp(s - largest) for s in seen)
        rows.append([math.exp(s - largest) / total if m else 0.0 for s, m in zip(scores, may, strict=True)])
    return rows


def logsumexp(query: Row, key: Matrix, may: list[bool], scale: float) -> float:
    scores = [scale * sum(a * b for a, b in zip(query, k, strict=True)) for k, m in zip(key, may, strict=True) if m]
    return max(scores) + math.log(sum(math.exp(s - max(scores)) for s in scores))


def contribution(weight: float, value: Row, matrix: Matrix) -> float:
    """|w v W^T|: matrix (width, d)."""
    moved = [sum(a * b for a, b in zip(value, row, strict=True)) for row in matrix]
    return weight * math.sqrt(sum(x * x for x in moved))


def blocks_largest(cells: Matrix, step: int) -> Matrix:
    """The largest number of each step x step block; NaN where all are."""
    rows, columns = len(cells), len(cells[0])
    found = []
    for top in range(0, rows, step):
        line = []
        for left in range(0, columns, step):
            block = [
                cells[i][j] for i in range(top, min(rows, top + step)) for j in range(left, min(columns, left + step))
            ]
            line.append(max((x for x in block if not math.isnan(x)), default=math.nan))
        found.append(line)
    return found


def blocks_mean(cells: Matrix, allowed: list[list[bool]], step: int) -> Matrix:
    """The mean of the allowed numbers of each step x step block; NaN where none is."""
    rows, columns = len(cells), len(cells[0])
    found = []
    for top in range(0, rows, step):
        line = []
        for left in range(0, columns, step):
            block = [cells[i][j] for i in range(top, min(rows, top + step))
                     for j in range(left, min(columns, left + step)) if allowed[i][j]]  # fmt: skip
            line.append(math.fsum(block) / len(block) if block else math.nan)
        found.append(line)
    return found


def measures(w: Matrix, ids: Sequence[int]) -> dict[str, float]:
    """Of a causal head: means over the rows that see more than one key."""
    n = len(w)
    rows = range(1, n)
    found = {
        "entropy": [-sum(x * math.log(x) for x in w[i][: i + 1] if x > 0) / math.log(i + 1) for i in rows],
        "previous": [w[i][i - 1] for i in rows],
        "itself": [w[i][i] for i in rows],
        "first": [w[i][0] for i in rows],
        "distance": [sum(w[i][j] * (i - j) for j in range(i + 1)) for i in rows],
        "induction": [],
    }
    for i in rows:
        earlier = [j for j in range(i) if ids[j] == ids[i]]
        if earlier:
            found["induction"].append(w[i][earlier[-1] + 1])
    return {name: sum(values) / len(values) if values else math.nan for name, values in found.items()}
