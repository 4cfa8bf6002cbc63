"""loss.svg: how the loss went, drawn from log.jsonl alone."""

from typing import Any

from regard.errors import printable

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 378, 56, 40, 62


def loss_picture(lines: list[dict[str, Any]], title: str, counted_in: str) -> str:
    """An SVG of the training loss (running mean) and the validation loss by step; counted_in: their unit."""
    steps = {line["step"]: line["loss"] for line in lines if line.get("kind") == "step"}  # the last attempt of each
    checks = {line["step"]: line["validation"] for line in lines if line.get("kind") == "evaluation"}
    curve = _smoothed(sorted(steps.items()))
    points = sorted(checks.items())
    values = [y for _, y in curve[len(curve) // 50 :] + points] or [0.0, 1.0]
    low, high = min(values), max(values)
    high = high if high > low else low + 1.0
    last = max([x for x, _ in curve + points] or [1])

    def place(point: tuple[float, float]) -> str:
        x, y = point
        right, down = WIDTH - LEFT - 16, HEIGHT - TOP - BOTTOM
        return f"{LEFT + x / last * right:.1f},{TOP + (high - min(y, high)) / (high - low) * down:.1f}"

    marks = [low + k * (high - low) / 4 for k in range(5)]
    grid = "".join(_mark(value, place((0, value))) for value in marks)
    dots = "".join('<circle cx="{}" cy="{}" r="3" fill="#c4420f"/>'.format(*place(p).split(",")) for p in points)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"
 font-family="system-ui, sans-serif" font-size="12" fill="#333">
<title>{_escaped(title)}</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="{LEFT}" y="22" font-size="14">{_escaped(title)}</text>
{grid}
<polyline fill="none" stroke="#3b528b" stroke-width="1.5" points="{" ".join(place(p) for p in curve)}"/>
<polyline fill="none" stroke="#c4420f" stroke-width="1" stroke-dasharray="3 3" points="{" ".join(map(place, points))}"/>
{dots}
<text x="{LEFT}" y="{HEIGHT - 30}">steps 0 to {last:,}:
<tspan fill="#3b528b">training (line)</tspan>,
<tspan fill="#c4420f">validation (dots)</tspan></text>
<text x="{LEFT}" y="{HEIGHT - 12}">loss in {_escaped(counted_in)}</text>
</svg>
"""


def _smoothed(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Running mean, at most 600 points of it."""
    mean, result = 0.0, []
    for k, (step, loss) in enumerate(points):
        mean = loss if k == 0 else 0.95 * mean + 0.05 * loss
        result.append((step, mean))
    return result[:: max(1, len(result) // 600)]


def _mark(value: float, place: str) -> str:
    y = place.split(",")[1]
    return (f'<line x1="{LEFT}" x2="{WIDTH - 16}" y1="{y}" y2="{y}" stroke="#ddd"/>'
            f'<text x="{LEFT - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{value:.2f}</text>')  # fmt: skip


def _escaped(text: str) -> str:
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
