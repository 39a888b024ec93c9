"""`salescoach metrics --in CUR`: several currencies as one, at the book's dated rates."""

from __future__ import annotations

import json
from pathlib import Path

DEALS = "deal_id,stage,rep_id,created_at,closed_at,amount,currency\n"
ROWS = "A,Won,Ann,2026-01-02,2026-02-01,100.00,EUR\nB,Won,Ann,2026-01-02,2026-03-01,70.00,CNY\n"
RATES = "currency,start_on,rate,base_currency\nEUR,2026-01-01,8.0,CNY\nEUR,2026-02-15,9.0,CNY\n"


def kept(salescoach, folder: Path, rates: str = RATES) -> Path:
    (folder / "data").mkdir()
    (folder / "data" / "deals.csv").write_text(DEALS + ROWS)
    (folder / "data" / "rates.csv").write_text(rates)
    assert salescoach("load", folder / "data", "--book", folder / "book").code == 0
    return folder / "book"


def test_amounts_are_added_at_the_rate_of_their_day(salescoach, tmp_path: Path) -> None:
    book = kept(salescoach, tmp_path)
    done = salescoach("metrics", "sales", "--book", book, "--by", "", "--in", "CNY", "--json")
    found = json.loads(done.out)
    # 100 EUR of 1 February at 8, and 70 CNY
    assert [row["value"] for row in found["metrics"]["sales"]["rows"]] == [870.0] and found["currency"] == "CNY"
    apart = json.loads(salescoach("metrics", "sales", "--book", book, "--by", "", "--json").out)
    assert {r["currency"]: r["value"] for r in apart["metrics"]["sales"]["rows"]} == {"CNY": 70.0, "EUR": 100.0}


def test_a_rate_that_is_missing_is_named(salescoach, tmp_path: Path) -> None:
    book = kept(salescoach, tmp_path, RATES.replace("2026-01-01", "2026-02-14"))
    done = salescoach("metrics", "sales", "--book", book, "--in", "CNY")
    assert done.code != 0 and "there is no rate from EUR to CNY for 2026-02-01" in done.err
