"""One table on its way into the book: its rows as text and as values, and which of them are still in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import TABLES
from salescoach.errors import ColumnError, SourceError, nearest
from salescoach.sources import parse
from salescoach.sources.detect import match_columns
from salescoach.sources.layout import TableSource
from salescoach.sources.quarantine import Rejects, empty_quarantine
from salescoach.sources.read import RawTable, read_raw

SUMMARY_WORDS = ("total", "grand total", "sum", "合计", "总计", "小计")


class Draft:
    """The rows of one table, from all its files.

    text     as read; `headers` maps our columns to theirs
    table    as parsed, row for row like `text`
    alive    which rows are still used; `reject` moves a row to quarantine, once, for the first fault found
    """

    def __init__(self, name: str, source: TableSource, paths: Sequence[Path]) -> None:
        raws = [_read(name, source, p) for p in paths]
        columns = raws[0].columns
        for raw in raws[1:]:
            if set(raw.columns) != set(columns):
                differ = ", ".join(sorted(set(raw.columns) ^ set(columns)))
                raise SourceError(f"{raw.file} and {raws[0].file} both hold {name} and differ in columns: {differ}. "
                                  "Load exports of one kind at a time.")
        self.name = name
        self.source = source
        self.text = pd.concat([r.frame[columns] for r in raws], ignore_index=True)
        self.table = pd.DataFrame(index=self.text.index)
        self.alive = pd.Series(True, self.text.index)
        self.headers = match_columns(source, columns)
        self.files = [(r.file, r.sha256, r.encoding) for r in raws]
        self.read = sum(r.records for r in raws)
        self.blank = sum(r.blank for r in raws)
        self._file = np.concatenate([np.full(len(r.frame), i) for i, r in enumerate(raws)])
        self._line = np.concatenate([r.lines for r in raws])
        self._rejects = [r.rejects for r in raws]

    def reject(self, bad: pd.Series, column: str, reason: str, hint: str) -> None:
        """Quarantine the marked rows that are still in; `column` is ours."""
        rows = (bad & self.alive).to_numpy()
        if not rows.any():
            return
        theirs = self.headers.get(column, column)
        shown = self.text[theirs] if theirs in self.text else pd.Series("", self.text.index, dtype="str")
        owner = self.text[self.headers["rep_id"]].str.strip() if "rep_id" in self.headers else None
        for number, (file, _, _) in enumerate(self.files):
            here = rows & (self._file == number)
            rejects = Rejects(self.name, file)
            rejects.add(self.text[here], self._line[here], theirs, shown[here], reason, hint,
                        owner[here] if owner is not None else None)
            self._rejects.append(rejects)
        self.alive &= ~rows

    @property
    def used(self) -> pd.DataFrame:
        """The parsed rows that are still in."""
        return self.table[self.alive.to_numpy()].reset_index(drop=True)

    @property
    def quarantined(self) -> int:
        return sum(len(r) for r in self._rejects)

    def quarantine(self) -> pd.DataFrame:
        frames = [r.frame() for r in self._rejects if len(r)]
        return pd.concat(frames, ignore_index=True) if frames else empty_quarantine()

    def place(self, column: str) -> parse.Place:
        """Where one of our columns stands, for messages."""
        names = ", ".join(f for f, _, _ in self.files)
        return parse.Place(names, self.name, column, self.headers.get(column, column))


def _read(name: str, source: TableSource, path: Path) -> RawTable:
    written = source.format
    raw = read_raw(path, name, written.skip, written.skip_footer, written.sheet, written.delimiter, written.encoding)
    headers = match_columns(source, raw.columns)
    for ours in TABLES[name].mandatory:
        if ours not in headers:
            raise ColumnError(_missing(name, ours, source.columns.get(ours, (ours,)), raw))
    return raw


def _missing(name: str, ours: str, theirs: tuple[str, ...], raw: RawTable) -> str:
    wanted = " or ".join(repr(t) for t in theirs)
    near = next((n for n in (nearest(t, raw.columns) for t in (*theirs, ours)) if n), None)
    step = (f'Nearest: {near!r}. Add `{ours} = "{near}"`' if near else
            f"Its columns: {', '.join(raw.columns)}. Say which one it is")
    return (f"{raw.file} has no column for `{ours}` (looked for {wanted}); without it {name} cannot be used. "
            f"{step} under [{name}.columns] in your source file.")


# --- structure -------------------------------------------------------------------------------------


def reject_structure(draft: Draft) -> None:
    """Repeated header rows, summary rows, rows without their key, and rows that repeat another exactly."""
    text, columns = draft.text, list(draft.text.columns)
    repeated = pd.Series(True, text.index)
    for column in columns:
        repeated &= text[column].str.strip() == column
    first = TABLES[draft.name].mandatory[0]
    draft.reject(repeated, first, "repeated-header", "the header row stands among the data: remove it")
    key = text[draft.headers[first]].str.strip()
    total = pd.Series(False, text.index)
    for column in columns[:3]:
        total |= text[column].str.strip().str.casefold().isin(SUMMARY_WORDS)
    total &= (key == "") | key.str.casefold().isin(SUMMARY_WORDS)
    draft.reject(total, first, "summary-row", "a total is no record: export without totals")
    _reject_incomplete(draft)
    if "updated_at" in TABLES[draft.name].columns or draft.name in ("leads", "activities", "reps", "accounts", "products"):
        again = text[draft.alive].duplicated().reindex(text.index, fill_value=False)
        draft.reject(again, first, "duplicate", "the same row stands earlier: remove it")


def _reject_incomplete(draft: Draft) -> None:
    table = TABLES[draft.name]
    for ours in table.mandatory:
        blank = draft.text[draft.headers[ours]].str.strip() == ""
        reason = "missing-id" if table.columns[ours] == "id" else f"missing-{ours.removesuffix('_at').removesuffix('_on')}"
        draft.reject(blank, ours, reason, f"every row of {draft.name} needs `{ours}`: fill it in")


def reject_conflicts(draft: Draft) -> None:
    """One id with different contents: the latest by `updated_at` stays; where nothing decides, none does."""
    keys = [k for k in TABLES[draft.name].key if k in draft.table]
    if draft.name not in ("deals", "leads", "reps", "accounts", "products") or not keys:
        return
    table = draft.table[draft.alive]
    twice = table.duplicated(keys, keep=False)
    if not twice.any():
        return
    rows = table[twice]
    if "updated_at" in rows and rows["updated_at"].notna().any():
        latest = rows.groupby(keys, dropna=False)["updated_at"].transform("max")
        newest = rows["updated_at"] == latest
        alone = newest & (newest.groupby([rows[k] for k in keys], dropna=False).transform("sum") == 1)
        decided = alone.groupby([rows[k] for k in keys], dropna=False).transform("any")
        old = (decided & ~alone).reindex(draft.table.index, fill_value=False)
        draft.reject(old, keys[0], "superseded", "a later version of this record is used")
        twice &= ~decided.reindex(twice.index, fill_value=False)
    conflict = twice.reindex(draft.table.index, fill_value=False)
    draft.reject(conflict, keys[0], "conflicting-id",
                 "several rows have this id and differ: keep the right one, or export a last-modified column")


# --- values ----------------------------------------------------------------------------------------


def parse_table(draft: Draft, timezone: str, currency: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Fill `draft.table` with typed columns. Returns precision by column, and notes."""
    roles = TABLES[draft.name].columns
    texts = {ours: parse.blank_to_null(draft.text[theirs].where(draft.alive, ""), draft.source.format.for_column(ours).null or ())
             for ours, theirs in draft.headers.items()}
    money = texts["currency"].str.upper() if "currency" in texts else pd.Series(currency, draft.text.index)
    digits = minor_digits(money.fillna(currency))
    columns: dict[str, pd.Series] = {}
    precision: dict[str, str] = {}
    notes: list[dict[str, Any]] = []
    for ours, text in texts.items():
        role = roles.get(ours, "extra")
        result = _parse_column(text, role, draft, ours, timezone, digits)
        draft.reject(result.bad, ours, result.reason, result.hint)
        if role == "money":
            columns[f"{ours}_minor"] = result.values
            columns[ours] = result.values.astype("Float64").to_numpy("float64", na_value=np.nan) / 10.0 ** digits
        else:
            columns[ours] = result.values
        if result.day_only:
            precision[f"{draft.name}.{ours}"] = "day"
        notes += [{"check": f"amount-{what}", "table": draft.name, "column": ours, "count": n} for what, n in result.notes.items()]
    if "currency" in columns:
        columns["currency"] = money
    taken = set(draft.headers.values())
    for theirs in draft.text.columns:
        if theirs not in taken and theirs not in columns:
            columns[theirs] = _extra(parse.blank_to_null(draft.text[theirs].where(draft.alive, "")))
    draft.table = pd.DataFrame(columns)
    return precision, notes


def minor_digits(currency: pd.Series) -> pd.Series:
    """Decimal places of each row's currency (CNY 2, JPY 0), from CLDR."""
    from babel.numbers import get_currency_precision

    return currency.map({c: get_currency_precision(c) for c in currency.unique()}).astype("int64")


def _parse_column(text: pd.Series, role: str, draft: Draft, ours: str, timezone: str, digits: pd.Series) -> parse.Parsed:
    written = draft.source.format.for_column(ours)
    place = draft.place(ours)
    declared = list(written.date) if written.date else None
    match role:
        case "instant":
            return parse.parse_instants(text, place, declared, timezone)
        case "date":
            return parse.parse_dates(text, place, declared, timezone)
        case "money":
            return parse.parse_money(text, place, written.decimal, written.unit or 1, digits)
        case "number":
            return parse.parse_numbers(text, place, written.decimal)
        case "share":
            return parse.parse_shares(text, place, written.decimal, written.percent)
        case "flag":
            return parse.parse_flags(text)
        case "outcome":
            return parse.parse_outcomes(text)
        case "extra":
            return parse.Parsed(_extra(text), pd.Series(False, text.index))
        case _:
            return parse.Parsed(text, pd.Series(False, text.index))


def _extra(text: pd.Series) -> pd.Series:
    """A column of the source's own: numbers where every value is a plain number without a leading zero, else text."""
    filled = text.dropna()
    plain = bool(len(filled)) and bool(filled.str.fullmatch(r"-?(0|[1-9]\d{0,14})(\.\d+)?").all())
    return text.astype("float64") if plain else text
