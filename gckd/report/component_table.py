"""Component table as text: its cells, and the table in Markdown and CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from tabulate import tabulate

from gckd.report.finding import supported_best
from gckd.report.statistics import written_p
from gckd.report.summary import DIFFERENCES, METRICS, RowSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.report.statistics import Estimate
    from gckd.report.tuned_rates import TunedRate

_FIRST_METRIC = 2  # column; row and runs are before it
TUNED, GAP_CLOSED, PUBLISHED = "tuned adapt.lr", "gap closed", "published Rank-1"
_TUNING = ("tuned_lr", "tuned_lr_candidates", "tuned_lr_score", "tuned_lr_seed")  # columns of the CSV
_OPTIONAL = ("subtable", "gap_closed", "published_rank_1", *_TUNING)  # columns of the CSV


def header(rows: Sequence[RowSummary]) -> list[str]:
    """Names of the columns."""
    differences = [head for name in DIFFERENCES for head in (f"Δ {METRICS[name]} (full - row)", "p")]
    return ["row", "runs", *METRICS.values(), *differences, *_optional(rows)]


def cells(rows: Sequence[RowSummary]) -> list[list[str]]:
    """Texts of the body, one list per row."""
    return [_cells(row, _optional(rows)) for row in rows]


def heading_above(rows: Sequence[RowSummary], place: int) -> str:
    """Name of the subtable that starts at the row at `place`; empty for other rows."""
    subtable = rows[place].subtable
    return subtable if place == 0 or rows[place - 1].subtable != subtable else ""


def marks(rows: Sequence[RowSummary]) -> dict[tuple[int, int], str]:
    """(row, column) of the cells with the best mean of a metric in its subtable: `supported` by the tests, or `best`.

    Marked rows, and rows that train with target labels, cannot be compared.
    """
    marked = {}
    for subtable in dict.fromkeys(row.subtable for row in rows):
        for column, name in enumerate(METRICS, _FIRST_METRIC):
            means = {
                place: row.metrics[name].mean
                for place, row in enumerate(rows)
                if row.subtable == subtable and name in row.metrics and not (row.marked or row.target_labels)
            }
            supported = supported_best(rows, subtable, name)
            for place in (place for place in means if len(means) > 1 and means[place] == max(means.values())):
                marked[place, column] = "supported" if place == supported else "best"
    return marked


def to_markdown(rows: Sequence[RowSummary], caption: Sequence[str]) -> str:
    """The table and its caption, with names of subtables in bold."""
    body, names = [], header(rows)
    for place, line in enumerate(cells(rows)):
        if heading := heading_above(rows, place):
            body.append([f"**{heading}**", *[""] * (len(names) - 1)])
        body.append(line)
    align = ["left", *["right"] * (len(names) - 1)]
    table = tabulate(body, names, tablefmt="pipe", disable_numparse=True, colalign=align)
    return f"{table}\n\n" + "\n".join(f"{line}  " for line in caption).rstrip() + "\n"


def to_csv(rows: Sequence[RowSummary]) -> str:
    """Numbers for programs; undefined ones are empty.

    Each metric and each `full_minus_row_...` is followed by the half width of its 95 % interval by Student's t
    (`_half_width`), its standard deviation over seeds (`_std`), the ends of its bootstrap interval over seeds
    (`_over_seeds_low`, `_high`) and, for Rank-1 and mAP, over queries (`_over_queries_low`, `_high`). `target_labels`:
    1 for a row that trains with target labels. `gap_closed`: percent of the gap between the reference rows.
    `tuned_lr`: learning rate of a tuned row, with its candidates, the score that chose it and the seed of the choice.
    """
    file = io.StringIO()
    lines = [_plain(row) for row in rows]
    optional = {key: any(line[key] not in ("", None) for line in lines) for key in _OPTIONAL}
    names = [name for name in lines[0] if optional.get(name, True)]
    writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in line.items()})
    return file.getvalue()


def _plain(row: RowSummary) -> dict[str, str | int | float | None]:
    estimates = [(name, name, row.metrics.get(name)) for name in METRICS]
    estimates += [(f"full_minus_row_{name}", name, row.to_full.get(name)) for name in DIFFERENCES]
    plain: dict[str, str | int | float | None] = {"subtable": row.subtable, "row": row.row, "runs": len(row.seeds)}
    plain |= {"failed": row.failed, "marked": int(row.marked), "target_labels": int(row.target_labels)}
    for key, name, e in estimates:
        plain |= _spread(key, e, with_queries=name in DIFFERENCES)
    plain |= {f"p_{name}": row.p.get(name) for name in DIFFERENCES}
    return plain | {"gap_closed": row.gap_closed, "published_rank_1": row.published} | _tuning(row.tuned)


def _tuning(rate: TunedRate | None) -> dict[str, str | int | float | None]:
    if rate is None:
        return dict.fromkeys(_TUNING)
    candidates = " ".join(f"{candidate:g}" for candidate in rate.candidates)
    return dict(zip(_TUNING, (rate.chosen, candidates, rate.score, rate.seed), strict=True))


def _spread(key: str, e: Estimate | None, *, with_queries: bool) -> dict[str, float | None]:
    ends = ["over_seeds_low", "over_seeds_high"] + (["over_queries_low", "over_queries_high"] if with_queries else [])
    keys = [key, *(f"{key}_{name}" for name in ("half_width", "std", *ends))]
    if e is None:
        return dict.fromkeys(keys)
    intervals = [end for interval in (e.over_seeds, e.over_queries) for end in interval or (None, None)]
    return dict(zip(keys, [e.mean, e.half_width, e.deviation, *intervals], strict=False))


def _cells(row: RowSummary, optional: Sequence[str]) -> list[str]:
    metrics = [_estimate(row.metrics.get(name), "{:.1f}") for name in METRICS]
    differences = [
        cell for name in DIFFERENCES for cell in (_estimate(row.to_full.get(name), "{:+z.1f}"), _p(row.p.get(name)))
    ]
    texts = {
        TUNED: "" if row.tuned is None else f"{row.tuned.chosen:g}",
        GAP_CLOSED: "" if row.gap_closed is None else f"{row.gap_closed:.0f} %",
        PUBLISHED: "" if row.published is None else f"{row.published:g}",
    }
    return [row.label, row.runs, *metrics, *differences, *(texts[name] for name in optional)]


def _estimate(value: Estimate | None, form: str) -> str:
    if value is None:
        return ""
    spread = "n/a" if value.half_width is None else f"{value.half_width:.1f}"
    return f"{form.format(value.mean)} ± {spread}"


def _p(value: float | None) -> str:
    return "" if value is None else written_p(value)


def _optional(rows: Sequence[RowSummary]) -> list[str]:
    """Names of the last columns, which only some tables have."""
    present = {
        TUNED: any(row.tuned is not None for row in rows),
        GAP_CLOSED: any(row.gap_closed is not None for row in rows),
        PUBLISHED: any(row.published is not None for row in rows),
    }
    return [name for name, is_present in present.items() if is_present]
