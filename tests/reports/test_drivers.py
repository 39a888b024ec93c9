"""The pieces of a page about drivers: sentences with their range and n, or why there are none, in both languages."""

from __future__ import annotations

import re
from functools import cache

import pandas as pd
import pytest

from salescoach.charts import Drawing
from salescoach.models import fit_drivers, fit_stages
from salescoach.reports.report import Report, open_report
from salescoach.sources import sample_book


@cache
def page(language: str = "en", **whom: str) -> Report:
    return open_report(sample_book(), language=language, **whom)


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("&#34;", '"')


def test_a_finding_is_one_sentence_with_its_points_range_and_n() -> None:
    said = plain(page().stage_drivers().html)
    fit = fit_stages(page().book)["new", "prospect"]
    row = fit.table.set_index("driver").loc["response_hours"]
    assert row["signal"] == "less" and fit.usable
    numbers = [f"{-100 * row[c]:.1f}" for c in ("effect", "high", "low")]
    assert (
        f"twice as much of “Hours until the lead's answer”: {numbers[0]} points fewer deals go on from this stage "
        f"({numbers[1]} to {numbers[2]}; n = {row['n']:,})"
    ) in said.replace("&#39;", "'")
    assert "that it is the cause is not said" in said


def test_no_usable_signal_is_said_with_the_trial_that_shows_it() -> None:
    fit = fit_drivers(page().book, stage="qualified")
    assert not fit.usable and fit.calibration is not None
    said = page().driver_findings("qualified").text
    assert "No usable signal." in said and f"{fit.calibration.n:,} deals from" in said and "coin" in said


def test_too_little_data_is_said_with_what_is_missing() -> None:
    rep = page().book.people["rep"].iloc[0]
    said = page(rep=rep).driver_findings().text
    assert re.search(r"about [\d,]+ more closed deals|at least 10 with each are needed", said)


def test_the_table_has_every_level_and_marks_the_reference() -> None:
    html = page().driver_table("contract").html
    fit = fit_stages(page().book)["new", "contract"]
    assert html.count("<tr>") == len(fit.table) + 1
    assert plain(html).count(" reference ") == fit.table["signal"].eq("reference").sum()
    row = fit.table.set_index("level").loc["Kestrelsoft"]
    text = f"−{-100 * row['effect']:.1f} (−{-100 * row['low']:.1f} to −{-100 * row['high']:.1f})"
    assert text in plain(html)


def test_the_picture_tells_the_same_in_words() -> None:
    drawing = page().driver_chart("contract")
    assert isinstance(drawing, Drawing)
    assert drawing.alt.startswith("What goes with going on from “Contract”?") and "Kestrelsoft: −" in drawing.alt


def test_refused_columns_stand_beside_their_reason() -> None:
    said = plain(page().refused_columns().html)
    assert "probability" in said and "written at the close" in said and "it follows from who sells" in said


def test_the_trial_on_a_later_period_is_shown_band_by_band() -> None:
    fit = fit_drivers(page().book)
    assert fit.calibration is not None
    html = page().driver_check().html
    assert html.count("<tr>") == 1 + len(fit.calibration.bands)
    assert "too far apart" in html or "about as far apart" in html


def test_the_deals_behind_a_row_are_listed_with_how_many_there_are() -> None:
    fit = fit_stages(page().book)["new", "contract"]
    row = fit.table.set_index("level").loc["Kestrelsoft"]
    block = page().driver_deals("competitor", "Kestrelsoft", "contract", 4)
    assert block.html.count("<tr>") == 5 and f"The 4 latest of {row['n']} deals." in block.html


@pytest.mark.parametrize("name", ["driver_findings", "driver_table", "driver_chart", "driver_check", "refused_columns"])
def test_without_a_history_the_stages_are_unavailable_with_the_reason(name: str) -> None:
    book = sample_book()
    tables = {key: table for key, table in book.tables.items() if key != "stage_history"}
    bare = type(book)(tables, book.process, book.as_of, book.currency)
    said = getattr(open_report(bare), name)("quote").text
    assert "unavailable, because" in said and "stage" in said


def test_no_person_is_named() -> None:
    people = pd.concat([page().book.people["rep"], page().book.people["manager"].dropna()])
    for piece in (page().stage_drivers(), page().driver_table(), page().driver_findings("activities")):
        assert not [who for who in people if who in piece.html]


def test_everything_is_said_in_chinese_too() -> None:
    zh = page("zh")
    pieces = [zh.stage_drivers(), zh.driver_findings("qualified"), zh.driver_check(), zh.driver_table("quote")]
    pieces += [zh.driver_findings("activities"), zh.driver_deals("competitor", "(none)", "contract", 2)]
    english = re.compile(r"Everything|points|deals|signal|reference|within|Tried|Driver|fewer")
    for piece in pieces:
        assert not english.search(plain(piece.html)), plain(piece.html)[:300]
