"""How the columns of an unknown export are written: what their values decide, and what only a person can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import reduce

import pandas as pd

from salescoach.errors import ColumnError, Sentence
from salescoach.sources import parse
from salescoach.sources.layout import ColumnFormat
from salescoach.sources.toml_text import commented, quoted, quoted_list, remark

NOTHING = ("-", "--", "—", "–", "/", "n/a", "na", "null", "none", "nil", "select", "无", "暂无", "未知", "空")
FEW = 0.02  # this share of a column may be unreadable: those rows are set aside when the file is loaded
ORDERS = (
    "%d{s}%m{s}%Y",
    "%m{s}%d{s}%Y",
    "%d{s}%m{s}%y",
    "%m{s}%d{s}%y",
    "%y{s}%m{s}%d",
    "%d{s}%b{s}%Y",
    "%d{s}%b{s}%y",
)
MARKS = ("/", "-", ".", " ")
WORDS = ("%b %d, %Y", "%B %d, %Y", "%d %B %Y", "%Y%m%d")
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
COUNTS = ("excel_serial", "unix_s", "unix_ms")
DECIDED = Sentence("guess: check")


@dataclass
class Writing:
    """What a source file must say of one column.

    lines   of its format block; those that begin with # are for a person to choose from
    nulls   its words that mean nothing
    doubt   what could not be known, in one sentence
    readable  whether its values can be read at all, or will be once a person has chosen
    """

    lines: list[str] = field(default_factory=list)
    nulls: list[str] = field(default_factory=list)
    doubt: str = ""
    readable: bool = True


@dataclass(frozen=True)
class Column:
    """One column of an export and what it is to hold."""

    place: parse.Place
    role: str
    text: pd.Series
    zone: str
    currency: pd.Series


def guess(why: str) -> Sentence:
    """What stands behind a line that was guessed."""
    return Sentence("{guess}: {why}", guess=DECIDED, why=why)


def writing_of(column: Column, declared: ColumnFormat) -> Writing:
    """What must be declared so that the column can be read, beyond what is `declared` and what its values decide."""
    text = parse.blank_to_null(column.text, declared.null or ())
    words = text[text.str.casefold().isin(NOTHING)].drop_duplicates() if column.role in READERS else text[:0]
    column = replace(column, text=text.mask(text.isin(words)))
    found = Writing(nulls=words.tolist())
    values = column.text.dropna()
    if column.role not in READERS or values.empty:
        return found
    unit = _unit(column, declared)
    found.lines += unit
    if _read(column, declared) is not None:
        return found
    fits = [(c, shown) for c in _candidates(column, declared) if (shown := _read(column, c)) is not None]
    ways = {str(shown.tolist()): (c, shown) for c, shown in reversed(fits)}  # equal readings are one, the plainest
    if not ways:
        found.readable = False
        found.doubt = Sentence(
            "{header!r} holds {value!r}, which cannot be read as {role}.",
            header=column.place.header,
            value=remark(values.iloc[0]),
            role=column.role,
        )
        return found
    chosen = list(reversed(ways.values()))
    differ = _most_telling([shown for _, shown in chosen])
    example = remark(str(column.text.dropna().loc[differ]))
    said = [_said(column, shown.loc[differ]) for _, shown in chosen]
    readings = [Sentence("'{example}' is {said}", example=example, said=text) for text in said]
    ways_written = [_lines(c, declared) for c, _ in chosen]
    if len(chosen) == 1:
        first, *rest = ways_written[0]
        found.lines += [commented(first, guess(readings[0])), *rest]
    else:
        pairs = zip(ways_written, readings, strict=True)
        found.lines += [commented(f"# {line}", reading) for lines, reading in pairs for line in lines]
        found.doubt = Sentence(
            "{header!r} can be read in {n} ways ({readings}): take the # from one line under "
            "[{table}.format.{column}].",
            header=column.place.header,
            n=len(chosen),
            readings=reduce(lambda one, other: Sentence("{one}; or {other}", one=one, other=other), readings),
            table=column.place.table,
            column=column.place.column,
        )
    return found


def _most_telling(readings: list[pd.Series]) -> int:
    """The number of the first row that the readings give different values."""
    table = pd.concat(readings, axis=1).dropna()
    differs = table.nunique(axis=1) > 1
    return int(str(differs.idxmax() if differs.any() else table.index[0]))


def _said(column: Column, value: object) -> str:
    if isinstance(value, pd.Timestamp):
        local = value.tz_convert(column.zone)
        return local.strftime("%Y-%m-%d" if local == local.normalize() else "%Y-%m-%d %H:%M")
    number = float(str(value))
    return f"{number:.4g}" if column.role == "share" else f"{number:,.2f}"


def _lines(written: ColumnFormat, declared: ColumnFormat) -> list[str]:
    """The settings in which a candidate differs from what is declared."""
    if written.date != declared.date:
        dates = written.date or ()
        return [f"date = {quoted(dates[0]) if len(dates) == 1 else quoted_list(dates)}"]
    lines = []
    if written.decimal != declared.decimal:
        lines.append(f"decimal = {quoted(written.decimal or '.')}")
    if written.myriads != declared.myriads:
        lines.append("myriads = true")
    if written.percent != declared.percent:
        lines.append("percent = true")
    return lines


# --- one reading -----------------------------------------------------------------------------------


def _read(column: Column, written: ColumnFormat) -> pd.Series | None:
    """The values as read in one way; None where that way is refused or leaves more than a few unread."""
    text = column.text.dropna()
    try:
        parsed = READERS[column.role](column, text, written)
    except ColumnError:
        return None
    if int(parsed.bad.sum()) > FEW * len(text):
        return None
    values = parsed.values[~parsed.bad]
    if column.role == "money":
        digits = parse.minor_digits(column.currency[values.index])
        return values.astype("float64") / 10.0**digits
    return values


def _instants(column: Column, text: pd.Series, written: ColumnFormat) -> parse.Parsed:
    return parse.parse_instants(text, column.place, written, column.zone)


def _money(column: Column, text: pd.Series, written: ColumnFormat) -> parse.Parsed:
    return parse.parse_money(text, column.place, written, column.currency[text.index])


def _numbers(column: Column, text: pd.Series, written: ColumnFormat) -> parse.Parsed:
    return parse.parse_numbers(text, column.place, written)


def _shares(column: Column, text: pd.Series, written: ColumnFormat) -> parse.Parsed:
    return parse.parse_shares(text, column.place, written)


def _flags(column: Column, text: pd.Series, written: ColumnFormat) -> parse.Parsed:
    return parse.parse_flags(text)


READERS = {
    "instant": _instants,
    "date": _instants,
    "money": _money,
    "number": _numbers,
    "share": _shares,
    "flag": _flags,
}


# --- the ways there are ----------------------------------------------------------------------------


def _candidates(column: Column, declared: ColumnFormat) -> Iterator[ColumnFormat]:
    """The plainest first."""
    if column.role in ("instant", "date"):
        for spellings in _dates(column.text.dropna()):
            yield declared.model_copy(update={"date": spellings})
    elif column.role in ("money", "number", "share"):
        for percent in (None, True) if column.role == "share" else (None,):
            for myriads in (False, True):
                for decimal in (None, ".", ","):
                    changes = {"decimal": decimal or declared.decimal, "percent": percent or declared.percent}
                    yield declared.model_copy(update={**changes, "myriads": myriads or declared.myriads})


def _dates(text: pd.Series) -> Iterator[tuple[str, ...]]:
    """Spellings, with and without a clock, that together fit nearly every value."""
    values = text.drop_duplicates()
    upper = values.str.upper()
    orders = [o.format(s=s) for o in ORDERS for s in MARKS if values.str.contains(s, regex=False).any()]
    for order in (*orders, *WORDS):
        fits = {order + c: pd.to_datetime(upper, format=order + c, errors="coerce").notna() for c in CLOCKS}
        used = tuple(spelling for spelling, rows in fits.items() if rows.any())
        if used and pd.concat([fits[u] for u in used], axis=1).any(axis=1).mean() >= 1 - FEW:
            yield used
    for count, digits in zip(COUNTS, (r"\d{5}(\.\d+)?", r"\d{10}", r"\d{13}"), strict=True):
        if values.str.fullmatch(digits).mean() >= 1 - FEW:
            yield (count,)


def _unit(column: Column, declared: ColumnFormat) -> list[str]:
    """A header that says 万元 counts in ten thousands."""
    if column.role != "money" or "万" not in column.place.header or (declared.unit or 1) != 1:
        return []
    values = column.text.dropna()
    if values.str.contains("[万亿]").any():
        return []
    example = remark(str(values.iloc[0]))
    why = Sentence("the header says 万元, so '{example}' is {example} × 10,000", example=example)
    return [commented("unit = 10000", guess(why))]


# --- currency --------------------------------------------------------------------------------------


def currency_of(amounts: pd.Series, header: str) -> tuple[str, str, bool] | None:
    """The currency that the amounts or their header bear, why, and whether another may be meant."""
    text = amounts.dropna().str.normalize("NFKC")
    signs = text.str.extract(parse.SIGN)[0].str.upper().dropna()
    if len(signs) * 2 > len(text) > 0:
        sign = str(signs.value_counts().index[0])
        found = _meant_by(sign)
        if found is not None:
            return found[0], Sentence("the amounts bear {sign}", sign=sign), len(found) > 1
    bearing = pd.Series([header]).str.extract(rf"[(（\[]\s*{parse.SIGN}\s*[)）\]]")[0].dropna()
    if len(bearing):
        found = _meant_by(str(bearing.iloc[0]).upper())
        if found is not None:
            return found[0], Sentence("the header says {sign}", sign=bearing.iloc[0]), len(found) > 1
    return (
        ("CNY", Sentence("the header says {sign}", sign="元"), False)
        if "元" in header and "美元" not in header
        else None
    )


def _meant_by(sign: str) -> tuple[str, ...] | None:
    from babel.numbers import is_currency

    code = parse.CURRENCY_NAMES.get(sign, sign)
    return parse.SIGNS.get(sign) or ((code,) if is_currency(code) else None)
