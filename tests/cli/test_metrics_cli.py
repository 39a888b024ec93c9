"""`salescoach metrics`, `trust` and `reconcile` on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import salescoach.metrics.own as own
from salescoach.book import save_book
from salescoach.cli.trust import read_figure, read_report
from salescoach.errors import UsageError
from salescoach.metrics import METRICS

Run = Callable[..., Any]
OWN = """
from salescoach.metrics import count_records, metric
from salescoach.metrics.outcomes import decided_deals

def small(book, period=None):
    deals = decided_deals(book, period)
    return deals[deals["amount"] < 20_000]

@metric("Small deals", "Decided deals under 20,000.", why="How many are small?", basis="day of the decision",
        interval="95 %", unit="count", needs=[("deals", "amount")], by=("team",), rows=small)
def small_deals(book, by="team", period=None):
    return count_records(book, small(book, period), by, on="closed_on")
"""


@pytest.fixture
def mine(tmp_path: Path) -> Any:
    file = tmp_path / "mine.py"
    file.write_text(OWN, encoding="utf-8")
    before = dict(METRICS)
    yield file
    METRICS.clear()
    METRICS.update(before)
    own._LOADED.clear()


# --- explain and options ----------------------------------------------------------------------------


def test_a_metric_explains_itself(salescoach: Run) -> None:
    said = salescoach("metrics", "win_rate", "--book", "demo", "--explain").out
    assert said.startswith("win_rate: Win rate\n  Why: How many of the deals that come to a decision do we win")
    for label in ("Definition", "Data used: deals (outcome)", "Counted by", "Interval", "Keep in mind", "Groups: rep"):
        assert f"  {label}" in said
    assert "--option base=…" in said and "Choices: decided, competitive, created." in said
    assert "Default: decided." in said and "In this book: available" in said


def test_what_a_metric_is_can_be_told_without_a_book(salescoach: Run) -> None:
    said = salescoach("metrics", "win_rate", "--explain").out
    assert "Counted by: day of the decision" in said and "In this book" not in said
    assert "Missing option '--book'" in salescoach("metrics", "win_rate").err
    assert "Missing option '--book'" in salescoach("metrics", "win_rate", "--explain", "--team", "Harbour").err


def test_the_basis_told_is_that_of_the_variant(salescoach: Run) -> None:
    created = ("metrics", "win_rate", "--option", "base=created")
    assert "Counted by: day of creation" in salescoach(*created, "--explain").out
    assert "by day of creation; 95 % Wilson" in salescoach(*created, "--book", "demo").out
    told = json.loads(salescoach(*created, "--book", "demo", "--json").out)["metrics"]["win_rate"]
    assert told["basis"] == "day of creation"
    assert "by day of the decision; 95 % Wilson" in salescoach("metrics", "win_rate", "--book", "demo").out


def test_it_explains_itself_in_chinese(salescoach: Run) -> None:
    said = salescoach("metrics", "stage_flow", "--book", "demo", "--explain", "--language", "zh").out
    assert "阶段转化" in said and "为什么" in said
    assert "Definition" not in said and "Why" not in said and "unavailable" not in said


def test_everything_explains_itself_as_json(salescoach: Run) -> None:
    told = json.loads(salescoach("metrics", "--book", "demo", "--explain", "--json").out)
    assert set(told) == set(METRICS)
    assert all(t["why"] and t["definition"] and t["data"] and t["availability"] for t in told.values())


def test_an_option_changes_the_figure_and_is_named_in_the_answer(salescoach: Run) -> None:
    words = ("metrics", "stage_flow", "--book", "demo", "--json")
    usual = json.loads(salescoach(*words).out)["metrics"]["stage_flow"]
    strict = json.loads(salescoach(*words, "--option", "rule=strict", "--option", "mature_days=30").out)
    strict = strict["metrics"]["stage_flow"]
    assert strict["options"] == {"rule": "strict", "mature_days": 30} and usual["options"] == {}
    assert all(a["value"] < b["value"] for a, b in zip(strict["rows"], usual["rows"], strict=True) if a["n"] > 100)


def test_options_of_the_rows_are_those_of_the_figure(salescoach: Run) -> None:
    words = ("metrics", "win_rate", "--book", "demo", "--option", "base=created", "--period", "2026Q2", "--json")
    row = json.loads(salescoach(*words, "--by", "").out)["metrics"]["win_rate"]["rows"][0]
    assert len(json.loads(salescoach(*words, "--rows").out)) == row["n"]


def test_the_rows_of_a_rep_are_as_many_as_the_reps_number(salescoach: Run) -> None:
    words = ("metrics", "win_rate", "--book", "demo", "--rep", "R05", "--period", "2026", "--json")
    rows = json.loads(salescoach(*words).out)["metrics"]["win_rate"]["rows"]
    assert sum(r["n"] for r in rows) == len(json.loads(salescoach(*words, "--rows").out)) > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("win_rate", "--option", "bas=created"), "win_rate has no option 'bas'. Did you mean 'base'?"),
        (("win_rate", "--option", "base=creatd"), "base='creatd' is unknown. Did you mean 'created'?"),
        (("stage_flow", "--option", "mature_days=many"), "mature_days='many' is not a whole number"),
        (("win_rate", "--option", "base"), "write NAME=VALUE"),
        (("--option", "base=created"), "--option is of a metric: give its NAME"),
        (("win_rate", "--explain", "--rows"), "give one of them"),
        (("win_rate", "--reported", "2027-01-01"), "later than the data"),
        (("win_rate", "--reported", "soon"), "'soon' is no day"),
        (("win_rate", "funnel", "--reported", "2026-03-31"), "compares one metric"),
        (("win_rate", "--csv", "no/such/folder"), "does not exist"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(salescoach: Run, words: tuple[str, ...], message: str) -> None:
    done = salescoach("metrics", *words, "--book", "demo")
    assert done.code == 2 and message in done.err and "Traceback" not in done.err


# --- files ------------------------------------------------------------------------------------------


def test_every_available_metric_goes_into_one_workbook(salescoach: Run, tmp_path: Path) -> None:
    done = salescoach("metrics", "--book", "demo", "--period", "2026Q2", "--xlsx", "all.xlsx")
    assert done.code == 0
    sheets = pd.read_excel(tmp_path / "all.xlsx", sheet_name=None)
    left_out = {line.split()[2].rstrip(":") for line in done.err.splitlines()}
    assert set(sheets) | left_out == set(METRICS) and not set(sheets) & left_out
    assert list(sheets["win_rate"])[:4] == ["rep_id", "rep", "n", "won"] and len(sheets["win_rate"]) > 20


def test_every_available_metric_goes_into_a_file_of_a_folder(salescoach: Run, tmp_path: Path) -> None:
    done = salescoach("metrics", "--book", "demo", "--csv", "figures")
    assert done.code == 0
    files = {f.stem for f in (tmp_path / "figures").iterdir()}
    assert {"win_rate", "funnel", "response_time"} <= files <= set(METRICS)
    assert pd.read_csv(tmp_path / "figures" / "funnel.csv")["n"].nunique() == 1


def test_several_tables_do_not_fit_into_one_csv_file(salescoach: Run, tmp_path: Path) -> None:
    done = salescoach("metrics", "win_rate", "funnel", "--book", "demo", "--csv", "both.csv")
    assert done.code == 2 and "A CSV file holds one table" in done.err
    assert not (tmp_path / "both.csv").exists()


def test_a_file_is_no_folder(salescoach: Run, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("", encoding="utf-8")
    done = salescoach("metrics", "win_rate", "funnel", "--book", "demo", "--csv", "here")
    assert done.code == 2 and "here is a file" in done.err


# --- as reported ------------------------------------------------------------------------------------


def test_what_moved_since_is_listed_with_its_deals(salescoach: Run) -> None:
    words = ("metrics", "win_rate", "--book", "demo", "--period", "2026Q1", "--reported", "2026-03-31")
    found = json.loads(salescoach(*words, "--json").out)
    assert [r["rep_id"] for r in found["win_rate"]] == ["R03", "R07", "R14", "R17"]
    assert {r["cause"] for r in found["causes"]} == {"reopened"}
    assert "D02158" in salescoach(*words).out
    quiet = salescoach("metrics", "win_rate", "--book", "demo", "--period", "2025Q1", "--reported", "2026-09-30").out
    assert quiet == "win_rate is what it was.\n"


def test_a_saved_book_is_a_past_too(salescoach: Run, demo_book: Any, tmp_path: Path) -> None:
    save_book(demo_book.at("2026-03-31"), tmp_path / "spring")
    found = json.loads(salescoach("metrics", "pipeline", "--book", "demo", "--reported", "spring", "--json").out)
    assert found == {"pipeline": [], "causes": []}


# --- metrics of one's own ----------------------------------------------------------------------------


def test_a_metric_of_ones_own_is_one_of_them(salescoach: Run, mine: Path) -> None:
    done = salescoach("metrics", "small_deals", "--own", mine, "--book", "demo", "--json")
    rows = json.loads(done.out)["metrics"]["small_deals"]["rows"]
    assert {r["team"] for r in rows} >= {"Harbour"} and sum(r["n"] for r in rows) > 0
    assert "small_deals: Decided deals under 20,000." in salescoach("metrics", "--own", mine, "--book", "demo").out
    assert (
        "Why: How many are small?"
        in salescoach("metrics", "small_deals", "--own", mine, "--book", "demo", "--explain").out
    )


def own_notebook(folder: Path) -> Path:
    """A notebook of a company's own that shows its own metric."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    parameters = 'book = "demo"\nrep = ""\nteam = ""\nperiod = ""\nlanguage = "en"'
    show = "from salescoach import open_report\n\nreport = open_report(book, rep, team, period, language)\n"
    cells = [
        new_markdown_cell("# How many are small?"),
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        new_code_cell(show + 'report.table("small_deals", by="team")'),
    ]
    file = folder / "small.ipynb"
    nbformat.write(new_notebook(cells=cells), file)
    return file


@pytest.mark.nightly
def test_a_report_shows_a_metric_of_ones_own(salescoach: Run, mine: Path, tmp_path: Path) -> None:
    notebook = own_notebook(tmp_path)
    done = salescoach("report", notebook, "--own", mine, "--book", "demo", "--team", "Harbour", "--period", "2026Q2")
    assert done.code == 0, done.err
    [page] = tmp_path.glob("*.html")
    html = page.read_text(encoding="utf-8")
    assert "Small deals" in html and "Harbour" in html and "load_own" not in html
    without = salescoach("report", notebook, "--book", "demo", "--team", "Harbour")
    assert without.code == 3 and "There is no metric &#x27;small_deals&#x27;" in without.err.replace("'", "&#x27;")


def test_a_batch_takes_it_to_its_workers(salescoach: Run, mine: Path, tmp_path: Path) -> None:
    words = ("batch", "--notebook", own_notebook(tmp_path), "--per", "company", "--book", "demo", "--out", "out")
    done = salescoach(*words, "--own", mine, "--workers", "1")
    assert done.code == 0, done.err
    pages = [p for p in (tmp_path / "out" / "current").rglob("*.html") if p.name != "index.html"]
    assert len(pages) == 1 and "Small deals" in pages[0].read_text(encoding="utf-8")


def test_a_broken_file_is_one_line(salescoach: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = (\n", encoding="utf-8")
    done = salescoach("metrics", "--own", "broken.py", "--book", "demo")
    assert done.code == 5 and "broken.py, line 1: '(' was never closed" in done.err


# --- trust and reconcile ------------------------------------------------------------------------------


def test_trust_says_ranges_edits_and_leaks(salescoach: Run, tmp_path: Path) -> None:
    said = salescoach("trust", "--book", "demo", "--period", "2026Q3")
    assert said.code == 0 and "open deals that look dead" in said.out and "keep out" in said.out
    found = json.loads(salescoach("trust", "--book", "demo", "--period", "2026Q3", "--json").out)
    assert len(found["edits"]) == 10 and {"bounds", "leakage"} < set(found)
    assert salescoach("trust", "--book", "demo", "--xlsx", "t.xlsx").code == 0
    assert set(pd.read_excel(tmp_path / "t.xlsx", sheet_name=None)) == {"bounds", "edits", "leakage"}


def test_reconcile_finds_the_definition_behind_a_figure(salescoach: Run) -> None:
    words = ("reconcile", "win_rate", "--book", "demo", "--period", "2026Q1")
    row = json.loads(salescoach("metrics", *words[1:], "--by", "", "--option", "base=created", "--json").out)
    value = row["metrics"]["win_rate"]["rows"][0]["value"]
    said = salescoach(*words, "--figure", f"{value:.6f}").out
    assert "--option base=created" in said and "definitions give this figure" in said
    assert "No definition we know gives this figure" in salescoach(*words, "--figure", "0.98765").out


def test_reconcile_lists_the_deals_that_differ(salescoach: Run, tmp_path: Path) -> None:
    words = ("win_rate", "--book", "demo", "--period", "2026Q1")
    assert salescoach("metrics", *words, "--rows", "--csv", "rows.csv").code == 0
    rows = pd.read_csv(tmp_path / "rows.csv", dtype="str")
    theirs = rows.iloc[2:].rename(columns={"deal_id": "Record ID", "amount": "Deal value"})
    theirs[["Record ID", "Deal value"]].to_csv(tmp_path / "theirs.csv", index=False)
    found = json.loads(salescoach("reconcile", *words, "--report", "theirs.csv", "--json").out)
    assert [r["deal_id"] for r in found] == rows["deal_id"].head(2).tolist()
    assert {r["where"] for r in found} == {"only ours"}
    same = salescoach("reconcile", *words, "--report", "rows.csv", "--column", "deal_id=deal_id", "--json")
    assert json.loads(same.out) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Give --figure X, --report FILE, or both"),
        (("--figure", "much"), "'much' is no number"),
        (("--report", "t.csv"), "which column has the deals' ids?"),
        (("--report", "t.csv", "--column", "deal_id=Keyy"), "has no column 'Keyy'. Did you mean 'Key'?"),
        (("--report", "t.csv", "--column", "deal=Key"), "write OURS=THEIRS"),
        (("--report", "t.csv", "--column", "deal_id=Key", "--column", "amount=Sum"), "'lots' is not an amount"),
    ],
)
def test_reconcile_refuses_in_one_line(salescoach: Run, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    (tmp_path / "t.csv").write_text("Key,Sum\nD1,lots\n", encoding="utf-8")
    done = salescoach("reconcile", "win_rate", "--book", "demo", *words)
    assert done.code == 2 and message in done.err and "Traceback" not in done.err


@pytest.mark.parametrize(
    ("text", "figure"),
    [
        ("0.42", (0.42, 2)),
        ("42%", (0.42, 2)),
        ("41.5 %", (0.415, 3)),
        ("1,250,000", (1250000.0, 0)),
        ("¥9.5", (9.5, 1)),
    ],
)
def test_a_figure_is_read_with_its_decimals(text: str, figure: tuple[float, int]) -> None:
    value, digits = read_figure(text)
    assert (value, digits) == (pytest.approx(figure[0]), figure[1])


def test_a_chinese_report_is_read(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    file.write_text("商机编号,结果,金额\nA1,赢单,￥1，200\nA2,输单,\n", encoding="gb18030")
    read = read_report(file)
    assert read["deal_id"].tolist() == ["A1", "A2"] and read["outcome"].tolist() == ["won", "lost"]
    assert read["amount"].iloc[0] == 1200 and pd.isna(read["amount"].iloc[1])
    with pytest.raises(UsageError, match="is not a day"):
        file.write_text("deal_id,close date\nA,soon\n", encoding="utf-8")
        read_report(file)
