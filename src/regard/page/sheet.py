"""A drawing as a page by itself: the sheet, and its numbers as tables; no script, and nothing from elsewhere."""

import html
from collections.abc import Sequence
from typing import NamedTuple

from regard.errors import printable
from regard.looking.drawing import Drawing
from regard.page.assets import source_hash

PIXELATED = "image-rendering:pixelated"
"""The one style that a drawing has inside (svg.py)."""
STYLE = """
body{margin:0;font:14px/1.5 'Helvetica Neue',Helvetica,Arial,'DejaVu Sans',sans-serif;color:#1b1f24;background:#fff}
figure{margin:0;overflow-x:auto}
svg{display:block}
section{padding:0 48px 24px;overflow-x:auto}
summary{cursor:pointer;padding:6px 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:2px 10px;text-align:right;border-bottom:1px solid #cfd5db;white-space:nowrap}
tr>:first-child{text-align:left}
"""
Cell = str | int | float | None


class Table(NamedTuple):
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    """The first cell of each says what the row is of."""


def page_of_sheet(drawing: Drawing, tables: Sequence[Table]) -> str:
    """Its policy allows its own style, by its hash, and the pictures inside it."""
    styles = f"'unsafe-hashes' {source_hash(STYLE)} {source_hash(PIXELATED)}"
    policy = f"default-src 'none'; style-src {styles}; img-src data:; base-uri 'none'; form-action 'none'"
    name = html.escape(printable(str(drawing.facts["name"])))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>regard: {name}</title>\n<style>{STYLE}</style></head>\n<body><main>\n"
        f'<figure tabindex="0" aria-label="{html.escape(drawing.title)}">\n{drawing.svg()}</figure>\n'
        f"<section>\n{''.join(map(_table, tables))}</section>\n</main></body></html>\n"
    )


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{_cell(one)}</th>' for one in table.head)
    rows = "".join(f'<tr><th scope="row">{_cell(first)}</th>{"".join(f"<td>{_cell(one)}</td>" for one in rest)}</tr>\n'
                   for first, *rest in table.rows)  # fmt: skip
    return (f"<details><summary>{html.escape(table.title)}</summary>\n<table><thead><tr>{head}</tr></thead>\n"
            f"<tbody>{rows}</tbody></table></details>\n")  # fmt: skip


def _cell(value: Cell) -> str:
    """Numbers with all their digits; nothing where there is none."""
    return "" if value is None else html.escape(printable(value)) if isinstance(value, str) else repr(value)
