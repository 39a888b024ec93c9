"""The manager's page and what goes upstairs: who is named, on what evidence, and who never is."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.kit import kit_path
from salescoach.metrics import measure
from salescoach.metrics.since import CHANGES, changes_since, untold_changes
from salescoach.metrics.support import NOBODY_TO_HELP, help_list, praise_list
from salescoach.process import parse_period
from salescoach.reports import Report, open_report
from salescoach.reports.blocks import Block
from salescoach.reports.stories import find_story
from salescoach.sources import load_book
from salescoach.wording import words

MakeBook = Callable[..., Book]
LISTS = (
    "roster",
    "load",
    "changes",
    "changed_deals",
    "needs_help",
    "deserves_praise",
    "carries_too_much",
    "deals_without_next_step",
    "missed_quotes",
    "forgotten_followups",
    "unanswered_leads",
)
YEAR = "last 365 days"
PLANS = """activity_id,rep_id,at,activity_type,deal_id,direction,due_on,done
A1,R1,2026-01-20 09:00:00,call,D2,in,2026-01-20,true
A2,R1,2026-03-20 09:00:00,call,D2,out,2026-03-25,false
A3,R2,2026-03-20 09:00:00,call,D6,out,,
"""


def text_of(block: Block) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", block.html)).split())


def cells(block: Block) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", block.html, re.S)
    parts = (re.findall(r"<td[^>]*>(.*?)</td>", row, re.S) for row in rows)
    return [[" ".join(html.unescape(re.sub(r"<[^>]+>", "", c)).split()) for c in row] for row in parts if row]


def labels(block: Block) -> list[str]:
    found = re.findall(r"<th\b[^>]*>(.*?)</th>", block.html, re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]*>", "", label)).strip() for label in found]


def whole_story(name: str, page: Callable[..., str], **parameters: Any) -> str:
    """The finished page of a notebook, its cells run here and now."""
    say = words(parameters.get("language", "en"))
    story, known, pieces = find_story(name).read(say), dict(parameters), []
    for cell in story.cells:
        if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
            body = cell.source.strip().splitlines()
            exec("\n".join(body[:-1]), known)
            pieces.append(eval(body[-1], known))
    prose = tuple(c for c in story.cells if c.cell_type == "markdown")
    return page(*pieces, title=say(find_story(name).question), language=say.language, cells=prose)


def readable(page: str) -> str:
    """What a person reads or hears of a page: texts and the words beside pictures."""
    spoken = " ".join(re.findall(r'alt="([^"]*)"', page))
    plain = re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page, flags=re.S)
    return html.unescape(plain + spoken)


@pytest.fixture(scope="module")
def harbour(demo: Book) -> Report:
    return open_report(demo, team="Harbour", period=YEAR)


# --- like for like ---------------------------------------------------------------------------------


def test_everybody_stands_in_the_order_of_names(harbour: Report) -> None:
    people = sorted(harbour.book.people["rep"])
    assert [row[0] for row in cells(harbour.load())] == people
    assert [row[0] for row in cells(harbour.changes())][:-1] == people


def test_sales_pace_and_load_are_those_of_the_metrics(harbour: Report) -> None:
    rows = {row[0]: row for row in cells(harbour.load())}
    sold = measure(harbour.book, "sales", by="rep", period=YEAR).table.set_index("rep")
    aims = measure(harbour.book, "quota_attainment", by="rep", period=YEAR).table.set_index("rep")
    carried = measure(harbour.book, "workload", by="rep").table.set_index("rep")
    for rep, row in rows.items():
        assert row[1] == str(sold.loc[rep, "n"]) and row[2] == f"¥{sold.loc[rep, 'value']:,.0f}"
        assert row[3] == f"{aims.loc[rep, 'pace']:.0%}"
        assert row[4] == str(carried.loc[rep, "n"])


def test_columns_that_nobody_can_fill_are_left_out(make_book: MakeBook) -> None:
    block = open_report(make_book(targets=None, stage_history=None)).load()
    assert labels(block)[-3:] == ["Open deals (n)", "Open amount", "Touches asked per week"]
    assert "Quota attainment: unavailable, because the book has no table `targets`." in text_of(block)
    assert "“too much”" not in text_of(block)


def test_amounts_of_several_currencies_are_not_added_for_anybody(make_book: MakeBook) -> None:
    deals = "deal_id,rep_id,stage,created_at,closed_at,amount,currency\n"
    deals += "D1,R1,Won,2026-01-01,2026-02-10,10.00,CNY\nD2,R1,Won,2026-01-01,2026-02-10,10.00,EUR\n"
    block = open_report(make_book(deals=deals, stage_history=None)).load()
    assert "Won amount" not in labels(block)
    assert "sums never cross currencies" in text_of(block)
    assert cells(block)[0][:2] == ["Ann Reed", "2"]


# --- this week -------------------------------------------------------------------------------------


def test_the_changes_of_a_week_are_those_of_the_list(harbour: Report) -> None:
    block, since = harbour.changes(), "2026-09-23"
    rows = changes_since(harbour.book, since)
    shown = {label: key for key, label in CHANGES.items() if label in labels(block)}
    table = {row[0]: dict(zip(labels(block)[1:], row[1:], strict=True)) for row in cells(block)}
    for label, key in shown.items():
        of_all = rows[rows["change"] == key]
        assert int(table["All"][label].split(" ")[0]) == len(of_all)
        assert sum(int(row[label].split(" ")[0]) for name, row in table.items() if name != "All") == len(of_all)
    won = rows[rows["change"] == "won"]
    assert table["All"]["Won"] == f"{len(won)} (¥{won['amount'].sum():,.0f})"
    missing = set(CHANGES) - set(shown.values())
    assert missing == {key for key in CHANGES if key in untold_changes(harbour.book)} | {
        key for key in ("void", "reopened", "taken_over", "back") if key not in set(rows["change"])
    }


def test_the_deals_behind_the_changes_say_from_where_to_where(make_book: MakeBook) -> None:
    # 31 March beside 1 March: D2 came to the quote stage, D3, D4 and D5 were closed
    rows = cells(open_report(make_book()).changed_deals(days=30))
    assert [row[:2] for row in rows] == [
        ["Ann Reed", "Beta"],
        ["Ann Reed", "Epsilon"],
        ["Bob Stone", "Delta"],
    ] and rows[0][-1] == "Moved on: Prospecting → Quote"
    assert rows[2][-2:] == ["¥400", "Won"]


def test_a_week_without_changes_says_so(make_book: MakeBook) -> None:
    report = open_report(make_book())
    assert text_of(report.changes()).startswith("Nothing changed since 24 Mar 2026.")
    assert text_of(report.changed_deals()) == "Nothing but new deals since 24 Mar 2026."


# --- who needs what --------------------------------------------------------------------------------


def test_only_those_are_named_whom_the_evidence_names(demo: Book) -> None:
    for team in demo.teams:
        report = open_report(demo, team=team, period=YEAR)
        for block, table in (
            (report.needs_help(50), help_list(report.book, YEAR)),
            (report.deserves_praise(50), praise_list(report.book, YEAR)),
        ):
            named = [row[0] for row in cells(block)]
            assert named == sorted(table["rep"])
            for row in cells(block):
                own = table[table["rep"] == row[0]]
                assert {row[2], row[3]} <= {f"{v:,.0f}" for v in [*own["reached"], *own["n"]]}


def test_help_comes_with_what_the_stage_calls_for_in_the_readers_language(demo: Book) -> None:
    report = open_report(demo, period=YEAR, language="zh")
    rows = cells(report.needs_help(50))
    hints = set(help_list(demo, YEAR, "zh")["coach"].dropna())
    assert hints and hints <= {row[-1] for row in rows}
    assert {row[-1] for row in rows} <= {*hints, ""}


def test_where_nobody_stands_out_nobody_is_named(demo: Book) -> None:
    month = open_report(demo, team="Harbour", period="2025-01")
    try:
        assert help_list(month.book, "2025-01").empty
        said = NOBODY_TO_HELP
    except Unavailable as reason:
        said = f"Who needs help: unavailable, because {reason}."
    assert text_of(month.needs_help()) == said


def test_who_carries_too_much_stands_with_the_evidence(demo: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    report = open_report(demo, team="Harbour")
    assert text_of(report.carries_too_much()) == (
        "Nobody clearly carries too much; of 4 of 6 people enough is known to tell."
    )
    found = measure(report.book, "workload", by="rep")
    loaded = found.table.assign(signal=["too much", *["none"] * 5])
    monkeypatch.setattr("salescoach.reports.people.measure", lambda *_, **__: replace(found, table=loaded))
    assert [row[:2] for row in cells(report.carries_too_much())] == [["Ana Souza", "14"]]


def test_deals_without_a_next_step_are_listed_by_person(make_book: MakeBook) -> None:
    deals = "deal_id,rep_id,stage,created_at,closed_at,amount,expected_close_on,account_id,name\n"
    deals += "D2,R1,Quote,2026-01-05,,250.00,,A1,Beta\nD6,R2,Quote,2026-01-05,,20.00,,A1,Zeta\n"
    deals += "D7,,Quote,2026-01-05,,9999.00,,A1,Eta\nD3,R2,Lost,2026-01-10,2026-03-01,300.00,,A2,Gamma\n"
    report = open_report(make_book(deals=deals, stage_history=None, leads=None, activities=PLANS))
    block = report.deals_without_next_step()
    assert [[row[0], row[1], row[-1]] for row in cells(block)] == [
        ["Ann Reed", "Beta", "overdue since 25 Mar 2026"],
        ["Bob Stone", "Zeta", "none"],
        ["(unassigned)", "Eta", "none"],
    ]
    assert "Of 3 open deals 2 have no next step, and that of 1 is overdue." in text_of(block)
    assert [row[1] for row in cells(report.deals_without_next_step(1))] == ["Eta"]  # the largest


def test_lapses_are_listed_largest_first_and_add_up(demo: Book) -> None:
    report = open_report(demo, team="Summit", period=YEAR)
    for name in ("missed_quotes", "forgotten_followups"):
        table = measure(report.book, name, by=(), period=YEAR).table.iloc[0]
        counted = table["missed"] if name == "missed_quotes" else table["forgotten"]
        every = getattr(report, name)(10_000)
        assert f"{int(counted):,} of {int(table['n']):,} " in text_of(every)
        few = cells(getattr(report, name)(3))
        assert len(few) == 3 and all(row in cells(every) for row in few)
        closed = [row for row in cells(every) if not row[-1].startswith("open")]
        amounts = sorted((int(re.sub(r"\D", "", row[3]) or 0) for row in closed), reverse=True)
        is_open = len(cells(every)) - len(closed)
        chosen = sorted(int(re.sub(r"\D", "", r[3]) or 0) for r in few if not r[-1].startswith("open"))
        assert len(chosen) == 3 - min(is_open, 3) and chosen == sorted(amounts[: len(chosen)])
        assert [row[0] for row in few] == sorted(row[0] for row in few)


def test_no_quote_is_missed_on_a_day_to_come(demo: Book) -> None:
    rows = cells(open_report(demo, period=YEAR).missed_quotes(10_000))
    days = pd.to_datetime([row[4].replace("Sept", "Sep") for row in rows], format="%d %b %Y")
    assert len(rows) > 50 and (days <= demo.as_of_on).all()


def test_leads_that_wait_are_the_newest_ones(make_book: MakeBook) -> None:
    leads = "lead_id,created_at,rep_id,first_response_at,deal_id,status\n"
    leads += "L1,2026-03-01 08:00:00,R1,2026-03-01 09:00:00,,new\n"  # answered
    leads += "L2,2026-03-02 08:00:00,R2,,,new\nL3,2026-03-03 08:00:00,R1,,,new\nL4,2026-03-04 08:00:00,,,,new\n"
    leads += "L5,2026-03-05 08:00:00,R1,,,Disqualified\n"  # nobody is to answer it
    leads += "L6,2026-03-05 08:00:00,R1,,D1,new\n"  # there is a deal already
    leads += "L7,2026-03-31 23:00:00,R1,,,new\n"  # still within the limit
    report = open_report(make_book(leads=leads))
    block = report.unanswered_leads()
    assert [row[:2] for row in cells(block)] == [["Ann Reed", "L3"], ["Bob Stone", "L2"], ["(unassigned)", "L4"]]
    assert "3 leads of the period wait for their first answer for longer than 4 hours" in text_of(block)
    assert "1 more were put aside without an answer." in text_of(block)
    assert [row[1] for row in cells(report.unanswered_leads(2))] == ["L3", "L4"]
    quiet = open_report(report.book, period="2026-01")
    assert text_of(quiet.unanswered_leads()) == "Nobody has a lead of the period that waits for its first answer."


# --- where little is known -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """One row per deal: no people, no activities, no history, no dates."""
    folder: Path = tmp_path_factory.mktemp("bare")
    (folder / "deals.csv").write_text("deal_id,stage\nD1,Won\nD2,Lost\nD3,Quote\n", encoding="utf-8")
    return load_book(folder, as_of="2026-03-31")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_piece_says_something_of_a_bare_book(bare: Book, language: str) -> None:
    report = open_report(bare, language=language)
    for name in LISTS:
        assert text_of(getattr(report, name)()), name
    assert text_of(report.ranges())


def test_what_is_missing_is_said_and_nobody_is_blamed(bare: Book) -> None:
    report = open_report(bare)
    said = text_of(report.changes())
    assert "Created: unavailable, because `created_at` is missing or empty in `deals`." in said
    assert "Moved on, Moved back: unavailable, because the data say where each deal stands" in said
    assert text_of(report.needs_help()).startswith("Who needs help: unavailable, because fewer than 3 reps")
    assert text_of(report.unanswered_leads()) == "Unanswered leads: unavailable, because the book has no table `leads`."
    assert text_of(report.carries_too_much()).startswith("Who carries too much cannot be told")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", ["team_roster", "team_review"])
def test_both_pages_read_well_on_a_bare_book(bare: Book, page: Callable[..., str], name: str, language: str) -> None:
    said = readable(whole_story(name, page, book=bare, team="", period="", language=language))
    assert not re.search(r"\bnan\b|NaT|None|<NA>|\{\w+\}", said)
    assert ("无法得出" if language == "zh" else "unavailable, because") in said


# --- upstairs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", pytest.param("en", marks=pytest.mark.nightly)])
def test_no_rep_is_named_upstairs(demo: Book, page: Callable[..., str], language: str) -> None:
    people = demo.people
    names = [*people["rep_id"], *people["rep"], *(part for rep in people["rep"] for part in rep.split(" ") if part)]
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(n)}(?!\w)" if n.isascii() else re.escape(n) for n in set(names)))
    for team in ["", *demo.teams]:
        said = readable(whole_story("team_review", page, book=demo, team=team, period=YEAR, language=language))
        assert len(said) > 4000 and pattern.findall(said) == [], team
    roster = readable(whole_story("team_roster", page, book=demo, team="Harbour", period=YEAR, language=language))
    assert pattern.findall(roster)  # the net holds


def test_upstairs_has_the_five_reports_with_teams_alone() -> None:
    cells_of = [c.source for c in find_story("team_review").read(words("en")).cells]
    text = "\n".join(cells_of)
    for number in range(1, 6):
        assert f"## {number}. " in text
    assert '"rep"' not in text
    assert "report.forecast_in_words()" in text and "report.forecast_chart()" in text


def test_the_running_quarter_is_the_one_in_which_the_data_end(demo: Book) -> None:
    report = open_report(demo)
    span = parse_period(report.quarter, demo.process, demo.as_of_on.date())
    assert span.start_on <= demo.as_of_on.date() <= span.end_on
    assert len(cells(report.table("pipeline_bridge", period=report.quarter))) == 10


def test_ranges_are_those_of_teams_and_not_of_people(demo: Book) -> None:
    rows = cells(open_report(demo, period=YEAR).ranges())
    assert rows and all("win rate of" not in row[0] or re.search(r"win rate of [\d.]+%", row[0]) for row in rows)


def test_every_heading_of_both_pages_is_translated() -> None:
    for name in ("team_roster", "team_review"):
        for cell in find_story(name).read(words("zh")).cells:
            if cell.cell_type == "markdown":
                assert re.search(r"[一-鿿]", cell.source), cell.source
    assert kit_path("notebooks").is_dir()
