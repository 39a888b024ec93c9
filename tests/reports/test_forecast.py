"""Pages about what will be won: in words, in tables that add up, and beside what came before."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.charts import Drawing
from salescoach.models.forecast import chance_to_reach, fit_forecast
from salescoach.reports import open_report
from salescoach.reports.blocks import Block
from salescoach.reports.report import Report
from salescoach.sources import load_book, sample_book

DAY = "2026-08-15"


def text_of(piece: Block | Drawing) -> str:
    if isinstance(piece, Drawing):
        return piece.alt
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", piece.html)).split())


def cells(piece: Block | Drawing) -> list[list[str]]:
    assert isinstance(piece, Block)
    rows = re.findall(r"<tr>(.*?)</tr>", piece.html, re.S)
    found = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.S) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in row] for row in found if row]


def pieces(report: Report) -> list[Block | Drawing]:
    found = [report.forecast_in_words(), report.target_in_words(), report.forecast_table(), report.forecast_chart()]
    found += [report.forecast_scores(), report.forecast_calls(), report.forecast_deals(), report.chances_chart()]
    return [*found, report.forecast_categories()]


@pytest.fixture(scope="module")
def then() -> Book:
    return sample_book().at(DAY)


@pytest.fixture(scope="module")
def company(then: Book) -> Report:
    return open_report(then, period="2026Q3")


def test_the_sentence_holds_the_parts_of_the_forecast(then: Book, company: Report) -> None:
    row = fit_forecast(then, "2026Q3").of("company").iloc[0]
    said = text_of(company.forecast_in_words())
    assert row["value"] == pytest.approx(row["won"] + row["open"] + row["new"])
    for part in ("value", "low", "high", "won", "open", "new"):
        assert company.say.short_money(round(row[part]), "CNY") in said, part
    assert f"from {row['n']:,} open deals" in said and "2026Q3" in said and "days ahead" in said


def test_the_chance_to_reach_the_target(then: Book, company: Report) -> None:
    fit = fit_forecast(then, "2026Q3")
    asked = company.measure("quota_attainment", "", "2026Q3").table
    assert asked is not None
    chance = chance_to_reach(fit.of("company").iloc[0], float(asked["target"].iloc[0]))
    said = text_of(company.target_in_words())
    assert f"is {company.say.percent(chance)}." in said
    assert ("For an even chance" in said) == (chance < 0.5)


def test_teams_add_up_to_the_company_and_reps_to_their_team(then: Book, company: Report) -> None:
    fit = fit_forecast(then, "2026Q3")
    teams = cells(company.forecast_table())
    assert [row[0] for row in teams] == sorted(fit.of("team")["team"])
    assert fit.of("team")["value"].sum() == pytest.approx(fit.of("company")["value"].iloc[0])
    team = open_report(then, team="Harbour", period="2026Q3")
    names = [row[0] for row in cells(team.forecast_table())]
    assert set(names) == set(team.book.people["rep"])
    assert not any(name in text_of(company.forecast_table()) for name in then.people["rep"])


def test_methods_stand_beside_the_simple_ones_and_the_crm(company: Report) -> None:
    said = text_of(company.forecast_scores())
    for name in ("Forecast (combined)", "Run-rate", "CRM stage weights", "Last period again"):
        assert name in said
    assert isinstance(company.forecast_chart(), Drawing) and "range held" in text_of(company.forecast_chart())
    assert isinstance(company.chances_chart(), Drawing)


def test_each_deal_says_why(then: Book, company: Report) -> None:
    rows = cells(company.forecast_deals(5))
    assert len(rows) == 5
    deal = fit_forecast(then, "2026Q3").deals.iloc[0]
    assert f"{deal['similar_won']:,} of {deal['similar_n']:,} deals like this were won within" in rows[0][-1]


def test_categories_where_the_crm_has_them(then: Book) -> None:
    assert "unavailable, because `forecast_category` is missing" in text_of(open_report(then).forecast_categories())
    deals = then.deals
    named = pd.Series(["commit", "best case", None], dtype="str").take([i % 3 for i in range(len(deals))])
    book = replace(then, tables={**then.tables, "deals": deals.assign(forecast_category=named.to_numpy())})
    rows = cells(open_report(book).forecast_categories())
    assert {row[0] for row in rows} == {"commit", "best case", "(no category)"}
    assert sum(int(row[1].replace(",", "")) for row in rows) == (then.deals["outcome"] == "open").sum()


def test_a_reps_page_names_no_colleague(then: Book) -> None:
    report = open_report(then, rep="R06")
    said = " ".join(text_of(piece) for piece in pieces(report))
    others = then.people[then.people["rep_id"] != "R06"]
    assert [name for name in others["rep"] if name in said] == []
    assert "Daniel Novak" in said and "stands on the manager's page" in said


def test_every_piece_speaks_chinese(then: Book, company: Report) -> None:
    chinese = open_report(then, period="2026Q3", language="zh")
    for one, other in zip(pieces(company), pieces(chinese), strict=True):
        told = text_of(other)
        assert re.search(r"[\u4e00-\u9fff]", told), told
        assert told != text_of(one)


def test_too_little_data_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "deals.csv"
    file.write_text(
        "deal_id,stage,created_at,closed_at,amount\nD1,Closed Won,2026-01-05,2026-02-01,100\nD2,Quote,2026-01-07,,7\n",
        encoding="utf-8",
    )
    report = open_report(load_book(file))
    assert all("unavailable, because" in text_of(piece) for piece in pieces(report))
