"""Columns of text become instants, dates, exact money, numbers and shares; what does not fit is marked, never guessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salescoach.book import OUTCOMES
from salescoach.errors import ColumnError

EARLIEST, LATEST = pd.Timestamp("1980-01-01"), pd.Timestamp("2100-01-01")
DAY = r"^\d{4}-\d{2}-\d{2}$"
STAMP = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?$"
ZONED = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}(:\d{2}(\.\d{1,9})?)? ?(Z|[+-]\d{2}:?\d{2})$"
ORDERED_DAY = r"^\d{1,2}[/.\-]\d{1,2}[/.\-]\d{4}$"
ORDERED = ORDERED_DAY[:-1] + r"( \d{1,2}:\d{2}(:\d{2})?( ?[AaPp][Mm])?)?$"
SHORT_YEAR = r"^\d{1,2}[/.\-]\d{1,2}[/.\-]\d{2}( .*)?$"
UNREADABLE_SHARE = 0.5


@dataclass
class Parsed:
    """One column read: `values` (null where blank or bad), `bad` marks the unreadable, `reason` and `hint` say why."""

    values: pd.Series
    bad: pd.Series
    reason: str = ""
    hint: str = ""
    day_only: bool = False
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a column stands, for messages."""

    file: str
    table: str
    column: str
    header: str

    def __str__(self) -> str:
        return f"{self.file}, column {self.header!r}"

    def declare(self, line: str) -> str:
        return f"Add `{line}` under [{self.table}.format.{self.column}] in your source file."


def blank_to_null(text: pd.Series, nulls: tuple[str, ...] = ()) -> pd.Series:
    """Trimmed text; empty values and the declared null words become null."""
    trimmed = text.str.strip()
    return trimmed.mask((trimmed == "") | trimmed.isin(nulls))


# --- dates -----------------------------------------------------------------------------------------


def parse_instants(text: pd.Series, place: Place, declared: list[str] | None, timezone: str) -> Parsed:
    """Text -> UTC instants. Naive stamps and dates are read in `timezone`.

    Year-first spellings (ISO, 2025/3/1, 2025年3月1日) need no declaration. Day-first and month-first are told apart
    by the whole column; if both fit, ColumnError asks for a declaration.
    """
    uniques, codes = _uniques(text)
    local, zoned, day_only = _read_dates(uniques, place, declared)
    instants = local.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="shift_forward").dt.tz_convert("UTC")
    instants = instants.where(zoned.isna(), zoned)
    bad = instants.isna()
    values = _spread(instants, codes, text.index)
    bad_rows = _spread_mask(bad, codes, text.index)
    _refuse_unreadable(text, bad_rows, place, "date", 'date = "%d/%m/%Y"')
    only_days = bool(day_only[~bad.to_numpy()].all()) and bool((~bad).any())
    return Parsed(values, bad_rows, "bad-date", "not a date that exists in this column's spelling: correct it", only_days)


def parse_dates(text: pd.Series, place: Place, declared: list[str] | None, timezone: str) -> Parsed:
    """Text -> naive calendar days. A stamp with a zone is taken to `timezone` first."""
    parsed = parse_instants(text, place, declared, timezone)
    days = parsed.values.dt.tz_convert(timezone).dt.tz_localize(None).dt.normalize()
    return Parsed(days, parsed.bad, parsed.reason, parsed.hint, True)


def _read_dates(uniques: pd.Series, place: Place, declared: list[str] | None
                ) -> tuple[pd.Series, pd.Series, np.ndarray[Any, np.dtype[np.bool_]]]:
    local = pd.Series(pd.NaT, uniques.index, dtype="datetime64[us]")
    zoned = pd.Series(pd.NaT, uniques.index, dtype="datetime64[us, UTC]")
    if declared:
        for spelling in declared:
            read = pd.to_datetime(uniques.where(local.isna()), format=spelling, errors="coerce").dt.as_unit("us")
            local = local.where(local.notna(), read.dt.tz_localize(None) if read.dt.tz is None else read)
        with_time = any(token in spelling for spelling in declared for token in ("%H", "%I", "%X", "%c"))
        day_only = np.full(len(uniques), not with_time)
    else:
        plain = _year_first(uniques)
        day_only = _matches(plain, DAY) | _matches(uniques, ORDERED_DAY)
        year_first = _matches(plain, DAY) | _matches(plain, STAMP)
        local = pd.to_datetime(plain.where(year_first), format="ISO8601", errors="coerce").astype("datetime64[us]")
        with_zone = _matches(plain, ZONED)
        if with_zone.any():
            zoned = pd.to_datetime(plain.where(with_zone), format="ISO8601", errors="coerce", utc=True).dt.as_unit("us")
        local = local.where(local.notna(), _read_ordered(uniques, place))
    implausible = (local < EARLIEST) | (local >= LATEST)
    local = local.mask(implausible)
    zoned = zoned.mask((zoned < EARLIEST.tz_localize("UTC")) | (zoned >= LATEST.tz_localize("UTC")))
    return local, zoned, day_only


def _year_first(uniques: pd.Series) -> pd.Series:
    """2025/3/1, 2025.3.1, 2025年3月1日 and 2025-03-01T10:00 in one spelling."""
    values = pa.array(uniques, type=pa.string())
    head = pc.match_substring_regex(values, r"^\d{4}[-/.年]")
    for pattern, to in ((r"^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?[T ]*", r"\1-\2-\3 "), (r"^(\d{4})-(\d)-", r"\1-0\2-"),
                        (r"^(\d{4}-\d{2})-(\d) ", r"\1-0\2 "), (r"^(\d{4}-\d{2}-\d{2}) (\d):", r"\1 0\2:"), (r" +$", "")):
        values = pc.if_else(head, pc.replace_substring_regex(values, pattern, to), values)
    return pd.Series(values.to_pandas(), index=uniques.index, dtype="str")


def _read_ordered(uniques: pd.Series, place: Place) -> pd.Series:
    """d/m/Y or m/d/Y, decided by the whole column."""
    nothing = pd.Series(pd.NaT, uniques.index, dtype="datetime64[us]")
    short = uniques[_matches(uniques, SHORT_YEAR)]
    if len(short):
        raise ColumnError(f"{place}: {short.iloc[0]!r} has a two-digit year, so its order cannot be known. "
                          + place.declare('date = "%d-%m-%y"'))
    ordered = uniques[_matches(uniques, ORDERED)]
    if ordered.empty:
        return nothing
    parts = ordered.str.replace(r"[/.\-]", "/", regex=True)
    numbers = parts.str.split(" ", n=1).str[0].str.split("/", expand=True).astype("int64")
    first, second = numbers[0], numbers[1]
    day_first, month_first = bool((first > 12).any()), bool((second > 12).any())
    if day_first and month_first:
        raise ColumnError(f"{place} mixes day-first and month-first dates: {ordered[first > 12].iloc[0]!r} and "
                          f"{ordered[second > 12].iloc[0]!r}. Export it in one spelling.")
    if not day_first and not month_first and bool((first != second).any()):
        example = ordered[first != second].iloc[0]
        raise ColumnError(f"{place}: ambiguous-date, {example!r} fits day-first and month-first, and no value in the column "
                          "decides. " + place.declare('date = "%d/%m/%Y"') + ' Month-first is "%m/%d/%Y".')
    order = "%d/%m/%Y" if day_first else "%m/%d/%Y"
    upper = parts.str.upper()
    read = nothing.reindex(ordered.index)
    for clock in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %I:%M%p"):
        step = pd.to_datetime(upper, format=order + clock, errors="coerce").astype("datetime64[us]")
        read = read.where(read.notna(), step)
    return read.reindex(uniques.index)


# --- money and numbers -----------------------------------------------------------------------------


def parse_money(text: pd.Series, place: Place, decimal: str | None, unit: int, digits: pd.Series) -> Parsed:
    """Text -> Int64 minor units, exactly. `digits` is each row's number of minor digits (CNY 2, JPY 0)."""
    uniques, codes = _uniques(text)
    plain, bad = _plain_numbers(uniques, place, decimal)
    values = _spread(plain, codes, text.index)
    bad_rows = _spread_mask(bad, codes, text.index)
    _refuse_unreadable(text, bad_rows, place, "number", 'decimal = "."')
    minor = pd.Series(pd.NA, text.index, dtype="Int64")
    rounded = 0
    for places in sorted(digits.unique()):
        rows = (digits == places) & values.notna()
        exact, cut = _to_minor(values[rows], int(places), unit)
        minor[rows] = exact
        rounded += cut
    return Parsed(minor, bad_rows, "bad-number", "not a number in this column's spelling: correct it",
                  notes={"rounded": rounded} if rounded else {})


def parse_numbers(text: pd.Series, place: Place, decimal: str | None) -> Parsed:
    """Text -> floats."""
    uniques, codes = _uniques(text)
    plain, bad = _plain_numbers(uniques, place, decimal)
    bad_rows = _spread_mask(bad, codes, text.index)
    _refuse_unreadable(text, bad_rows, place, "number", 'decimal = "."')
    return Parsed(_spread(plain.astype("float64"), codes, text.index), bad_rows, "bad-number",
                  "not a number in this column's spelling: correct it")


def parse_shares(text: pd.Series, place: Place, decimal: str | None, percent: bool | None) -> Parsed:
    """Text -> 0..1. A % sign or `percent = true` divides by 100; otherwise a value above 1 is refused."""
    signed = text.str.endswith("%").fillna(False).astype(bool)
    parsed = parse_numbers(text.str.rstrip("% "), place, decimal)
    if percent is None and bool((parsed.values[~signed] > 1).any()):
        example = text[~signed & (parsed.values > 1)].iloc[0]
        raise ColumnError(f"{place}: {example!r} is above 1, so this may be a percentage. " + place.declare("percent = true"))
    parsed.values = parsed.values / np.where(signed | bool(percent), 100.0, 1.0)
    outside = parsed.values.notna() & ~parsed.values.between(0, 1)
    parsed.bad |= outside
    parsed.values = parsed.values.mask(outside)
    return parsed


def parse_flags(text: pd.Series) -> Parsed:
    words = {"true": True, "yes": True, "y": True, "1": True, "done": True, "是": True,
             "false": False, "no": False, "n": False, "0": False, "to do": False, "否": False}
    values = text.str.casefold().map(words).astype("boolean")
    return Parsed(values, text.notna() & values.isna(), "bad-flag", "write true or false")


def parse_outcomes(text: pd.Series) -> Parsed:
    words = text.str.casefold()
    known = words.isin(OUTCOMES)
    return Parsed(words.where(known), text.notna() & ~known, "bad-outcome", f"write one of {', '.join(OUTCOMES)}")


SIGNS = r"[¥￥$€£]|^[A-Za-z]{3} ?|(?: ?[A-Za-z]{3}|元)$"
POINT = r"^[+-]?\d+(\.\d+)?$"
POINT_GROUPED = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
COMMA = r"^[+-]?\d+(,\d+)?$"
COMMA_GROUPED = r"^[+-]?\d{1,3}([. ]\d{3})+(,\d+)?$"


def _plain_numbers(uniques: pd.Series, place: Place, decimal: str | None) -> tuple[pd.Series, pd.Series]:
    """Numbers as plain decimal text ("-1234.50"), null where the spelling does not fit."""
    text = uniques
    simple = _matches(text, POINT)
    if not simple.all():
        text = text.str.normalize("NFKC").str.replace(SIGNS, "", regex=True).str.strip()
        negative = text.str.fullmatch(r"\(.*\)").fillna(False).astype(bool)
        text = text.mask(negative, "-" + text.str.strip("()"))
    if decimal == ",":
        fits = _matches(text, COMMA) | _matches(text, COMMA_GROUPED)
        plain = text.str.replace(r"[. ]", "", regex=True).str.replace(",", ".", regex=False)
    else:
        fits = _matches(text, POINT) | _matches(text, POINT_GROUPED)
        if decimal is None:
            _refuse_undecided(text, fits, place)
        plain = text.str.replace(",", "", regex=False)
    return plain.where(fits), pd.Series(~fits, uniques.index)


def _refuse_undecided(text: pd.Series, fits: np.ndarray[Any, np.dtype[np.bool_]], place: Place) -> None:
    """12.345 and 12,345 can each mean two things; only the rest of the column can decide."""
    fitting = text[fits]
    three_after_point = fitting[_matches(fitting, r"^[+-]?\d{1,3}\.\d{3}$")]
    one_group = fitting[_matches(fitting, r"^[+-]?\d{1,3},\d{3}$")]
    points = fitting[fitting.str.contains(".", regex=False)]
    commas = fitting[fitting.str.contains(",", regex=False)]
    undecided = None
    if len(points) and len(three_after_point) == len(points):
        undecided = three_after_point
    elif len(commas) and len(one_group) == len(commas) and points.empty:
        undecided = one_group
    if undecided is not None:
        raise ColumnError(f"{place}: ambiguous-number, {undecided.iloc[0]!r} may have thousands or decimals, and no value in the "
                          "column decides. " + place.declare('decimal = "."') + ' Where a comma is the decimal mark, write ",".')


def _to_minor(plain: pd.Series, places: int, unit: int) -> tuple[pd.Series, int]:
    """Plain decimal text -> minor units; the second value counts amounts finer than the minor unit (rounded half up)."""
    if plain.empty:
        return pd.Series([], dtype="Int64"), 0
    parts = plain.str.lstrip("+").str.partition(".")
    negative = parts[0].str.startswith("-")
    whole = parts[0].str.lstrip("-").astype("int64").to_numpy()
    scale = 10 ** places
    width = max(9, places)
    tail = parts[2].fillna("").str.slice(0, width).str.pad(width, side="right", fillchar="0").astype("int64").to_numpy()
    fine = tail * unit
    step = 10 ** (width - places)
    minor = whole * unit * scale + (fine + step // 2) // step
    return pd.Series(np.where(negative, -minor, minor), plain.index, dtype="Int64"), int((fine % step != 0).sum())


# --- shared ----------------------------------------------------------------------------------------


def _uniques(text: pd.Series) -> tuple[pd.Series, np.ndarray[Any, np.dtype[np.intp]]]:
    codes, uniques = pd.factorize(text)
    return pd.Series(uniques, dtype="str"), codes


def _spread(uniques: pd.Series, codes: np.ndarray[Any, np.dtype[np.intp]], index: pd.Index) -> pd.Series:
    if uniques.empty:
        return pd.Series(pd.array([None] * len(codes), dtype=uniques.dtype), index)
    spread = uniques.take(np.maximum(codes, 0)).set_axis(index)
    return spread.mask(codes < 0)


def _spread_mask(bad: pd.Series, codes: np.ndarray[Any, np.dtype[np.intp]], index: pd.Index) -> pd.Series:
    if bad.empty:
        return pd.Series(False, index)
    return pd.Series(bad.to_numpy()[np.maximum(codes, 0)] & (codes >= 0), index)


def _matches(text: pd.Series, pattern: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    found = pc.match_substring_regex(pa.array(text, type=pa.string(), from_pandas=True), pattern)
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), dtype=bool)


def _refuse_unreadable(text: pd.Series, bad: pd.Series, place: Place, what: str, line: str) -> None:
    """A column that is mostly unreadable is a wrong mapping, not many bad rows."""
    filled = int(text.notna().sum())
    wrong = int(bad.sum())
    if wrong > UNREADABLE_SHARE * filled and wrong:
        examples = ", ".join(repr(v) for v in text[bad].unique()[:3])
        raise ColumnError(f"{place}: {wrong:,} of {filled:,} values are no {what}, for example {examples}. "
                          f"Map another column to `{place.column}`, or say how it is written: " + place.declare(line))
