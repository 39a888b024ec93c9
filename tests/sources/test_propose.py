"""Drafts of source and process files: what is known is mapped, what is guessed is marked, what is open is asked."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path
from typing import Any

import pytest

from salescoach.book import TABLES
from salescoach.errors import ColumnError
from salescoach.process import parse_process
from salescoach.sources import load_book, presets
from salescoach.sources.propose import Proposal, propose
from salescoach.sources.propose_process import ending
from salescoach.sources.toml_text import quoted, remark

HEADERS = "Ref;Stage;Owner;Created;Amount\n"


@pytest.fixture
def drafted(tmp_path: Path) -> Any:
    """Write files by name, draft from them, and load them with the drafts."""

    def draft(contents: dict[str, str], **options: Any) -> tuple[Proposal, Any]:
        files = []
        for name, text in contents.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
            files.append(tmp_path / name)
        proposal = propose(files, **options)
        for name, text in (("source.toml", proposal.source), ("process.toml", proposal.process)):
            (tmp_path / name).write_text(text, encoding="utf-8")
        return proposal, lambda **more: load_book(
            files, source=str(tmp_path / "source.toml"), as_of="2026-01-01", **more
        )

    return draft


def source(proposal: Proposal) -> dict[str, Any]:
    return tomllib.loads(proposal.source)


def stages(proposal: Proposal) -> dict[str, Any]:
    return {s.key: s for s in parse_process(proposal.process, "process.toml").pipeline("new").stages}


# --- columns ---------------------------------------------------------------------------------------


def test_a_preset_that_fits_is_reduced_to_the_headers_that_are_there(drafted):
    report = (
        "Opportunity ID,Opportunity Name,Opportunity Owner,Stage,Created Date,Amount,Probability (%),Mood\n"
        "006A,Deal A,Ann,Scoping,2025-03-14,1000,10,good\n006B,Deal B,Bo,Closed Won,2025-03-15,2000,100,\n"
    )
    proposal, load = drafted({"report.csv": report})
    found = source(proposal)
    assert found["deals"]["columns"] == {
        "deal_id": "Opportunity ID",
        "stage": "Stage",
        "rep_id": "Opportunity Owner",
        "created_at": "Created Date",
        "amount": "Amount",
        "name": "Opportunity Name",
        "probability": "Probability (%)",
    }
    assert found["deals"]["format"]["probability"] == {"percent": True}
    assert 'deal_id = "Opportunity ID"   # 006A\n' in proposal.source, "an example, and no guess"
    assert "#   Mood: good\n" in proposal.source
    assert load().deals["deal_id"].tolist() == ["006A", "006B"]


def test_unknown_headers_are_guessed_by_likeness_and_by_their_words_and_marked(drafted):
    header = "Deal Identifier;Sales Stge;Sales Repp;Start;Deal Ammount;Note\n"
    text = header + "1;Won;Ann;2025-01-02;5;a\n2;Quote;Bo;2025-01-03;6;b\n"
    proposal, load = drafted({"x.csv": text})
    assert source(proposal)["deals"]["columns"] == {
        "deal_id": "Deal Identifier",  # the only column, beside Note, that differs in every row
        "stage": "Sales Stge",
        "rep_id": "Sales Repp",
        "created_at": "Start",
        "amount": "Deal Ammount",
    }
    assert proposal.source.count("# guess: check; ") == 5
    assert "#   Note: a, b\n" in proposal.source
    assert any(d.startswith("Guessed columns of deals: deal_id <- 'Deal Identifier'") for d in proposal.doubts)
    assert len(load().deals) == 2


def test_a_name_that_looks_right_over_values_that_do_not_is_no_guess(drafted):
    """`Created By` is spelled like `Created At`, and holds people."""
    proposal, _ = drafted({"x.csv": "Ref;Stage;Created By\n1;Won;Ann\n2;Quote;Bo\n"})
    assert "created_at" not in source(proposal)["deals"]["columns"]


def test_a_status_beside_a_stage_is_the_outcome_and_alone_it_is_the_stage(drafted):
    proposal, load = drafted({"x.csv": "Ref;Phase;State\n1;Talk;Won\n2;Talk;In progress\n3;Demo;Lost\n"})
    columns = source(proposal)["deals"]["columns"]
    assert (columns["stage"], columns["outcome"]) == ("Phase", "State")
    assert source(proposal)["deals"]["values"]["outcome"] == {"Won": "won", "In progress": "open", "Lost": "lost"}
    assert load().deals["outcome"].tolist() == ["won", "open", "lost"]
    proposal, load = drafted({"x.csv": "Ref;State\n1;Won\n2;In progress\n3;Lost\n"})
    assert source(proposal)["deals"]["columns"] == {"deal_id": "Ref", "stage": "State"}
    assert load().deals["outcome"].tolist() == ["won", "open", "lost"]


def test_lines_above_the_header_are_skipped(drafted):
    proposal, load = drafted({"x.csv": "Export of Monday;;\nby Ann;;\nRef;Stage;Owner\n1;Won;Ann\n2;Quote;Bo\n"})
    assert source(proposal)["deals"]["format"]["skip"] == 2
    assert len(load().deals) == 2


def test_next_months_file_fits_too(drafted, tmp_path):
    content = HEADERS + "1;Won;Ann;2025-01-02;5\n2;Quote;Bo;2025-01-03;6\n"
    proposal, load = drafted({"deals [new] 2025-09.csv": content, "team.csv": "Owner;Team;Manager\nAnn;North;Cy\n"})
    assert source(proposal)["deals"]["from"] == "deals [[]new] *.csv"
    assert source(proposal)["reps"]["from"] == "team.csv"
    assert len(load().deals) == 2
    (tmp_path / "deals [new] 2025-09.csv").rename(tmp_path / "deals [new] 2025-10.csv")
    assert len(load_book(tmp_path, source=str(tmp_path / "source.toml"), as_of="2026-01-01").deals) == 2


# --- how things are written ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (
            "03/04/2025",
            [
                "# date = \"%d/%m/%Y\"   # '03/04/2025' is 2025-04-03",
                "# date = \"%m/%d/%Y\"   # '03/04/2025' is 2025-03-04",
            ],
        ),
        (
            "13/04/25",
            [
                "# date = \"%d/%m/%y\"   # '13/04/25' is 2025-04-13",
                "# date = \"%y/%m/%d\"   # '13/04/25' is 2013-04-25",
            ],
        ),
    ],
)
def test_two_readings_of_a_date_are_left_to_a_person(drafted, tmp_path, value, lines):
    proposal, load = drafted({"x.csv": HEADERS + f"1;Won;Ann;{value};5\n2;Quote;Bo;{value};6\n"})
    for line in lines:
        assert line in proposal.source
    assert source(proposal)["deals"]["format"]["created_at"] == {}
    assert any(d.startswith("'Created' can be read in 2 ways") for d in proposal.doubts)
    with pytest.raises(ColumnError, match=r"two-digit year|ambiguous-date"):
        load()
    chosen = lines[0].removeprefix("# ")
    (tmp_path / "source.toml").write_text(proposal.source.replace(lines[0], chosen), encoding="utf-8")
    assert (
        load().deals["created_at"].dt.tz_convert("Asia/Shanghai").dt.strftime("%Y-%m-%d").tolist()
        == [lines[0].rpartition(" ")[2]] * 2
    )


def test_two_readings_of_an_amount_are_left_to_a_person(drafted):
    proposal, _ = drafted({"x.csv": HEADERS + "1;Won;Ann;2025-01-02;12.345\n2;Quote;Bo;2025-01-03;6.789\n"})
    assert "# decimal = \".\"   # '12.345' is 12.35\n" in proposal.source
    assert "# decimal = \",\"   # '12.345' is 12,345.00\n" in proposal.source


@pytest.mark.parametrize(
    ("values", "setting", "amounts"),
    [
        (("1.234,50", "99,00"), {"decimal": ","}, [1234.5, 99.0]),
        (("3.5万", "1.2亿"), {"myriads": True}, [35_000.0, 120_000_000.0]),
        (("-", "7", "8"), {"null": ["-"]}, [None, 7.0, 8.0]),
    ],
)
def test_one_reading_of_an_amount_is_declared_and_marked(drafted, values, setting, amounts):
    proposal, load = drafted(
        {"x.csv": HEADERS + "".join(f"{n};Won;Ann;2025-01-02;{v}\n" for n, v in enumerate(values))}
    )
    assert source(proposal)["deals"]["format"]["amount"] == setting
    assert "# guess: check" in next(
        line for line in proposal.source.splitlines() if line.startswith(next(iter(setting)))
    )
    assert load().deals["amount"].astype(object).where(load().deals["amount"].notna(), None).tolist() == amounts


@pytest.mark.parametrize(
    ("header", "value", "currency", "why"),
    [
        ("Amount", "€ 5.50", "EUR", "the amounts bear €"),
        ("Amount", "5.50 USD", "USD", "the amounts bear USD"),
        ("Amount", "$5.50", "USD", "the amounts bear $"),
        ("Amount (GBP)", "5.50", "GBP", "the header says GBP"),
    ],
)
def test_the_currency_comes_from_the_signs(drafted, header, value, currency, why):
    proposal, load = drafted({"x.csv": HEADERS.replace("Amount", header) + f"1;Won;Ann;2025-01-02;{value}\n"})
    assert f'currency = "{currency}"   # guess: check: {why}\n' in proposal.source
    assert any(d.startswith("The currency:") for d in proposal.doubts) == (value.startswith("$"))
    assert (load().currency, load().deals["amount"].tolist()) == (currency, [5.5])


def test_what_nothing_tells_is_said_and_not_guessed(drafted):
    proposal, load = drafted({"x.csv": HEADERS + "1;Won;Ann;2025-01-02;5\n2;Quote;Bo;2025-01-03;6\n"})
    assert "currency" not in source(proposal)
    assert any("nothing in the data says it, and CNY is taken" in d for d in proposal.doubts)
    assert any(d.startswith("The time zone: Asia/Shanghai") for d in proposal.doubts)
    assert any("there is no stage history" in d for d in proposal.doubts)
    assert load().currency == "CNY"


# --- the process -----------------------------------------------------------------------------------

DAYS = {"Pilot": 20, "Demo day": 4, "Handshake": 7}


def journal() -> dict[str, str]:
    """30 deals go Demo day (4 days) -> Pilot (20 days) -> Handshake (7 days) -> Big win; rows in no order."""
    rows = []
    for n in range(30):
        day = 0
        for stage in ("Demo day", "Pilot", "Handshake", "Big win!"):
            rows.append(f"{n};{stage};2025-{3 + day // 28:02d}-{1 + day % 28:02d}\n")
            day += DAYS.get(stage, 0)
    random.Random(1).shuffle(rows)
    deals = "".join(f"{n};Big win!;Ann;2025-03-01;{n}\n" for n in range(30))
    return {"deals.csv": HEADERS + deals, "moves.csv": "Ref;Stage;Entered At\n" + "".join(rows)}


def test_stages_stand_in_the_order_of_the_log_with_their_median(drafted):
    # 28 days a month here, so the months' ends add up to three days to some stays: the median stay is the plain one
    proposal, load = drafted(journal())
    found = stages(proposal)
    assert list(found) == ["demo_day", "pilot", "handshake", "won", "lost", "void"]
    assert found["demo_day"].expect_days == 4
    assert found["handshake"].label.en == "Handshake" and found["handshake"].names[0].name == "Handshake"
    assert "the median of 30 stays in the data: check" in proposal.process
    assert '"Big win!",   # check: taken for won by its words' in proposal.process
    assert any("as deals went through them" in d for d in proposal.doubts)
    assert set(load().table("stage_history")["stage"]) == {"demo_day", "pilot", "handshake", "won"}


def test_without_a_log_the_probability_orders_the_stages(drafted):
    text = "Ref;Stage;Probability\n1;Late;80%\n2;Early;10%\n3;Middle;50%\n4;Won;100%\n"
    proposal, _ = drafted({"x.csv": text})
    assert list(stages(proposal))[:3] == ["early", "middle", "late"]
    assert any("by their probability" in d for d in proposal.doubts)


def test_with_neither_they_stand_as_found_and_that_is_said(drafted):
    proposal, _ = drafted({"x.csv": "Ref;Stage\n1;Late\n2;Early\n3;Quote\n4;Won\n"})
    assert list(stages(proposal))[:3] == ["quote", "late", "early"], "the known one first, then as found"
    assert "# Not in the data and left out: prospect, qualified, contract.\n" in proposal.process
    assert any("as found, because nothing in the data tells it: check" in d for d in proposal.doubts)


def test_a_process_that_knows_every_name_stays_whole(drafted):
    proposal, _ = drafted({"x.csv": HEADERS + "1;closed won;Ann;2025-01-02;5\n2;报价;Bo;2025-01-03;6\n"})
    assert list(stages(proposal)) == ["prospect", "qualified", "quote", "contract", "won", "lost", "void"]
    assert '  "报价",   # 1 deal here\n' in proposal.process
    assert not any("Stages of your own" in d for d in proposal.doubts)


def test_a_stage_in_which_all_deals_ended_alike_is_an_end(drafted):
    rows = "".join(f"{n};Archive;Lost\n{n + 10};Talk;Open\n{n + 20};Party;Won\n" for n in range(4))
    proposal, _ = drafted({"x.csv": "Ref;Stage;Status of the deal\n" + rows})
    assert '"Archive",   # check: taken for lost by the status of its deals' in proposal.process
    assert '"Party",   # check: taken for won by the status of its deals' in proposal.process
    assert stages(proposal)["talk"].outcome is None


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("Closed - Won", "won"),
        ("赢单关闭", "won"),
        ("成交客户", "won"),
        ("未成交", "lost"),
        ("Lost (won by competitor)", "lost"),
        ("战败", "lost"),
        ("Cancelled", "void"),
        ("Wonderful demo", None),
        ("Negotiation", None),
        ("跟进", None),
    ],
)
def test_words_that_speak_of_an_end(name, outcome):
    assert ending(name) == outcome


def test_keys_fit_the_rules_whatever_the_names(drafted):
    names = ["2nd call", "🙂", "2nd-call", "Quote?", "Lost in space 1", "x" * 80, "Won!"]
    rows = "".join(f"{n};{name};Ann;2025-01-02;5\n" for n, name in enumerate(names))
    found = stages(drafted({"x.csv": HEADERS + rows})[0])
    assert {"stage_2nd_call", "stage_2nd_call_2", "stage", "quote_2"} <= set(found)


# --- anything may stand in a file ------------------------------------------------------------------

HOSTILE = [
    'a"b',
    "a\\b",
    "a\nb",
    "a'''b",
    "\x1b[31m",
    "=1+1",
    "# x",
    "[deals]",
    '"] = 1',
    "\u202eabc",
    "a\u2028b",
    "ünï",
    "\x7f",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_quoted_and_comments_stay_in_their_line(text):
    assert tomllib.loads(f"x = {quoted(text)}   # {remark(text)}\ny = 1") == {"x": text, "y": 1}


def test_headers_names_and_values_of_any_kind_give_files_that_can_be_read(drafted):
    rows = "".join(f'{n};"{h.replace(chr(34), chr(34) * 2)}";5\n' for n, h in enumerate(HOSTILE) if "\x1b" not in h)
    proposal, _ = drafted({"x.csv": 'Ref;Stage;"Amount ""x"" = \\ # [y]"\n' + rows + "99;Won;5\n"})
    assert source(proposal)["deals"]["columns"]["amount"] == 'Amount "x" = \\ # [y]'
    assert len(stages(proposal)) > 5


@pytest.mark.parametrize("name", sorted(presets()))
def test_a_draft_from_every_preset_is_valid_and_names_what_is_there(tmp_path, name):
    """From its headers alone, with plausible values."""
    lines = (Path(__file__).parent / "headers" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    header = lines[0].partition(": ")[2]
    cells = header.count(",") + 1
    (tmp_path / "x.csv").write_text(
        header + "\n" + ",".join(["1"] * cells) + "\n" + ",".join(["2"] * cells) + "\n", encoding="utf-8"
    )
    proposal = propose(tmp_path / "x.csv", source=name)
    assert "deal_id" in source(proposal)["deals"]["columns"]
    assert set(source(proposal)["deals"]["columns"]) <= set(TABLES["deals"].readable)
