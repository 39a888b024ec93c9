"""One table on its way into the book: its rows as text and as values, and which of them are still in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import TABLES
from salescoach.book.texts import (
    Codes,
    Places,
    as_texts,
    encoded,
    holds_byte,
    is_of_few,
    may_begin_with,
    may_have_blanks_around,
    may_hold_unprintable,
    numbered,
    repeated,
    without_blanks,
)
from salescoach.errors import ColumnError, Sentence, SourceError, commas, either
from salescoach.process import fold_name
from salescoach.sources import parse
from salescoach.sources.detect import fold_header, match_columns, nearest_header
from salescoach.sources.history import in_whole
from salescoach.sources.layout import TableSource
from salescoach.sources.place import Place
from salescoach.sources.quarantine import Rejects, empty_quarantine
from salescoach.sources.read import RawTable, read_raw
from salescoach.sources.reshape import as_rows

SUMMARY_WORDS = ("total", "grand total", "sum", "合计", "总计", "小计")
EXCEL_ERRORS = r"^#(N/A|REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!|SPILL!)$"
EXCEL_DAMAGED = r"^\d(\.\d+)?[eE]\+\d+$"
INVISIBLE = r"[\x00-\x1f\x7f\x{ad}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{2064}\x{feff}]"
INVISIBLE_IN_KEY = INVISIBLE[:-1] + r"\x{a0}]"
HEADER_SEARCHED = 20
MICROSECONDS = 1_000_000  # in a second
LARGEST = 2**62
AS_WRITTEN = ("id", "text", "stage", "extra", "instant")  # roles whose texts may stay categories
UNIQUE = ("deals", "leads", "reps", "accounts", "products", "targets", "rates")  # their key stands in one row only


class Draft:
    """The rows of one table, from all its files.

    text     as read; `headers` maps our columns to theirs
    table    as parsed, row for row like `text`
    alive    which rows are still used; `reject` moves a row to quarantine, once, for the first fault found
    other    how many records belong elsewhere: rows of another table by `where`, earlier snapshots
    entered  headers of a wide stage history -> the names of stage and pipeline in them; `entered_at` their instants
    """

    def __init__(self, name: str, source: TableSource, raws: Sequence[RawTable], promised: bool = True) -> None:
        columns = raws[0].columns
        for raw in raws[1:]:
            if "snapshot_at" in source.columns:
                columns += [c for c in raw.columns if c not in columns]
            elif set(raw.columns) != set(columns):
                differ = commas(sorted(set(raw.columns) ^ set(columns)))
                raise SourceError(
                    "{file} and {other} both hold {name} and differ in columns: {differ}. Load exports of one "
                    "kind at a time.",
                    file=raw.file,
                    other=raws[0].file,
                    name=name,
                    differ=differ,
                )
        self.name = name
        self.source = source
        self.files = [(r.file, r.sha256, r.encoding) for r in raws]
        text = raws[0].frame
        if len(raws) > 1:
            parts = [as_texts(r.frame).reindex(columns=columns, fill_value="") for r in raws]
            text = pd.concat(parts, ignore_index=True)
        rows = as_rows(name, source, text, raws[0].file, promised)
        self.text = rows.text
        places = [np.full(len(r.frame), i, dtype=np.int16) for i, r in enumerate(raws)]
        numbered_by = (places, [r.lines for r in raws], [r.numbers for r in raws])
        stood = [p[0] if len(raws) == 1 else np.concatenate(p) for p in numbered_by]
        if rows.other or rows.made or rows.blank:
            kept = rows.kept.to_numpy()
            stood = [numbers[kept] for numbers in stood]
        self._file, self._line, self._number = stood
        self._rejects = [r.rejects for r in raws]
        self.blank = sum(r.blank for r in raws) + rows.blank
        self.other = rows.other
        self.read = sum(r.records for r in raws) + rows.made
        self.table = pd.DataFrame(index=self.text.index)
        self.extras: list[str] = []
        self.alive = pd.Series(True, self.text.index)
        self.rejected = pd.Series(False, self.text.index)
        self.headers = rows.headers
        own = set(self.headers.values())  # a mapped column may look like a stage date: hs_v2_date_entered_current_stage
        dated = ((h, source.stage_entered(h)) for h in self.text.columns if h not in own)
        self.entered = {h: names for h, names in dated if names is not None}
        self.entered_at: dict[str, pd.Series] = {}
        self._trimmed: dict[str, pd.Series] = {}
        self._encoded: dict[str, tuple[Places, pd.Series[str]]] = {}
        self._stamps: dict[str, parse.Stamps | None] = {}
        self.cut = [r.file for r in raws if r.cut]

    def reject(self, bad: pd.Series, column: str, reason: str, hint: str) -> None:
        """Quarantine the marked rows that are still in; `column` is ours."""
        rows = (bad & self.alive).to_numpy()
        if not rows.any():
            return
        theirs = self.headers.get(column, column)
        shown = self.text[theirs] if theirs in self.text else pd.Series("", self.text.index, dtype="str")
        owner = self.text[self.headers["rep_id"]].str.strip() if "rep_id" in self.headers else None
        for position, (file, sha256, _) in enumerate(self.files):
            here = rows & (self._file == position)
            rejects = Rejects(self.name, file, sha256)
            rejects.add(
                self.text[here],
                self._number[here],
                self._line[here],
                theirs,
                shown[here],
                reason,
                hint,
                owner[here] if owner is not None else None,
            )
            self._rejects.append(rejects)
        self.alive &= ~rows
        self.rejected |= rows

    def stands(self, rows: pd.Series) -> list[str]:
        """File and line of each marked row."""
        marked = rows.to_numpy()
        places = zip(self._file[marked], self._line[marked], strict=True)
        return [Sentence("{file}, line {line}", file=self.files[f][0], line=n) for f, n in places]

    def trimmed(self, theirs: str) -> pd.Series:
        """One column as text without blanks around it; mostly that is the column itself."""
        if theirs not in self._trimmed:
            text = self.text[theirs]
            self._trimmed[theirs] = text.astype("str").str.strip() if may_have_blanks_around(text) else text
        return self._trimmed[theirs]

    def encoded(self, theirs: str) -> tuple[Places, pd.Series[str]]:
        """A code for each row of one trimmed column, and the texts that the codes stand for. Looked up once."""
        if theirs not in self._encoded:
            self._encoded[theirs] = encoded(self.trimmed(theirs))
        return self._encoded[theirs]

    def stamps(self, theirs: str) -> parse.Stamps | None:
        """One trimmed column as stamps, where each value of it is one as databases write it. Read once."""
        if theirs not in self._stamps:
            self._stamps[theirs] = parse.plain_stamps(self.trimmed(theirs))
        return self._stamps[theirs]

    def telling(self, theirs: str) -> Codes:
        """A number for each row of one column, from 0: rows of one text have one number, other rows mostly another."""
        if is_of_few(self.trimmed(theirs)):
            return self.encoded(theirs)[0].astype(np.int64)
        stamps = self.stamps(theirs)
        if stamps is not None:
            codes: Codes = stamps.view(np.int64) - stamps.view(np.int64).min(initial=0)
            return in_whole(codes, MICROSECONDS)
        counted = numbered(self.trimmed(theirs))
        return self.encoded(theirs)[0].astype(np.int64) if counted is None else counted[0][0]

    def set_aside(self, rows: pd.Series) -> None:
        """Take rows out that are no faults: they are told by other rows, as earlier snapshots of a deal are."""
        self.other += int((rows & self.alive).sum())
        self.alive &= ~rows

    @property
    def used(self) -> pd.DataFrame:
        """The parsed rows that are still in; a column of the source's own is numeric if all of these rows are."""
        whole = bool(self.alive.all())
        rows = (self.table if whole else self.table[self.alive.to_numpy()]).reset_index(drop=True)
        return rows.assign(**{c: _extra(rows[c]) for c in self.extras})

    def forget(self) -> None:
        """Let go of what was only kept so as not to read it twice."""
        self._trimmed, self._encoded, self._stamps = {}, {}, {}

    def release(self) -> None:
        """Let go of texts and values once they are in the book's tables; what was set aside and counted stays."""
        self.text, self.table = pd.DataFrame(), pd.DataFrame()  # an empty slice would hold on to all
        self.entered_at = {}
        self.forget()
        self._file = self._line = self._number = np.empty(0, dtype=np.int32)

    @property
    def quarantined(self) -> int:
        return sum(len(r) for r in self._rejects)

    def quarantine(self) -> pd.DataFrame:
        frames = [r.frame() for r in self._rejects if len(r)]
        return pd.concat(frames, ignore_index=True) if frames else empty_quarantine()

    @property
    def absent(self) -> dict[str, tuple[str, ...]]:
        """Columns that the source names and the files do not have: ours -> the headers looked for."""
        return {ours: theirs for ours, theirs in self.source.columns.items() if ours not in self.headers}

    def place(self, column: str) -> parse.Place:
        """Where one of our columns stands, for messages."""
        names = commas(f for f, _, _ in self.files)
        return parse.Place(names, self.name, column, self.headers.get(column, column))


def read_file(name: str, source: TableSource, path: Place, promised: bool) -> RawTable:
    """One file of a table, as text. Raises ColumnError where a mandatory or promised column is missing."""
    written = source.format
    raw = read_raw(path, name, written.skip, written.skip_footer, written.sheet, written.delimiter, written.encoding)
    return check_columns(name, source, raw, promised)


def check_columns(name: str, source: TableSource, raw: RawTable, promised: bool) -> RawTable:
    """Raises ColumnError where a mandatory or promised column is missing.

    A column named by one header is `promised` in a source file of one's own; of a list of headers none need be there.
    """
    headers = match_columns(source, raw.columns)
    for ours in TABLES[name].mandatory:
        if ours not in headers and ours in source.columns:
            theirs = source.columns.get(ours, (ours,))
            raise ColumnError(_header_moved(name, ours, theirs, raw) or _no_column(name, ours, theirs, raw))
    for ours, theirs in source.columns.items():
        if promised and len(theirs) == 1 and ours not in headers:
            raise ColumnError(_no_column(name, ours, theirs, raw))
    return raw


def _header_moved(name: str, ours: str, theirs: tuple[str, ...], raw: RawTable) -> str:
    below = _header_below(theirs, raw)
    if below:
        return Sentence(
            "{file} has no column for `{ours}` in its first line; the header seems to stand in line {below}. Add "
            "`skip = {skip}` under [{name}.format] in your source file.",
            file=raw.file,
            ours=ours,
            below=below,
            skip=below - 1,
            name=name,
        )
    return ""


def _no_column(name: str, ours: str, theirs: tuple[str, ...], raw: RawTable) -> str:
    """The message for a header that is not in the file, with the nearest one that is."""
    wanted = either(theirs)
    near = next((n for n in (nearest_header(t, raw.columns) for t in (*theirs, ours)) if n), None)
    needed = ours in TABLES[name].mandatory
    effect = Sentence("; without it {name} cannot be used", name=name) if needed else ""
    step = (
        Sentence('Nearest: {near!r}. Write `{ours} = "{near}"`', near=near, ours=ours)
        if near
        else Sentence("Its columns: {columns}. Name one", columns=commas(raw.columns))
    )
    instead = "" if needed else Sentence(", or delete the line")
    return Sentence(
        "{file} has no column for `{ours}` (looked for {wanted}){effect}. {step} under [{name}.columns] in your "
        "source file{instead}.",
        file=raw.file,
        ours=ours,
        wanted=wanted,
        effect=effect,
        step=step,
        name=name,
        instead=instead,
    )


def _header_below(theirs: Sequence[str], raw: RawTable) -> int | None:
    """The line in which one of the headers looked for stands, where lines precede the header."""
    wanted = {fold_header(t) for t in theirs}
    head = raw.frame.head(HEADER_SEARCHED)
    rows = [(int(n), list(r)) for n, r in zip(raw.lines, head.itertuples(index=False, name=None), strict=False)]
    rows += [(n, _flat(json.loads(raw_text))) for n, raw_text in raw.rejects.records[:HEADER_SEARCHED]]
    return next((n for n, values in sorted(rows) if wanted & {fold_header(v) for v in values}), None)


def _flat(record: dict[str, Any]) -> list[str]:
    """The fields of a rejected record, as kept in quarantine."""
    further = record.pop("(further fields)", [])
    return [*record.values(), *further]


# --- structure -------------------------------------------------------------------------------------


def reject_structure(draft: Draft) -> None:
    """Repeated headers, summary rows, rows without their key, damaged cells, and exact repetitions."""
    columns = list(draft.text.columns)
    first = TABLES[draft.name].mandatory[0]
    key = draft.trimmed(draft.headers[first])
    repeated = key == draft.headers[first]
    for column in columns if repeated.any() else ():
        repeated &= draft.trimmed(column) == column
    draft.reject(repeated, first, "repeated-header", "the header row stands among the data: remove it")
    total = (key == "") | _is_summary(key)
    if total.any():
        total &= pd.concat([_is_summary(draft.trimmed(c)) for c in columns[:3]], axis=1).any(axis=1)
    draft.reject(total, first, "summary-row", "a total is no record: export without totals")
    _reject_incomplete(draft)
    _reject_damaged(draft)
    if draft.name != "activities" or "activity_id" in draft.headers:  # two equal calls may be two calls
        draft.reject(_repetitions(draft), first, "duplicate", "the same row stands earlier: remove it")


def _is_summary(values: pd.Series) -> pd.Series:
    """Total, 合计: and Grand total (5 records)."""
    if not may_begin_with(values, SUMMARY_WORDS):
        return pd.Series(False, values.index)
    return parse.fits(values.str.lower(), rf"^({'|'.join(SUMMARY_WORDS)})( ?[(（][^()（）]*[)）])?[:：]?$")


def _repetitions(draft: Draft) -> pd.Series:
    """Rows still in that stand earlier, in every field: looked for column by column, among rows alike so far."""
    here = np.flatnonzero(draft.alive.to_numpy())
    whole = len(here) == len(draft.alive)
    alike = np.zeros(len(here), dtype=np.int64)
    for theirs in draft.text.columns:
        codes = draft.telling(theirs)
        alike = _together(alike, codes if whole else codes[here])
        del codes
        ordered = np.sort(alike)
        if not (ordered[1:] == ordered[:-1]).any():
            return pd.Series(False, draft.alive.index)
    several = np.isin(alike, ordered[1:][ordered[1:] == ordered[:-1]])
    again = draft.text.iloc[here[several]].duplicated()
    return again.reindex(draft.alive.index, fill_value=False)


def _together(one: Codes, other: Codes) -> Codes:
    """One code for two: equal where both are."""
    if int(one.max(initial=0) + 1) * int(other.max(initial=0) + 1) >= LARGEST:
        _, one = np.unique(one, return_inverse=True)
    if int(one.max(initial=0) + 1) * int(other.max(initial=0) + 1) >= LARGEST:
        _, other = np.unique(other, return_inverse=True)
    both: Codes = one * (other.max(initial=0) + 1)
    both += other
    return both


def _reject_incomplete(draft: Draft) -> None:
    table = TABLES[draft.name]
    for ours in table.mandatory:
        blank = draft.trimmed(draft.headers[ours]) == ""
        reason = (
            "missing-id" if table.columns[ours] == "id" else f"missing-{ours.removesuffix('_at').removesuffix('_on')}"
        )
        draft.reject(blank, ours, reason, f"every row of {draft.name} needs `{ours}`: fill it in")


def _reject_damaged(draft: Draft) -> None:
    """Cells that Excel could not compute, ids that it rounded, and characters nobody sees in a name."""
    hint = "Excel could not compute this cell: repair it in the workbook"
    for ours, theirs in draft.headers.items():
        values = draft.trimmed(theirs)
        if holds_byte(values, "#"):
            draft.reject(parse.fits(values, EXCEL_ERRORS), ours, "excel-error", hint)
        if TABLES[draft.name].columns.get(ours) in ("id", "stage"):
            damaged = "Excel rounded this id: export it as text"
            if holds_byte(values, "+"):
                draft.reject(parse.fits(values, EXCEL_DAMAGED), ours, "excel-damaged-id", damaged)
            unseen = "an invisible character stands inside the name: remove it"
            if may_hold_unprintable(values) and parse.any_unprintable(values):
                key = ours in TABLES[draft.name].key
                draft.reject(parse.fits(values, INVISIBLE_IN_KEY if key else INVISIBLE), ours, "control-char", unseen)


def reject_conflicts(draft: Draft) -> None:
    """One id with different contents: the latest by `updated_at` stays; where nothing decides, none does."""
    keys = [k for k in TABLES[draft.name].key if k in draft.table]
    if "snapshot_at" in draft.table:  # of several stages on one day, the order of the process tells the last
        keys += ["snapshot_at", "stage"]
    if draft.name not in UNIQUE or not keys:
        return
    if _all_differ(draft, keys):
        return
    again = draft.table[draft.alive].duplicated().reindex(draft.table.index, fill_value=False)
    draft.reject(again, keys[0], "duplicate", "the same record stands earlier: remove it")
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
    draft.reject(
        conflict,
        keys[0],
        "conflicting-id",
        "several rows have this id and differ: keep the right one, or export a last-modified column",
    )


def _all_differ(draft: Draft, keys: Sequence[str]) -> bool:
    """Whether no two rows that are still in have the same key."""
    counted = numbered(draft.table[keys[0]]) if len(keys) == 1 and draft.table[keys[0]].dtype == "str" else None
    if counted is not None:
        ordered = np.sort(counted[0][0])
        if not (ordered[1:] == ordered[:-1]).any():
            return True
    return not draft.table.loc[draft.alive, list(keys)].duplicated().any()


# --- values ----------------------------------------------------------------------------------------


def parse_table(draft: Draft, timezone: str, currency: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Fill `draft.table` with typed columns. Returns precision by column, and notes."""
    roles = TABLES[draft.name].readable
    texts = {ours: _text_of(draft, ours, theirs) for ours, theirs in draft.headers.items()}
    columns: dict[str, pd.Series] = {}
    precision: dict[str, str] = {}
    notes: list[dict[str, Any]] = []
    paid = any(roles.get(ours) == "money" for ours in texts)
    money = repeated(currency, draft.text.index) if paid else pd.Series(dtype="str")
    if "currency" in texts:
        read = parse.parse_currencies(texts.pop("currency").astype("str"), draft.place("currency"))
        draft.reject(read.bad, "currency", read.reason, read.hint)
        columns["currency"] = read.values
        money = read.values.fillna(currency)
    for ours, text in texts.items():
        role = roles.get(ours, "extra")
        result = _parse_column(text, role, draft, ours, timezone, money)
        draft.reject(result.bad, ours, result.reason, result.hint)
        if role == "money":
            columns[f"{ours}_minor"] = result.values
            scale = 10.0 ** parse.minor_digits(money)
            columns[ours] = result.values.astype("Float64").to_numpy("float64", na_value=np.nan) / scale
        else:
            columns[ours] = result.values
        if role == "extra":
            draft.extras.append(ours)
        if result.day_only:
            precision[f"{draft.name}.{ours}"] = "day"
        notes += [
            {"check": f"amount-{what}", "table": draft.name, "column": ours, "count": n}
            for what, n in result.notes.items()
        ]
    for theirs in draft.entered:
        text = parse.blank_to_null(draft.text[theirs].where(draft.alive, ""), draft.source.format.null)
        written = draft.source.format.for_column("entered_at")
        result = parse.parse_instants(text, draft.place(theirs), written, timezone)
        draft.reject(result.bad, theirs, result.reason, result.hint)
        draft.entered_at[theirs] = result.values
        if result.day_only:
            precision["stage_history.entered_at"] = "day"
    for theirs in draft.text.columns:
        if theirs not in draft.headers.values() and theirs not in draft.entered:
            name = f"{theirs} (source)" if theirs in columns or theirs in _reserved(draft.name) else theirs
            columns[name] = without_blanks(draft.trimmed(theirs).where(draft.alive))
            draft.extras.append(name)
    draft.table = pd.DataFrame(columns)
    draft.forget()
    return precision, notes


def _text_of(draft: Draft, ours: str, theirs: str) -> pd.Series:
    """One column as text: blanks and declared null words are null, and the source's words become ours."""
    written = draft.source.format.for_column(ours)
    text = draft.trimmed(theirs)
    text = without_blanks(text if draft.alive.all() else text.where(draft.alive))
    if written.null:
        text = text.mask(parse.is_one_of(text, written.null, fold=False))
    if written.array:
        text = parse.only_element(text.astype("str"))
    words = {fold_name(k): v for k, v in draft.source.values.get(ours, {}).items()}
    if not words:
        return text
    text = text.astype("str")
    meant = text.dropna().drop_duplicates().map(lambda v: (v, words.get(fold_name(v), v)))
    return parse.blank_to_null(text.map(dict(meant.tolist())))


def _reserved(table: str) -> set[str]:
    """Names that mean something to us: an unmapped column of the source's own may not pass for one of them."""
    columns = TABLES[table].readable
    minor = {f"{c}_minor" for c, role in columns.items() if role == "money"}
    return {
        *columns,
        *minor,
        "stage_raw",
        "evidence",
        "amount_loaded_minor",
        "closed_by_status",
        "_owner",
        "_row",
        "_deal",
    }


def _parse_column(
    text: pd.Series, role: str, draft: Draft, ours: str, timezone: str, currency: pd.Series
) -> parse.Parsed:
    written = draft.source.format.for_column(ours)
    place = draft.place(ours)
    if role not in AS_WRITTEN:
        text = text.astype("str")
    match role:
        case "instant":
            plain = draft.stamps(draft.headers[ours]) if text is draft.trimmed(draft.headers[ours]) else None
            return parse.parse_instants(text, place, written, timezone, plain)
        case "date":
            return parse.parse_dates(text, place, written, timezone)
        case "money":
            return parse.parse_money(text, place, written, currency)
        case "number":
            return parse.parse_numbers(text, place, written)
        case "share":
            return parse.parse_shares(text, place, written)
        case "flag":
            return parse.parse_flags(text)
        case "outcome":
            return parse.parse_outcomes(text)
        case "id" if written.array:
            return parse.Parsed(text, parse.fits(text, r"^\["), "several-values", "name one: a record has one of these")
        case _:
            return parse.Parsed(text, pd.Series(False, text.index))


def _extra(text: pd.Series) -> pd.Series:
    """A column of the source's own: numbers where every value is a plain number without a leading zero, else text."""
    filled = text.drop_duplicates().dropna().astype("str")
    plain = bool(len(filled)) and bool(filled.str.fullmatch(r"-?(0|[1-9]\d{0,14})(\.\d+)?").all())
    return text.astype("str").astype("float64") if plain else text
