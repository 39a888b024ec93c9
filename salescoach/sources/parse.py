"""Columns of text become instants, dates, exact money, numbers and shares; what does not fit is marked, not guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salescoach.book import OUTCOMES, is_in
from salescoach.book.texts import arrow, encoded, is_of_few
from salescoach.errors import ColumnError, Sentence, commas, either
from salescoach.sources.layout import ColumnFormat

EARLIEST, LATEST = pd.Timestamp("1980-01-01"), pd.Timestamp("2100-01-01")
DAY = r"^\d{4}-\d{2}-\d{2}$"
STAMP = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?$"
ZONED = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}(:\d{2}(\.\d{1,9})?)? ?(Z|[+-]\d{2}:?\d{2})$"
ORDERED_DAY = r"^\d{1,2}[/.\-]\d{1,2}[/.\-]\d{4}$"
ORDERED = ORDERED_DAY[:-1] + r"( \d{1,2}:\d{2}(:\d{2})?( ?[AaPp][Mm])?)?$"
SHORT_YEAR = r"^\d{1,2}[/.\-]\d{1,2}[/.\-]\d{2}( .*)?$"
UNREADABLE_SHARE = 0.5
UNREADABLE_ROWS = 3
NOT_A_DATE = f"not a date between {EARLIEST.year} and {LATEST.year} in this column's spelling: correct it"
NOT_A_NUMBER = "not a number in this column's spelling: correct it"
# Counts, declared as `date = "excel_serial"`, "unix_s" or "unix_ms": a serial counts local days, an epoch is UTC.
EXCEL_ORIGIN, UNIX_ORIGIN = pd.Timestamp("1899-12-30"), pd.Timestamp("1970-01-01")
EPOCHS = {"unix_s": 86_400, "unix_ms": 86_400_000}  # how many make a day


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
        return Sentence("{file}, column {header!r}", file=self.file, header=self.header)

    def declare(self, line: str) -> str:
        return Sentence(
            "Add `{line}` under [{table}.format.{column}] in your source file.",
            line=line,
            table=self.table,
            column=self.column,
        )


def blank_to_null(text: pd.Series, nulls: tuple[str, ...] = ()) -> pd.Series:
    """Trimmed text; empty values and the declared null words become null."""
    trimmed = text.str.strip()
    return trimmed.mask((trimmed == "") | trimmed.isin(nulls))


def only_element(text: pd.Series) -> pd.Series:
    """["1001"] -> 1001; a list of several stays as it is, and [] is null."""
    inner = text.str.extract(r"^\[\s*\"?([^\",\[\]]*?)\"?\s*\]$")[0]
    return blank_to_null(text.where(inner.isna(), inner))


# --- dates -----------------------------------------------------------------------------------------


def parse_instants(
    text: pd.Series, place: Place, written: ColumnFormat, timezone: str, plain: Stamps | None = None
) -> Parsed:
    """Text -> UTC instants. Naive stamps are read in the zone they are written in, days in `timezone`.

    Year-first spellings (ISO, 2025/3/1, 2025年3月1日) need no declaration. Day-first and month-first are told apart
    by the whole column; if both fit, ColumnError asks for a declaration.

    plain   what `plain_stamps` makes of the text, where that is known already
    """
    declared = written.date
    if declared:
        plain = None
    elif plain is None:
        plain = plain_stamps(text)
    if plain is not None and _all_in_our_time(plain):
        return _plain_instants(plain, text.index, written.timezone, timezone)
    uniques, codes = _uniques(text)
    local, zoned, day_only = _read_declared(uniques, declared) if declared else _read_inferred(uniques, place)
    local = local.mask((local < EARLIEST) | (local >= LATEST))
    zoned = zoned.mask((zoned < EARLIEST.tz_localize("UTC")) | (zoned >= LATEST.tz_localize("UTC")))
    bad = local.isna() & zoned.isna() & uniques.notna()
    read_rows = (local.notna() | zoned.notna()).to_numpy()
    only_days = bool(day_only[read_rows].all()) and bool(read_rows.any())
    instants = _instants_of(local, timezone if only_days else written.timezone or timezone)
    instants = instants.where(zoned.isna(), zoned)
    values = _spread(instants, codes, text.index)
    bad_rows = _spread_mask(bad, codes, text.index)
    _refuse_unreadable(
        text, bad_rows, place, Sentence("date"), _date_to_declare(uniques[bad], declared or ()), declared or ()
    )
    return Parsed(values, bad_rows, "bad-date", NOT_A_DATE, only_days)


def parse_dates(text: pd.Series, place: Place, written: ColumnFormat, timezone: str) -> Parsed:
    """Text -> naive calendar days. A stamp with a zone is taken to `timezone` first."""
    parsed = parse_instants(text, place, written, timezone)
    days = parsed.values.dt.tz_convert(timezone).dt.tz_localize(None).dt.normalize()
    return Parsed(days, parsed.bad, parsed.reason, parsed.hint, True)


PLAIN_LENGTHS = {10, 16, 19, *range(21, 27)}  # 2026-09-30, with hours and minutes, with seconds, with fractions


def plain_stamps(text: pd.Series) -> Stamps | None:
    """A column in which every value is a day or stamp as databases write it, read at once; None for any other."""
    if is_of_few(text):
        words = plain_stamps(pd.Series(text.cat.categories))
        return words if words is None else np.append(words, np.datetime64("NaT", "us"))[text.cat.codes.to_numpy()]
    values = arrow(text)
    lengths = pc.binary_length(values)
    if not set(pc.unique(pc.drop_null(lengths)).to_pylist()) <= PLAIN_LENGTHS:
        return None
    if any(v[4] != "-" for v in pc.drop_null(values.slice(0, FIRST)).to_pylist()):  # a cast that fails takes long
        return None
    try:
        stamps = pc.cast(values, pa.timestamp("us"))
    except pa.ArrowInvalid:
        return None
    local: Stamps = stamps.to_numpy(zero_copy_only=False)
    return local


def _all_in_our_time(stamps: Stamps) -> bool:
    known = stamps[~np.isnat(stamps)]
    return not len(known) or bool(known.min() >= EARLIEST.to_datetime64() and known.max() < LATEST.to_datetime64())


def _plain_instants(local: Stamps, index: pd.Index, written_in: str | None, timezone: str) -> Parsed:
    """Stamps that need no more reading, as instants."""
    known = ~np.isnat(local)
    only_days = bool(known.any()) and not (local.astype(np.int64)[known] % MICROSECONDS_A_DAY).any()
    instants = _instants_of(pd.Series(local, index), timezone if only_days else written_in or timezone)
    return Parsed(instants, pd.Series(False, index), "bad-date", NOT_A_DATE, only_days)


def _instants_of(local: pd.Series, zone: str) -> pd.Series:
    """Stamps of one zone as instants; of an hour that the clock shows twice, the first."""
    earlier = np.ones(len(local), dtype=bool)
    there = local.dt.tz_localize(zone, ambiguous=earlier, nonexistent="shift_forward")
    instants: pd.Series = there.dt.tz_convert("UTC")
    return instants


Stamps = np.ndarray[Any, np.dtype[np.datetime64]]
FIRST = 100
MICROSECONDS_A_DAY = 86_400_000_000
Dates = tuple["pd.Series", "pd.Series", np.ndarray[Any, np.dtype[np.bool_]]]


def _read_declared(uniques: pd.Series, declared: Sequence[str]) -> Dates:
    """Local stamps, zoned stamps, and which have no time of day; by the first declared spelling that fits."""
    local, zoned = _nothing(uniques), _nothing(uniques, "datetime64[us, UTC]")
    for spelling in declared:
        todo = uniques.where(local.isna() & zoned.isna())
        if spelling == "excel_serial":
            local = local.fillna(_read_counted(todo, EXCEL_ORIGIN, 1))
        elif spelling in EPOCHS:
            zoned = zoned.fillna(_read_counted(todo, UNIX_ORIGIN, EPOCHS[spelling]).dt.tz_localize("UTC"))
        elif "%z" in spelling:
            zoned = zoned.fillna(pd.to_datetime(todo, format=spelling, errors="coerce", utc=True).dt.as_unit("us"))
        else:
            local = local.fillna(pd.to_datetime(todo, format=spelling, errors="coerce").dt.as_unit("us"))
    return local, zoned, ((local == local.dt.normalize()) | local.isna()).to_numpy() & zoned.isna().to_numpy()


def _read_counted(text: pd.Series, origin: pd.Timestamp, per_day: int) -> pd.Series:
    """45352.5 -> noon of 2024-03-01: a count since an origin, to the second."""
    counts = text.where(_matches(text, r"^\d{1,14}(\.\d+)?$")).astype("float64")
    seconds = (counts / per_day * 86_400).round()
    seconds = seconds.where(seconds < 2**33)
    return (origin + pd.to_timedelta(seconds, unit="s")).astype("datetime64[us]")


def _read_inferred(uniques: pd.Series, place: Place) -> Dates:
    """As `_read_declared`, for year-first spellings and for what the column as a whole decides."""
    zoned = _nothing(uniques, "datetime64[us, UTC]")
    plain = _year_first(uniques)
    year_first = _matches(plain, DAY) | _matches(plain, STAMP)
    local = pd.to_datetime(plain.where(year_first), format="ISO8601", errors="coerce").astype("datetime64[us]")
    with_zone = _matches(plain, ZONED)
    if with_zone.any():
        zoned = pd.to_datetime(plain.where(with_zone), format="ISO8601", errors="coerce", utc=True).dt.as_unit("us")
    local = local.fillna(_read_ordered(uniques, place))
    return local, zoned, (local == local.dt.normalize()).to_numpy()


def _nothing(uniques: pd.Series, dtype: str = "datetime64[us]") -> pd.Series:
    return pd.Series(pd.NaT, uniques.index, dtype=dtype)


COUNTS = {r"\d{5}(\.\d+)?": "excel_serial", r"\d{8}": "%Y%m%d", r"\d{10}": "unix_s", r"\d{13}": "unix_ms"}


def _date_to_declare(unread: pd.Series, declared: Sequence[str]) -> str:
    other = "%m/%d/%Y" if "%d/%m/%Y" in declared else "%d/%m/%Y"
    spelling = next((s for pattern, s in COUNTS.items() if bool(unread.str.fullmatch(pattern).all())), other)
    return f'date = "{spelling}"'


def _year_first(uniques: pd.Series) -> pd.Series:
    """2025/3/1, 2025.3.1, 2025年3月1日 and 2025-03-01T10:00 in one spelling."""
    values = pa.array(uniques, type=pa.string())
    head = pc.match_substring_regex(values, r"^\d{4}[-/.年]")
    for pattern, to in (
        (r"^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?[T ]*", r"\1-\2-\3 "),
        (r"^(\d{4})-(\d)-", r"\1-0\2-"),
        (r"^(\d{4}-\d{2})-(\d) ", r"\1-0\2 "),
        (r"^(\d{4}-\d{2}-\d{2}) (\d):", r"\1 0\2:"),
        (r" +$", ""),
    ):
        values = pc.if_else(head, pc.replace_substring_regex(values, pattern, to), values)
    return pd.Series(values.to_pandas(), index=uniques.index, dtype="str")


def _read_ordered(uniques: pd.Series, place: Place) -> pd.Series:
    """d/m/Y or m/d/Y, decided by the whole column.

    Where nothing decides, the column is refused; or, if most of it is written year-first, only the few are unread.
    """
    few = UNREADABLE_SHARE * len(uniques)
    short = uniques[_matches(uniques, SHORT_YEAR)]
    if len(short) > few:
        raise ColumnError(
            "{place}: {value!r} has a two-digit year, so its order cannot be known. {step}",
            place=place,
            value=short.iloc[0],
            step=place.declare('date = "%d-%m-%y"'),
        )
    ordered = uniques[_matches(uniques, ORDERED)]
    if ordered.empty:
        return _nothing(uniques)
    parts = ordered.str.replace(r"[/.\-]", "/", regex=True)
    numbers = parts.str.split(" ", n=1).str[0].str.split("/", expand=True).astype("int64")
    first, second = numbers[0], numbers[1]
    day_first, month_first = bool((first > 12).any()), bool((second > 12).any())
    if day_first == month_first and bool((first != second).any()):
        if len(ordered) <= few:
            return _nothing(uniques)
        raise ColumnError(_undecided_order(ordered, first, second, place))
    order = "%d/%m/%Y" if day_first else "%m/%d/%Y"
    upper = parts.str.upper()
    read = _nothing(ordered)
    for clock in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %I:%M%p"):
        step = pd.to_datetime(upper.where(read.isna()), format=order + clock, errors="coerce")
        read = read.fillna(step.astype("datetime64[us]"))
    return read.reindex(uniques.index)


def _undecided_order(ordered: pd.Series, first: pd.Series, second: pd.Series, place: Place) -> str:
    if bool((first > 12).any()):
        return Sentence(
            "{place} mixes day-first and month-first dates: {one!r} and {other!r}. Export it in one spelling.",
            place=place,
            one=ordered[first > 12].iloc[0],
            other=ordered[second > 12].iloc[0],
        )
    return Sentence(
        "{place}: ambiguous-date, {value!r} fits day-first and month-first, and no value in the column "
        'decides. {step} Month-first is "%m/%d/%Y".',
        place=place,
        value=ordered[first != second].iloc[0],
        step=place.declare('date = "%d/%m/%Y"'),
    )


# --- money and numbers -----------------------------------------------------------------------------


def parse_money(text: pd.Series, place: Place, written: ColumnFormat, currency: pd.Series) -> Parsed:
    """Text -> Int64 minor units, exactly, in each row's currency."""
    unit = written.unit or 1
    digits = minor_digits(currency)
    plain_amounts = _read_plain_amounts(text, written, unit, digits)
    if plain_amounts is not None:
        return Parsed(plain_amounts, pd.Series(False, text.index), "bad-number", NOT_A_NUMBER)
    uniques, codes = _uniques(text)
    plain, bad = _plain_numbers(uniques, place, written)
    step = unit * 10 ** int(digits.max()) if len(digits) else unit
    bad |= _matches(plain, rf"\d{{{19 - len(str(step))}}}(\.|$)")  # more would not fit into 64 bits
    values = _spread(plain, codes, text.index)
    bad_rows = _spread_mask(bad, codes, text.index)
    _refuse_unreadable(text, bad_rows, place, Sentence("number"), _mark_to_declare(uniques[bad], written))
    foreign = _in_another_currency(text, currency, place)
    minor = pd.Series(pd.NA, text.index, dtype="Int64")
    rounded = 0
    for places in sorted(digits.unique()):
        rows = (digits == places) & values.notna() & ~bad_rows & ~foreign
        exact, cut = _to_minor(values[rows], int(places), unit)
        minor[rows] = exact
        rounded += cut
    hint = "not an amount in this column's spelling, or with the sign of another currency: correct it"
    if _matches(uniques[bad], "[万亿]").any():
        hint = "amounts such as 3.5万 are read where `myriads = true` is declared: declare it, or write whole numbers"
    return Parsed(minor, bad_rows | foreign, "bad-number", hint, notes={"rounded": rounded} if rounded else {})


def _read_plain_amounts(text: pd.Series, written: ColumnFormat, unit: int, digits: pd.Series) -> pd.Series | None:
    """A column of amounts as programs write them (1234.5), read at once; None for any other.

    No value has more decimals than the currency or the three that might be thousands, so there is nothing to decide
    and nothing to round.
    """
    values = arrow(text)
    places = int(digits.iloc[0]) if len(digits) else 0
    pattern = PLAIN_AMOUNT.format(decimals=rf"(\.\d{{1,{min(places, 2)}}})?" if places else "")
    if written.decimal == "," or unit > 10**4 or bool((digits != places).any()):
        return None
    if not pc.all(pc.match_substring_regex(values, pattern)).as_py():
        return None
    exact = pc.cast(values, pa.decimal128(38, places))
    unscaled = np.frombuffer(exact.buffers()[1], dtype=np.int64)[::2][exact.offset : exact.offset + len(exact)]
    missing = text.isna().to_numpy()
    return pd.Series(pd.arrays.IntegerArray(np.where(missing, 1, unscaled * unit), missing), text.index)


def parse_currencies(text: pd.Series, place: Place) -> Parsed:
    """Text -> ISO 4217 codes."""
    from babel.numbers import is_currency

    codes = text.str.upper().replace(CURRENCY_NAMES)
    known = {c for c in codes.dropna().unique() if is_currency(c)}
    bad = codes.notna() & ~codes.isin(known)
    _refuse_unreadable(text, bad, place, "currency code", 'null = ["…"]')
    return Parsed(codes.mask(bad), bad, "bad-currency", "write the three-letter code, such as CNY or EUR")


def minor_digits(currency: pd.Series) -> pd.Series:
    """Decimal places of each row's currency (CNY 2, JPY 0), from CLDR."""
    from babel.numbers import get_currency_precision

    codes, names = encoded(currency)
    digits = np.array([get_currency_precision(c) for c in names], dtype=np.int64)
    return pd.Series(digits[codes] if len(digits) else codes, currency.index)


def parse_numbers(text: pd.Series, place: Place, written: ColumnFormat) -> Parsed:
    """Text -> floats."""
    uniques, codes = _uniques(text)
    plain, bad = _plain_numbers(uniques, place, written)
    bad_rows = _spread_mask(bad, codes, text.index)
    _refuse_unreadable(text, bad_rows, place, Sentence("number"), _mark_to_declare(uniques[bad], written))
    return Parsed(_spread(plain.astype("float64"), codes, text.index), bad_rows, "bad-number", NOT_A_NUMBER)


def parse_shares(text: pd.Series, place: Place, written: ColumnFormat) -> Parsed:
    """Text -> 0..1. A % sign or `percent = true` divides by 100; otherwise a value above 1 is refused."""
    signed = text.str.contains(r"[%％]$").fillna(False).astype(bool)
    parsed = parse_numbers(text.str.rstrip("%％ "), place, written)
    if written.percent is None and bool((parsed.values[~signed] > 1).any()):
        example = text[~signed & (parsed.values > 1)].iloc[0]
        raise ColumnError(
            "{place}: {example!r} is above 1, so this may be a percentage. {step}",
            place=place,
            example=example,
            step=place.declare("percent = true"),
        )
    parsed.values = parsed.values / np.where(signed | bool(written.percent), 100.0, 1.0)
    outside: pd.Series[bool] = parsed.values.notna() & ~parsed.values.between(0, 1)
    parsed.bad |= outside
    parsed.values = parsed.values.mask(outside)
    return parsed


def parse_flags(text: pd.Series) -> Parsed:
    words = {
        "true": True,
        "yes": True,
        "y": True,
        "1": True,
        "done": True,
        "是": True,
        "false": False,
        "no": False,
        "n": False,
        "0": False,
        "to do": False,
        "否": False,
    }
    values = text.str.casefold().map(words).astype("boolean")
    return Parsed(values, text.notna() & values.isna(), "bad-flag", "write true or false")


def parse_outcomes(text: pd.Series) -> Parsed:
    words = text.str.casefold()
    known = words.isin(OUTCOMES)
    return Parsed(words.where(known), text.notna() & ~known, "bad-outcome", f"write one of {', '.join(OUTCOMES)}")


SIGNS: Mapping[str, tuple[str, ...]] = {  # which currencies a sign may stand for
    "¥": ("CNY", "JPY"),
    "元": ("CNY", "TWD", "HKD"),
    "$": ("USD", "CAD", "AUD", "NZD", "HKD", "SGD", "TWD", "MXN", "BRL", "CLP", "COP", "ARS"),
    "€": ("EUR",),
    "£": ("GBP", "EGP", "LBP"),
}
CURRENCY_NAMES = {"RMB": "CNY", "人民币": "CNY", "人民币元": "CNY"}
SIGN_BEFORE = r"^([+-]?)(?:[¥$€£]|[A-Za-z]{3}) ?"
SIGN_AFTER = r" ?(?:[¥$€£元]|[A-Za-z]{3})$"
SIGN = r"([¥$€£元]|[A-Za-z]{3})"
MYRIADS = r"^(\D*)(\d+(?:,\d{3})*(?:\.\d+)?) ?([万亿])(元?)$"
TEN_THOUSANDS = {"万": Decimal(10**4), "亿": Decimal(10**8)}
PLAIN_AMOUNT = r"^-?\d{{1,12}}{decimals}$"
POINT = r"^[+-]?\d+(\.\d+)?$"
POINT_GROUPED = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
COMMA = r"^[+-]?\d+(,\d+)?$"
COMMA_GROUPED = r"^[+-]?\d{1,3}([. ]\d{3})+(,\d+)?$"


def _plain_numbers(uniques: pd.Series, place: Place, written: ColumnFormat) -> tuple[pd.Series, pd.Series]:
    """Numbers as plain decimal text ("-1234.50"), null where the spelling does not fit."""
    text = uniques
    simple = _matches(text, POINT)
    if not simple.all():
        text = text.str.normalize("NFKC")
        text = _in_ones(text) if written.myriads else text
        negative = text.str.fullmatch(r"\([^-+]*\)").fillna(False).astype(bool)
        text = text.mask(negative, "-" + text.str.slice(1, -1))
        text = text.str.replace(SIGN_BEFORE, r"\1", regex=True).str.replace(SIGN_AFTER, "", regex=True).str.strip()
    if written.decimal == ",":
        fits = _matches(text, COMMA) | _matches(text, COMMA_GROUPED)
        plain = text.str.replace(r"[. ]", "", regex=True).str.replace(",", ".", regex=False)
    else:
        fits = _matches(text, POINT) | _matches(text, POINT_GROUPED)
        if written.decimal is None:
            _refuse_undecided(text, fits, place)
        plain = text.str.replace(",", "", regex=False)
    return plain.where(fits), pd.Series(~fits, uniques.index)


def _in_ones(text: pd.Series) -> pd.Series:
    """3.5万 -> 35000 and 1.2亿元 -> 120000000元, exactly; a value that no number stands before is left as it is."""
    parts = text.str.extract(MYRIADS).dropna()
    ones = [
        f"{sign}{Decimal(number.replace(',', '')) * TEN_THOUSANDS[unit]:f}{rest}"
        for sign, number, unit, rest in parts.itertuples(index=False, name=None)
    ]
    return pd.Series(ones, parts.index, dtype="str").reindex(text.index).fillna(text)


def _in_another_currency(text: pd.Series, currency: pd.Series, place: Place) -> pd.Series:
    """Rows whose amount bears the sign or code of another currency. A column that mostly does is refused."""
    odd = text.notna() & ~_matches(text, POINT)
    signs = text[odd].str.normalize("NFKC").str.extract(SIGN)[0].str.upper()
    pairs = zip(signs, currency[odd], strict=True)
    other = [isinstance(s, str) and c not in SIGNS.get(s, (CURRENCY_NAMES.get(s, s),)) for s, c in pairs]
    foreign = pd.Series(other, signs.index, dtype="bool").reindex(text.index, fill_value=False)
    if int(foreign.sum()) > UNREADABLE_SHARE * int(text.notna().sum()):
        raise ColumnError(
            "{place}: {value!r} is not written in {currency}. Add the currency of the amounts, such as "
            '`currency = "USD"`, on top of your source file, or map a `currency` column.',
            place=place,
            value=text[foreign].iloc[0],
            currency=currency[foreign].iloc[0],
        )
    return foreign


def _mark_to_declare(unread: pd.Series, written: ColumnFormat) -> str:
    if bool(_matches(unread, "[万亿]").any()):
        return "myriads = true"
    commas = bool(unread.str.contains(r",\d{1,2}$").any())
    return 'decimal = ","' if commas and written.decimal is None else 'decimal = "."'


def _refuse_undecided(text: pd.Series, fits: np.ndarray[Any, np.dtype[np.bool_]], place: Place) -> None:
    """12.345 and 12,345 can each mean two things; only the rest of the column can decide."""
    fitting = text[fits]
    three_after_point = fitting[_matches(fitting, r"^[+-]?[1-9]\d{0,2}\.\d{3}$")]
    one_group = fitting[_matches(fitting, r"^[+-]?[1-9]\d{0,2},\d{3}$")]
    points = fitting[fitting.str.contains(".", regex=False)]
    commas = fitting[fitting.str.contains(",", regex=False)]
    undecided = None
    if len(points) and len(three_after_point) == len(points):
        undecided = three_after_point
    elif len(commas) and len(one_group) == len(commas) and points.empty:
        undecided = one_group
    if undecided is not None:
        raise ColumnError(
            "{place}: ambiguous-number, {value!r} may have thousands or decimals, and no value in the "
            'column decides. {step} Where a comma is the decimal mark, write ",".',
            place=place,
            value=undecided.iloc[0],
            step=place.declare('decimal = "."'),
        )


def _to_minor(plain: pd.Series, places: int, unit: int) -> tuple[pd.Series, int]:
    """Plain decimal text -> minor units, rounded half up; the second value counts the amounts that were rounded."""
    if plain.empty:
        return pd.Series([], dtype="Int64"), 0
    parts = plain.str.lstrip("+").str.partition(".")
    negative = parts[0].str.startswith("-")
    whole = parts[0].str.lstrip("-").astype("int64").to_numpy()
    scale = 10**places
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
        return pd.Series(index=index, dtype=uniques.dtype)
    spread = uniques.take(np.maximum(codes, 0)).set_axis(index)
    return spread.mask(codes < 0)


def _spread_mask(bad: pd.Series, codes: np.ndarray[Any, np.dtype[np.intp]], index: pd.Index) -> pd.Series:
    if bad.empty:
        return pd.Series(False, index)
    return pd.Series(bad.to_numpy()[np.maximum(codes, 0)] & (codes >= 0), index)


def is_one_of(text: pd.Series, words: Sequence[str], fold: bool = True) -> pd.Series:
    """Which values are one of the words; with `fold` whatever their case. Null is none."""
    return is_in(text.str.lower() if fold else text, words)


def any_unprintable(text: pd.Series) -> bool:
    """Whether any value has a character that is not printed, such as a control character or a zero-width blank."""
    return not pc.all(pc.utf8_is_printable(arrow(text))).as_py()


def fits(text: pd.Series, pattern: str) -> pd.Series:
    """Which values a pattern is found in; null is not."""
    return pd.Series(_matches(text, pattern), text.index)


def _matches(text: pd.Series, pattern: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if is_of_few(text):
        words = _matches(pd.Series(text.cat.categories), pattern)
        return np.append(words, False)[text.cat.codes.to_numpy()]
    found = pc.match_substring_regex(arrow(text), pattern)
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), dtype=bool)


def _refuse_unreadable(
    text: pd.Series, bad: pd.Series, place: Place, what: str, line: str, declared: Sequence[str] = ()
) -> None:
    """A column that is mostly unreadable is a wrong mapping, not many bad rows."""
    filled = int(text.notna().sum())
    wrong = int(bad.sum())
    if wrong >= UNREADABLE_ROWS and wrong > UNREADABLE_SHARE * filled:
        examples = commas(repr(v) for v in text[bad].unique()[:3])
        raise ColumnError(
            "{place}: {wrong:,} of {filled:,} values are no {what}, for example {examples}. {misfit}Map another "
            "column to `{column}`, or say how it is written: {step}",
            place=place,
            wrong=wrong,
            filled=filled,
            what=what,
            examples=examples,
            misfit=Sentence("They do not fit the declared {declared}. ", declared=either(declared)) if declared else "",
            column=place.column,
            step=place.declare(line),
        )
