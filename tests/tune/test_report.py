"""Report of a search: content of the page, and unusual studies."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import optuna
import pytest
from optuna import Study
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from playwright.sync_api import Browser
from rich.console import Console

from gckd.tune.report.search_report import write_search_report
from tests.browser import check_layout
from tests.tune.studies import RANGES, add, make_study, scores

M, DELTA = "distill.teacher.m", "distill.matching.delta"


class Cells(HTMLParser):
    """Text of a page: all of it, and the cells of each table row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.text = ""
        self._cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell:
            self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        (matching,) = [row for row in self.rows if row[0] == first]
        return matching


def written(study: Study, folder: Path, **options: str | None) -> tuple[Cells, str, str]:
    """The parsed page, the page, and the terminal output; a warning is an error."""
    console = Console(file=io.StringIO(), width=160)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_search_report(study, folder, console, **options)
    page = (folder / "report.html").read_text(encoding="utf-8")
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    return Cells(page), page, printed


def searched() -> Study:
    """Four finished trials, of which bnm picks the second best; one stopped, one failed and one refused."""
    halves = ((50.0, 50.0), (47.0, 50.0), (39.0, 41.0), (31.0, 29.0))
    true = {
        f"audit/{number}": {"rank_1": (a + b) / 2, "rank_1_half_a": a, "rank_1_half_b": b, "map": 30.0 + number}
        for number, (a, b) in enumerate(halves)
    }
    study = make_study(
        resources={"workers": 2, "threads": 1, "gpus": 0.5},
        confirmation_seconds=180.0,
        select="bnm",
        saved_seconds=7200.0,
        best_test={"number": 1, "rank_1": 47.25, "map": 31.0},
        **true,
    )
    for number, bnm in enumerate((0.5, 0.7, 0.4, 0.3)):
        epoch_scores = [scores(bnm=bnm, cycle=40.0 + number), scores(bnm=0.1)]
        add(study, "COMPLETE", [bnm, 0.1], {DELTA: 0.4 + 0.1 * number, M: 0.001}, epoch_scores, memory_gib=1.0 + number)
    add(study, "PRUNED", [0.6], {DELTA: 0.9, M: 0.1}, [scores(bnm=0.6)])
    add(study, "FAIL", [], {DELTA: 0.31, M: 0.002}, reason="OSError: <b>disk</b> & more")
    add(study, "FAIL", [], {DELTA: 0.32, M: 0.002}, reason="C is too small", refused=True)
    return study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def report(folder: Path) -> tuple[Cells, str, str]:
    return written(searched(), folder)


def test_the_page_has_the_right_numbers(report: tuple[Cells, str, str]) -> None:
    page, _, printed = report
    # Chosen: the trial of the largest bnm, 1; base: tiny has delta 0.8 and m 0.97.
    assert ["hyperparameter", "base config", "trial 1"] in page.rows
    assert page.row(DELTA) == [DELTA, "0.8", "0.5"]
    assert page.row(M) == [M, "0.97", "0.999"]
    assert next(row for row in page.rows if row[0] == "bnm")[2:] == ["0.4", "0.7"]
    assert "Rank-1 47.2 %, mAP 31.0 %" in page.text
    # The audit, with trials 0 to 3 of truth 50, 48.5, 40, 30: bnm picks 1; cycle grows with the number and picks 3.
    (bnm,) = [row for row in page.rows if row[0] == "bnm" and len(row) == 8]
    assert bnm[3:] == ["1", "48.5", "31.0", "1.50", "2.00"]  # mAP: 30, 31, 32 and 33
    assert bnm[1].startswith("+0.80") and bnm[2].startswith("-0.80")  # one pair is in the wrong order
    (cycle,) = [row for row in page.rows if row[0] == "cycle" and len(row) == 8]
    assert cycle[3:] == ["3", "30.0", "33.0", "20.00", "0.00"]
    # The halves order the trials 1, 2, 3, 4 and 1.5, 1.5, 3, 4: rho = 4.5 / sqrt(5 * 4.5) = 0.9487.
    # 2 rho / (1 + rho) = 0.9737, and its root 0.987.
    assert "is +0.95 in Rank-1, limit 0.99. The limit is the rho" in page.text
    assert page.row("random")[-2] == f"{50 - (50 + 48.5 + 40 + 30) / 4:.2f}"
    assert page.row("trials")[1] == "7: 4 finished, 1 stopped early, 1 failed, 1 refused, not run"
    assert page.row("adaptation time of a finished trial")[1] == "median 20.0 s (20.0 s to 20.0 s)"
    assert page.row("adaptation time of all trials")[1] == "90.0 s"
    assert page.row("compute of all trials")[1] == f"{90 * 2 * 0.5 / 3600:.3g} GPU hours"
    assert page.row("time of the confirmation, all runs")[1] == "3.0 min"
    assert page.row("largest peak memory of a trial")[1] == "4 GiB"
    assert page.row("time saved by shared source models")[1] == "2.0 h"
    assert page.row("5")[1] == "OSError: <b>disk</b> & more"
    assert page.row("6")[1] == "refused, not run: C is too small"
    assert page.row("base config")[1] == "preset tiny, except:" and ["", "adapt.steps: 240 -> 90"] in page.rows
    assert (
        "Chosen: trial 1, epoch 1. It is the best finished trial by 'bnm'." in printed
        and "selected without target labels" in printed
    )


def test_the_page_fits_a_phone_a_desktop_and_paper(
    chromium: Browser, report: tuple[Cells, str, str], folder: Path
) -> None:
    check_layout(chromium, folder / "report.html")


def test_the_best_trials_are_in_the_order_of_the_choice(report: tuple[Cells, str, str]) -> None:
    page, text, _ = report
    (start,) = [place for place, row in enumerate(page.rows) if row[:3] == ["trial", "epoch", "bnm"]]
    assert page.rows[start][3:5] == ["delta", "m"]
    assert [row[:4] for row in page.rows[start + 1 : start + 5]] == [
        ["1", "1", "0.7", "0.5"],
        ["0", "1", "0.5", "0.4"],
        ["2", "1", "0.4", "0.6"],
        ["3", "1", "0.3", "0.7"],
    ]
    assert text.count("class=highlighted") == 1


def test_the_page_is_self_contained(report: tuple[Cells, str, str], folder: Path) -> None:
    _, page, _ = report
    assert not re.search(r"https?:|<script|<link|url\(", page)
    assert "<b>disk" not in page
    pictures = sorted(base64.b64decode(text) for text in re.findall(r'src="data:image/png;base64,([^"]+)"', page))
    assert pictures == sorted(file.read_bytes() for file in folder.glob("*.png"))
    assert len(pictures) == page.count("<img") == 6
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(
    ("storage", "shown"),
    [
        ("postgresql://me:secret@127.0.0.1/optuna", "&#39;postgresql://me:***@127.0.0.1/optuna&#39;"),
        ("journal:a.journal", "a.journal"),
        (None, "{folder}/study.journal"),
    ],
)
def test_the_dashboard_command_has_the_storage_without_its_password(
    storage: str | None, shown: str, tmp_path: Path
) -> None:
    _, page, _ = written(make_study(), tmp_path, storage=storage)
    assert f"optuna-dashboard {shown.format(folder=tmp_path)}\n" in page and "secret" not in page


def test_oracle_marks_every_table(report: tuple[Cells, str, str], tmp_path: Path) -> None:
    true = {f"audit/{number}": {"rank_1": 40.0 + number, "map": 30.0} for number in range(2)}
    study = make_study(select="oracle", **true)
    for number in range(2):
        add(study, "COMPLETE", [40.0 + number], {DELTA: 0.5}, [scores()])
    page, text, printed = written(study, tmp_path)
    assert text.count("<caption>selected with target labels</caption>") == text.count("<table") > 4
    assert "Selected with target labels" in page.text and "selected with target labels" in printed
    assert "without target labels" not in page.text
    assert "<caption>" not in report[1]


def test_the_name_of_a_study_is_escaped(tmp_path: Path) -> None:
    study = make_study(name="<i>&\"'")
    assert "<i>" not in written(study, tmp_path)[1].replace("<img", "")


def single() -> Study:
    study = make_study()
    add(study, "COMPLETE", [0.1, 0.3], {DELTA: 0.5}, [scores(), scores(bnm=0.5)])
    return study


def all_failed() -> Study:
    study = make_study()
    for _ in range(3):
        add(study, "FAIL", [], {DELTA: 0.5}, reason="no")
    return study


def all_pruned() -> Study:
    study = make_study()
    for number in range(10):
        add(study, "PRUNED", [0.1 * number], {DELTA: 0.3 + 0.05 * number}, [scores()])
    return study


def conditional() -> Study:
    study = make_study()
    for number in range(12):
        with_k = {"graph.propagate": "gnn", "graph.propagate.k": 3 + number}
        params = with_k if number % 2 else {"graph.propagate": "none"}
        add(study, "COMPLETE", [0.1 * number], params, [scores(bnm=0.1 + 0.01 * number)])
    return study


def several() -> Study:
    study = make_study(directions=["maximize", "minimize", "minimize"], objectives=["score", "seconds", "memory_gib"])
    for number in range(9):
        values = [0.1 * number, 10.0 + number, 1.0 + number % 3]
        add(study, "COMPLETE", values[:1], {DELTA: 0.3 + 0.05 * number}, [scores()], several=values)
    add(study, "PRUNED", [0.3], {DELTA: 0.4}, [scores()], several=[0.3, 1.0, 1.0], **{"values/1": [0.3, 1.0, 1.0]})
    return study


def equal() -> Study:
    study = make_study()
    for _ in range(12):
        add(study, "COMPLETE", [0.0], {DELTA: 0.5, "graph.propagate": "gnn"}, [scores()])
    return study


def collapsed() -> Study:
    study = make_study()
    for _ in range(9):
        add(study, "COMPLETE", [-12.0], {DELTA: 0.5}, [scores(rank_me=1.0)])
    return study


def without_params() -> Study:
    study = make_study()
    add(study, "COMPLETE", [0.0], {}, [scores()])
    return study


@pytest.mark.parametrize(
    ("make", "chosen", "pictures"),
    [
        (make_study, None, set()),
        (single, 0, {"epochs"}),
        (all_failed, None, {"timeline"}),
        (all_pruned, None, {"importance", "parallel", "slices", "timeline"}),
        (conditional, 11, {"history", "importance", "parallel", "slices", "timeline"}),
        (several, 8, {"history", "importance", "parallel", "pareto", "slices", "timeline"}),
        (equal, 0, {"history", "timeline"}),
        (collapsed, 0, {"history", "timeline"}),
        (without_params, 0, set()),
    ],
)
def test_unusual_studies_have_a_report(
    make: Callable[[], Study], chosen: int | None, pictures: set[str], tmp_path: Path
) -> None:
    page, _, printed = written(make(), tmp_path)
    files = {"report.html", "trials.parquet", *(f"{name}.png" for name in pictures)}
    for_papers = {file for file in tmp_path.iterdir() if file.suffix in (".svg", ".pdf")}
    assert {file.stem for file in for_papers if not re.search(r"-\d$", file.stem)} == pictures
    others = {file.name for file in tmp_path.iterdir()} - {file.name for file in for_papers}
    assert others == files | ({"best.yaml"} if chosen is not None else set())
    message = "No trial has finished" if chosen is None else f"Chosen: trial {chosen}, epoch"
    assert message in printed
    for name, title in (
        ("importance", "Unknown: it needs 8 trials"),
        ("history", "No figure: it needs two trials with a value."),
    ):
        assert (title in page.text) == (name not in pictures)


def test_a_later_report_removes_figures_that_it_does_not_have(tmp_path: Path) -> None:
    written(conditional(), tmp_path)
    written(single(), tmp_path)
    assert not list(tmp_path.glob("importance*"))


def test_the_report_of_a_running_study_does_not_change_it(tmp_path: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    for key, value in make_study().user_attrs.items():
        study.set_user_attr(key, value)
    for state in (TrialState.COMPLETE, TrialState.PRUNED, None):
        trial = study.ask({DELTA: RANGES[DELTA]})
        trial.set_user_attr("edits", {DELTA: trial.params[DELTA]})
        trial.set_user_attr("epoch/1", {**scores(), "seconds": 1.0, "value": 0.25})
        trial.set_user_attr("epoch", 1)
        trial.report(0.25, 1)
        if state is not None:
            study.tell(trial, 0.25 if state == TrialState.COMPLETE else None, state)
    study.enqueue_trial({DELTA: 0.5})
    before = (tmp_path / "study.journal").read_bytes()
    page, _, _ = written(study, tmp_path / "out")
    assert page.row("trials")[1] == "4: 1 finished, 1 stopped early, 1 running, 1 waiting"
    assert (tmp_path / "study.journal").read_bytes() == before
