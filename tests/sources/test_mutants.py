"""Loaders with a fault, each made by changing one function: a law or a check named here must catch each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from salescoach.errors import ColumnError, LawBroken
from salescoach.sources import parse, text_file
from salescoach.sources.draft import Draft
from salescoach.sources.layout import ColumnFormat, TableFormat
from salescoach.sources.quarantine import Rejects

laws: Any = SimpleNamespace(**run_path(str(Path(__file__).with_name("laws.py"))))
Mutant = Callable[[pytest.MonkeyPatch], None]

# used: D1, D2, D3; set aside: a day that is none, too few fields, D1 again, an id with two amounts, too many fields
ROWS = [
    ["D1", "NA", "Won", "2025-01-01", "16777217.01", "a"],
    ["D2", "", "Won", "2025-01-02", "2.00", "b"],
    ["D3", "Ann", "Won", "2025-03-04", "0.07", "two\nlines"],
    ["D4", "Ann", "Won", "2025-02-30", "4.00", "c"],
    ["D5", "Ann", "Won"],
    ["D1", "NA", "Won", "2025-01-01", "16777217.01", "a"],
    ["D6", "Ann", "Won", "2025-01-06", "5.00", "d"],
    ["D6", "Ann", "Won", "2025-01-06", "6.00", "d"],
    ["D7", "Ann", "Won", "2025-01-07", "7.00", "e", "f"],
]
AMBIGUOUS = "deal_id,rep_id,stage,created_at,amount,name\nD1,Ann,Won,03/04/2025,1.00,a\nD2,Ann,Won,05/06/2025,1.00,b\n"


# --- the checks ------------------------------------------------------------------------------------


def broken() -> set[str]:
    """The names of the laws and checks that the loader, as it is now, breaks."""
    found: set[str] = set()
    try:
        found |= set(laws.broken_laws(ROWS, laws.load(ROWS)))
    except LawBroken:
        found.add("law of the load")
    if not ambiguous_days_are_refused():
        found.add("ambiguous days")
    return found


def ambiguous_days_are_refused() -> bool:
    undeclared = laws.SOURCE.replace('date = "%Y-%m-%d"\n', "")
    try:
        laws.load_files({"deals.csv": AMBIGUOUS.encode()}, undeclared)
    except ColumnError:
        return True
    return False


# --- the mutants -----------------------------------------------------------------------------------


def drop_rows_without_rep(patch: pytest.MonkeyPatch) -> None:
    honest: Any = Draft.used
    patch.setattr(Draft, "used", property(lambda self: honest.fget(self).dropna(subset=["rep_id"])))


def read_na_as_nothing(patch: pytest.MonkeyPatch) -> None:
    honest = TableFormat.for_column

    def for_column(self: TableFormat, column: str) -> ColumnFormat:
        written = honest(self, column)
        return written.model_copy(update={"null": (*(written.null or ()), "NA", "nan")})

    patch.setattr(TableFormat, "for_column", for_column)


def coerce_dates(patch: pytest.MonkeyPatch) -> None:
    honest = parse.parse_instants

    def coerced(*given: Any, **named: Any) -> parse.Parsed:
        parsed = honest(*given, **named)
        parsed.bad = parsed.bad & False
        return parsed

    patch.setattr(parse, "parse_instants", coerced)


def silent_about(reason: str) -> Mutant:
    """Rows with this fault are left out, and nobody hears of it."""

    def change(patch: pytest.MonkeyPatch) -> None:
        honest = Draft.reject

        def reject(self: Draft, bad: pd.Series, column: str, why: str, hint: str) -> None:
            if why == reason:
                self.alive &= ~bad
            else:
                honest(self, bad, column, why, hint)

        patch.setattr(Draft, "reject", reject)

    return change


def blind_to(reason: str) -> Mutant:
    """Rows with this fault are used."""

    def change(patch: pytest.MonkeyPatch) -> None:
        honest = Draft.reject

        def reject(self: Draft, bad: pd.Series, column: str, why: str, hint: str) -> None:
            if why != reason:
                honest(self, bad, column, why, hint)

        patch.setattr(Draft, "reject", reject)

    return change


def with_money(change: Callable[[pd.Series], pd.Series]) -> Mutant:
    """Amounts changed where they are read, however they are written."""
    honest = parse.parse_money

    def wrong(*given: Any) -> parse.Parsed:
        read = honest(*given)
        read.values = change(read.values)
        return read

    return lambda patch: patch.setattr(parse, "parse_money", wrong)


def guess_the_day_first(patch: pytest.MonkeyPatch) -> None:
    def guessed(uniques: pd.Series, place: Any) -> pd.Series:
        return pd.to_datetime(uniques, format="%d/%m/%Y", errors="coerce").astype("datetime64[us]")

    patch.setattr(parse, "_read_ordered", guessed)


def name_the_line_below(patch: pytest.MonkeyPatch) -> None:
    honest = Rejects._add
    patch.setattr(Rejects, "_add", lambda self, number, line, *rest: honest(self, number, line + 1, *rest))


def number_records_from_nought(patch: pytest.MonkeyPatch) -> None:
    honest = Rejects._add
    patch.setattr(Rejects, "_add", lambda self, number, line, *rest: honest(self, number - 1, line, *rest))


def lose_one_of_the_quarantine(patch: pytest.MonkeyPatch) -> None:
    honest = Rejects.frame
    patch.setattr(Rejects, "frame", lambda self: honest(self).iloc[1:])


def forget_rows_of_another_width(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rejects, "add_record", lambda self, *rest: None)


Records = Iterator[tuple[int, int, list[str], str]]


def changing_records(change: Callable[[Records], Records]) -> Mutant:
    def changed(patch: pytest.MonkeyPatch) -> None:
        honest = text_file._records
        patch.setattr(text_file, "_records", lambda *given: change(honest(*given)))

    return changed


def skipped(records: Records) -> Records:
    """As `on_bad_lines="skip"` does."""
    return (r for r in records if len(r[2]) == len(laws.HEADER))


def padded(records: Records) -> Records:
    """Short rows are filled up, long ones cut."""
    width = len(laws.HEADER)
    return ((first, end, [*record, *[""] * width][:width], fault) for first, end, record, fault in records)


def joined(records: Records) -> Records:
    """The second row hides in the first."""
    kept = list(records)
    kept[1:3] = [(kept[1][0], kept[2][1], kept[1][2], "")]
    return iter(kept)


MUTANTS: dict[str, tuple[Mutant, str]] = {
    "drop rows without a rep": (drop_rows_without_rep, "law of the load"),
    "read NA as nothing": (read_na_as_nothing, "values"),
    "coerce dates": (coerce_dates, "values"),
    "guess the day first": (guess_the_day_first, "ambiguous days"),
    "count money in floats": (with_money(lambda minor: minor.astype("Float32").astype("Int64")), "money"),
    "cut cents off": (with_money(lambda minor: minor // 100 * 100), "money"),
    "drop repeated rows silently": (silent_about("duplicate"), "law of the load"),
    "drop conflicting rows silently": (silent_about("conflicting-id"), "law of the load"),
    "drop bad dates silently": (silent_about("bad-date"), "law of the load"),
    "use conflicting rows": (blind_to("conflicting-id"), "values"),
    "use bad dates": (blind_to("bad-date"), "values"),
    "name the line below": (name_the_line_below, "places"),
    "number records from nought": (number_records_from_nought, "places"),
    "lose one of the quarantine": (lose_one_of_the_quarantine, "rows"),
    "forget rows of another width": (forget_rows_of_another_width, "law of the load"),
    "skip rows of another width": (changing_records(skipped), "law of the load"),
    "pad and cut rows of another width": (changing_records(padded), "law of the load"),
    "hide a row in the one above": (changing_records(joined), "law of the load"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_loader_with_a_fault_is_caught_by_name(name: str) -> None:
    mutant, killer = MUTANTS[name]
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        assert killer in broken()


def test_the_loader_breaks_none_of_them() -> None:
    assert broken() == set()


def test_a_broken_law_says_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    silent_about("duplicate")(monkeypatch)
    with pytest.raises(
        LawBroken, match=r"deals: 9 records read, but 3 used \+ 5 quarantined.*fault of sales"
    ) as raised:
        laws.load(ROWS)
    assert raised.value.exit_code == 70


def test_a_gap_between_records_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    changing_records(skipped)(monkeypatch)
    with pytest.raises(LawBroken, match=r"deals\.csv: a record begins in line 8, not in line 7\. .*fault of sales"):
        laws.load(ROWS)
