"""What the verbs print: results as text for a person, at 80 columns."""

import csv
import io
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from regard.columns import columns, cut, width
from regard.errors import counted, printable
from regard.overview import THINGS
from regard.worth import unbeaten

Known = Mapping[str, Any]
"""What `info` knows of a run."""


def table(rows: Sequence[Sequence[str]], right: Iterable[int] = (), squeezed: Iterable[int] = ()) -> list[str]:
    """Columns two spaces apart, those in `right` flush right; those in `squeezed` give way where a line is too long."""
    right, squeezed = set(right), list(squeezed)
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    too_much = sum(widths) + 2 * (len(widths) - 1) - width()
    for column in squeezed:
        widths[column] -= min(max(0, too_much), max(0, widths[column] - 8))
        too_much = sum(widths) + 2 * (len(widths) - 1) - width()
    lines = []
    for row in rows:
        cells = [fitted(cell, widths[at], at in right) for at, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines


def fitted(text: str, size: int, right: bool = False) -> str:
    """The text cut, with an ellipsis, and filled to so many columns."""
    text = cut(text, size)
    blank = " " * (size - columns(text))
    return blank + text if right else text + blank


def shell(path: object) -> str:
    """A path as one would type it."""
    return shlex.quote(printable(str(path)))


# the plan


def plan_text(choices: Sequence[Known]) -> str:
    """Setting, value and reason, the reasons wrapped to the width of the terminal."""
    lines = []
    for choice in choices:
        value = f"{choice['value']:,}" if isinstance(choice["value"], int) else str(choice["value"])
        reason = wrap(choice["reason"], max(width() - 34, 20)) or [""]
        lines.append(f"{choice['name'].replace('_', '-'):<20}{value:>11}  {reason[0]}")
        lines += [" " * 33 + more for more in reason[1:]]
    return "\n".join(lines)


# scores


def scores_text(scores: Known, what: str = "held-out part") -> str:
    """The run's figures on `what`, then those of the dumb answers, and which of these it does not beat."""
    kinds = {"teacher": teacher_text, "mae": errors_text, "accuracy": accuracy_text}
    told = next((text for key, text in kinds.items() if key in scores), nats_text)
    return "\n".join([told(scores, what), *worth_lines(scores)])


def worth_lines(scores: Known) -> list[str]:
    """Of a run that is no better than an answer beside it: that this is so, and what may help."""
    names, figure = unbeaten(scores)
    named = " and ".join(name.replace("_", " ") for name in names)
    text = f"no better than {named} by {figure}: train it for more minutes, or on more examples"
    return wrap(text, width()) if names else []


SHOWN_CLASSES = 12
"""Classes that are told one by one; of more, those that are found least."""


def accuracy_text(scores: Known, what: str) -> str:
    """Of classification: which part was right, in all and of each class."""
    rows = [("this run", scores), *scores["baselines"].items()]
    figures = [[name, f"{s['accuracy']:.2%}", f"{s['nats']:.4f}"] for name, s in rows]
    lines = table([[printable(what), "accuracy", "nats"], *figures], right=(1, 2), squeezed=[0])
    each = sorted((one["accuracy"], name, one["count"]) for name, one in scores["per_class"].items() if one["count"])
    told = [f"{printable(name)} {accuracy:.1%} of {count:,}" for accuracy, name, count in each[:SHOWN_CLASSES]]
    more = f" and {len(each) - len(told):,} more" * (len(each) > len(told))
    if "without_copies" in scores:
        fresh = scores["without_copies"]
        lines.append(f"{fresh['accuracy']:.2%} of the {fresh['examples']:,} that were not learnt from, too"
                     if fresh["examples"] else "each of them was learnt from, too")  # fmt: skip
    lines += wrap(f"found of each class: {', '.join(told)}{more}", width())
    return "\n".join([*lines, *_mistakes(scores)])


SHOWN_MISTAKES = 4
"""Pairs of classes that are told, and single examples."""
LONGEST_NAME = 48
"""Columns."""


def _mistakes(scores: Known) -> list[str]:
    """Which classes were taken for which, and which examples most wrongly; runs of before may not know it."""
    pairs = [f"{printable(one['true'])} as {printable(one['said'])} {one['count']:,} of {one['of']:,}"
             for one in scores.get("confused", ())[:SHOWN_MISTAKES]]  # fmt: skip
    cases = [f"{_named(one)} is {printable(one['true'])}, said {printable(one['said'])} {one['probability']:.2f}"
             for one in scores.get("most_wrong", ())[:SHOWN_MISTAKES]]  # fmt: skip
    lines = wrap(f"most often taken for another: {', '.join(pairs)}", width()) if pairs else []
    told = f"most wrong: {'; '.join(cases)}"
    return [*lines, *(wrap(told, width(), break_on_hyphens=False) if cases else [])]


def _named(case: Known) -> str:
    """An example's name, or its end where it is long."""
    name = printable(case["name"])
    return name if len(name) <= LONGEST_NAME else "…" + name[1 - LONGEST_NAME :]


def errors_text(scores: Known, what: str) -> str:
    """Of forecasting: how far the next patch was off, in all and of each column."""
    rows = [("this run", scores), *((name.replace("_", " "), one) for name, one in scores["baselines"].items())]
    figures = [[name, f"{s['mae']:.4f}", f"{s['mse']:.4f}"] for name, s in rows]
    lines = table([[printable(what), "mean error", "squared"], *figures], right=(1, 2), squeezed=[0])
    each = [f"{printable(name)} {one['mae']:,.4g}" for name, one in scores["per_column"].items()]
    more = f" and {len(each) - SHOWN_CLASSES:,} more" * (len(each) > SHOWN_CLASSES)
    told = (f"in deviations of each column; {scores['patches']:,} patches of {counted(scores['patch'], 'row')}; "
            f"the season's period is {counted(scores['baselines']['seasonal_naive']['period'], 'row')}")  # fmt: skip
    own = f"this run's mean error in each column's own units: {', '.join(each[:SHOWN_CLASSES])}{more}"
    return "\n".join([*lines, *wrap(told, width()), *wrap(own, width())])


def teacher_text(scores: Known, what: str) -> str:
    """Of distillation: what its frozen features are worth, where labels tell, and whether its teacher is sound."""
    lines = [f"{printable(what)}: {counted(scores['examples'], 'picture')} without labels to score it by"]
    if "knn" in scores:
        rows = [("this run", scores), *scores["baselines"].items()]
        figures = [[name, f"{s['knn']:.2%}", f"{s['linear']:.2%}"] for name, s in rows]
        lines = table([[printable(what), "20 nearest", "linear"], *figures], right=(1, 2), squeezed=[0])
        if "without_copies" in scores:
            fresh = scores["without_copies"]
            lines.append(f"{fresh['knn']:.2%} of the {fresh['examples']:,} that were not learnt from, too"
                         if fresh["examples"] else "each of them was learnt from, too")  # fmt: skip
        lines += wrap(
            f"classes of {scores['examples']:,} pictures, put right by their 20 nearest and by a linear classifier; "
            "nothing was learnt from labels", width()
        )  # fmt: skip
    t = scores["teacher"]
    sound = (f"its teacher: entropy {t['entropy']:.2f} (collapsed at {t['largest_entropy']:.2f}), pictures "
             f"{t['between']:.2f} nats apart (collapsed at 0), {t['prototypes_used']:,} of {t['prototypes']:,} "
             "prototypes are some picture's first choice")  # fmt: skip
    return "\n".join([*lines, *wrap(sound, width())])


def nats_text(scores: Known, what: str) -> str:
    """Of language: how surprised it was."""
    head = [printable(what), "nats/token", "bits/byte", "perplexity"]
    rows = [("this run", scores), *scores["baselines"].items()]
    figures = [[name, *(f"{s[key]:,.4f}" for key in ("nats_per_token", "bits_per_byte", "perplexity"))]
               for name, s in rows]  # fmt: skip
    sliding = f"{scores['nats_per_token_sliding']:.4f} nats/token where they overlap by half"
    return "\n".join([
        *table([head, *figures], right=(1, 2, 3), squeezed=[0]),
        *wrap(f"{scores['tokens']:,} tokens in disjoint windows; {sliding}", width()),
    ])  # fmt: skip


EXAMPLES = {"text": ('"your words"', "heads"), "picture": ("picture.jpg", "maps"), "sound": ("sound.wav", "maps"),
            "series": ("more.csv", "heads")}  # fmt: skip
"""What a run may be asked about, by what it takes; and what is drawn of it."""


def trained_text(run: Any, known: Known, sample: str) -> str:
    """What a training ends with: scores, a sample, and what can be done next."""
    path = shell(run.path)
    given, drawn = EXAMPLES[run.takes]
    asked = [f"predict {path} {given}", f"look {path} {given} --save {drawn}.svg"]
    if not {"accuracy", "knn", "mae"} & known["scores"].keys() and not run.says:
        asked = asked[1:]  # without labels it knows no classes
    length = "steps" if known["steps"] is not None else "minutes"
    lines = [wrap(printable(line), width() - 2) or [""] for line in sample.strip().split("\n")]
    said = "\n".join("  " + part for line in lines for part in line)
    return "\n".join([
        scores_text(known["scores"]), "", "it says:", said, "",
        f"{printable(str(run.path))} is finished: {known['step']:,} steps{speed_text(known)}",
        *(f"  regard {line}" for line in asked),
        f"  regard train --resume {path} --{length} N   # goes on",
    ])  # fmt: skip


def speed_text(known: Known) -> str:
    """ ", 12,345 tokens/s", of a finished run."""
    ends = "_per_second"
    return "".join(f", {x:,.0f} {name.removesuffix(ends)}/s" for name, x in known.items() if name.endswith(ends))


LIKELIEST = 5
"""Classes that are told of one text, picture or sound."""


def classes_text(given: str | None, found: Sequence[tuple[str, float]]) -> str:
    """Of one a line a class; of several (given: which) a line each. The rest's probability is summed."""
    told, rest = found[:LIKELIEST], found[LIKELIEST:]
    rows = [*told, (f"the other {len(rest):,}", sum(p for _, p in rest))] if len(rest) > 1 else found
    if given is None:
        return "\n".join(table([[f"{p:.4f}", printable(name)] for name, p in rows]))
    named = ", ".join(f"{printable(name)} {p:.4f}" for name, p in told)
    return "\n".join(wrap(f"{printable(given)}: {named}", width()))


def csv_text(
    names: Sequence[str], rows: Sequence[Sequence[float]], decimals: Sequence[int | None], given: str | None
) -> str:
    """A table with a header. decimals: of each column's own data, as a forecast has one more; None where those are
    written in full; given: a first column that says of which file."""
    written = io.StringIO()
    cells = csv.writer(written, lineterminator="\n")
    first = [] if given is None else [given]
    cells.writerow([*(["table"] if first else []), *names])
    cells.writerows([*first, *map(_forecast, row, decimals)] for row in rows)
    return written.getvalue()


def _forecast(number: float, decimals: int | None) -> str:
    """With one decimal more than its column's data have; with ten digits where those have all that there are."""
    if decimals is None:
        return f"{number:.10g}"
    return f"{round(number, decimals + 1) + 0.0:.{decimals + 1}f}"  # + 0.0: no -0


def exported_text(result: Known) -> str:
    files = [Path(name) for name in result["files"]]
    wrote = str(files[0]) if len(files) == 1 else f"{files[0].parent}/: {', '.join(file.name for file in files)}"
    return f"wrote {printable(wrote)}\nread back, its logits differ by {result['check']:.1e} at most"


# what a run is


def info_text(known: Known) -> str:
    """One run whole."""
    rows = [(name, value) for name, value in _facts(known) if value]
    lines = []
    for name, value in rows:
        first, *more = wrap(printable(value), width() - 14) or [""]
        lines += [f"{name:<14}{first}", *(" " * 14 + line for line in more)]
    if known.get("scores"):
        lines += ["", scores_text(known["scores"])]
    if known.get("plan"):
        lines += ["", plan_text(known["plan"])]
    return "\n".join(lines)


def _facts(known: Known) -> list[tuple[str, str]]:
    if "model" not in known:
        return [("run", known["run"]), ("what it is", known["state"]), ("size", megabytes(known["bytes"]))]
    made, read = known["model"], known["trained_on"]
    shape = f"{counted(made['layers'], 'layer')} of {counted(made['attention']['heads'], 'head')}"
    numbers = f"{known['parameters']:,} numbers" if known["parameters"] else ""
    called = {"language": "tokens", "classification": "classes", "forecasting": "numbers"}
    outputs = called.get(known["task"], "features")
    sizes = [f"width {made['width']}", f"{made['vocabulary']:,} {outputs}", numbers]
    saved = known["checkpoints"]
    things = next((name for name in THINGS if read[name]), None)
    if things is not None:
        size = f"{counted(read[things], things.removesuffix('s'))}, {read['held_out']:,} held out"
    else:
        size = f"{counted(read['characters'], 'character')} in {counted(read['documents'], 'document')}, "
        size += f"{read['held_out_characters']:,} held out"
    wanted = f"({known['minutes']:g} minutes given)" if known["minutes"] is not None else f"of {known['steps']:,}"
    return [
        ("run", known["run"]),
        ("what it is", ", ".join(filter(None, [known["task"], shape, *sizes]))),
        ("trained on", f"{read['name']}: {size}"),
        ("started from", str(known["from"] or "")),
        ("state", f"{known['state']} after step {known['step']:,} {wanted}{speed_text(known)}, seed {known['seed']}"),
        ("checkpoints", f"after step {', '.join(f'{step:,}' for step in saved)}" if saved else "none yet"),
        ("size", f"{megabytes(known['bytes'])}"),
    ]  # fmt: skip


def megabytes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{size / 1e6:,.1f} MB {name}" for name, size in sizes.items())


def runs_text(found: Sequence[Known]) -> str:
    """A line for every run."""
    if not found:
        return "no runs here"
    rows = [["run", "task", "data", "state", "steps", "nats", "bits", "right", "error", "size"]]
    for known in found:
        if "error" in known:
            continue
        scores = known["scores"] or {}
        nats, bits = scores.get("nats_per_token", scores.get("nats")), scores.get("bits_per_byte")
        figures = ["" if one is None else f"{one:.4f}" for one in (nats, bits)]
        right = scores.get("accuracy", scores.get("knn"))
        figures.append("" if right is None else f"{right:.1%}")
        figures.append(f"{scores['mae']:.4f}" if "mae" in scores else "")
        size = f"{sum(known['bytes'].values()) / 1e6:,.1f} MB"
        rows.append([printable(known["run"]), known["task"], printable(known["trained_on"]["name"]), known["state"],
                     f"{known['step']:,}", *figures, size])  # fmt: skip
    used = [at for at in range(len(rows[0])) if any(row[at] for row in rows[1:])]
    rows = [[row[at] for at in used] for row in rows]
    lines = table(rows, right=range(4, len(used)), squeezed=(2, 0)) if len(rows) > 1 else []
    lines += ["of the held-out part: nats a token or example, bits a byte, examples put right"] * bool(lines)
    lines += ["error: of a series' next patch, the mean in deviations"] * ("error" in rows[0])
    return "\n".join([*lines, *(known["error"] for known in found if "error" in known)])


# what heads look at


MEASURES = (  # what a head is the strongest in, by which number, from the lowest, what the number means
    ("sharpest", "entropy", True, "entropy: 0 one token, 1 all"),
    ("widest", "entropy", False, "entropy, from the highest"),
    ("previous token", "previous", False, "weight on the token before"),
    ("induction", "induction", False, "on what came next last time"),
    ("first token", "first", False, "weight on the first token"),
    ("itself", "itself", False, "weight on the token itself"),
    ("farthest", "distance", False, "mean distance, in tokens"),
    ("adds most", "share", False, "share of its layer's output"),
)
STRONGEST = 3
"""Heads named for each measure."""


def look_text(recording: Any, head: tuple[int, int] | None, file: str | None, prove: bool) -> str:
    """The strongest heads, or where one head looks; then the proof's line, or with `prove` all of it."""
    seen = strongest_text(recording) if head is None or file is not None else head_text(recording, *head)
    proof = proof_text(recording.proof) if prove and recording.proof is not None else ""
    wrote = f"wrote {printable(file)}" if file is not None else ""
    badge = "\n".join(wrap(recording.badge, width()))
    own = recording.generated
    said = "" if own is None else "\n".join(wrap(f"{own.about} {own.difference:.0e} nats", width()))
    return "\n\n".join(filter(None, [seen, said, proof, badge, wrote]))


def strongest_text(recording: Any) -> str:
    """Which heads are the strongest in what: by each measure of looking/measures.py."""
    heads = recording.measures()
    lines = [cut(f"{counted(recording.n, 'token')}: {' '.join(recording.tokens.labels)}", width()), ""]
    few = " ?" if heads and heads[0].few and not recording.is_picture else ""
    rows, wide = [], max(len(head_name(one, recording)) for one in heads)
    for name, key, lowest, meaning in MEASURES:
        if recording.is_picture and key in ("previous", "induction", "first", "distance"):
            continue  # of an order that patches do not have
        known = [one for one in heads if not math.isnan(getattr(one, key))]
        ordered = sorted(known, key=lambda one: (getattr(one, key) if lowest else -getattr(one, key), one.layer))
        digits = 1 if key == "distance" else 2
        named = [f"{head_name(one, recording):>{wide}} {getattr(one, key):>4.{digits}f}" for one in ordered[:STRONGEST]]
        rows.append([name + few * (key == "induction"), "   ".join(named) or "-", meaning])
    lines += [" " * 16 + "strongest heads: layer.head and number", *table(rows, squeezed=(2,))]
    if few:
        lines.append("? over fewer than 20 tokens that came before: too few to trust")
    return "\n".join(lines)


def head_name(measured: Any, recording: Any) -> str:
    site = f"{measured.site} " if len(recording.sites) > 1 else ""
    return f"{site}{measured.layer}.{measured.head}"


def head_text(recording: Any, layer: int, head: int) -> str:
    """Of each token the three that it looks at most, with their weights."""
    labels = recording.tokens.labels
    rows = []
    for i in range(recording.n):
        row = recording.row(layer, head, i)
        most = sorted(range(len(row)), key=lambda j: (-row[j], j))[:STRONGEST]
        rows.append([str(i), labels[i], *(f"{row[j]:.2f} {labels[j]}" for j in most if row[j] > 0), *[""] * 3][:5])
    head_row = ["", f"head {layer}.{head}", "looks most at", "", ""]
    return "\n".join(table([head_row, *rows], right=[0], squeezed=(1, 2, 3, 4)))


def proof_text(proof: Any) -> str:
    """Every check of a proof: what was compared, the largest number found, and its limit."""
    states = {True: "passed", False: "FAILED", None: "not done"}
    lines = []
    for check in proof.checks:
        number = "" if check.number is None else f"{check.number:.1e}"
        bound = "at least" if check.name == "G" else "at most"
        limit = "" if check.limit is None else f", {bound} {check.limit:.1e}"
        details = ", ".join(filter(None, [number + limit, check.place, check.note.strip()]))
        lines += wrap(f"{check.name} {states[check.passed]}: {check.what}" + (f" ({details})" if details else ""),
                      width(), subsequent_indent="  ")  # fmt: skip
    threads = counted(proof.threads, "thread")
    made = f"seed {proof.seed}, {proof.kernel}, {threads}, {proof.seconds:.1f} s, {proof.made}"
    return "\n".join([*lines, *wrap(made, width())])
