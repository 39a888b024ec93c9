"""Writes clean tables as the export of a CRM would hold them: a source file, read backwards."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pandas as pd

from salescoach.book import TABLES
from salescoach.process import Process
from salescoach.sample import layout_history as told
from salescoach.sources.layout import Source, TableSource

ZONE = "Asia/Shanghai"
FOOTER = ("Confidential Information - Do Not Distribute", "Copyright © 2000-2026 salesforce.com, inc.")
OTHER_ROWS = 5


@dataclass(frozen=True)
class Quirks:
    """What a layout does beside naming its columns.

    suffix       of the files
    stamps       how instants are written; %z writes them in UTC
    days         columns of instants that hold days only
    keeps_stage  outcomes that a status tells while the deal stays in the stage it was decided in
    voids        whether it has a word for a deal that never was one
    edits        the stage log repeats a row at each edit of the amount
    versions     one table holds every version of a deal, the present one marked as active
    first_pair   the log of old and new stages has a row for the first stage, without an old one
    only_pushes  the stage log has no row for the first stage
    id_prefix    stands before each deal id
    required     marks the first header, as import templates do
    footer       lines below the data
    """

    suffix: str = ".csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    quote_all: bool = False
    stamps: str = "%Y-%m-%d %H:%M:%S"
    days: tuple[str, ...] = ()
    keeps_stage: tuple[str, ...] = ()
    voids: bool = True
    edits: bool = False
    versions: bool = False
    first_pair: bool = False
    only_pushes: bool = False
    id_prefix: str = ""
    required: str = ""
    footer: tuple[str, ...] = ()


DECIDED = ("won", "lost", "void")
DAYS = ("created_at", "closed_at", "entered_at", "stage_changed_at", "snapshot_at", "updated_at")
QUIRKS: dict[str, Quirks] = {
    "salesforce_report": Quirks(stamps="%m/%d/%Y", days=DAYS, footer=FOOTER),
    "salesforce_history": Quirks(stamps="%m/%d/%Y", days=DAYS, footer=FOOTER),
    "salesforce_api": Quirks(stamps="%Y-%m-%dT%H:%M:%S.000%z", days=("closed_at", "converted_at"), edits=True),
    "salesforce_fivetran": Quirks(days=("closed_at", "converted_at"), versions=True),
    "hubspot": Quirks(stamps="%Y-%m-%d %H:%M", quote_all=True),
    "hubspot_api": Quirks(stamps="%Y-%m-%dT%H:%M:%S%z"),
    "pipedrive": Quirks(keeps_stage=DECIDED),
    "pipedrive_api": Quirks(keeps_stage=DECIDED),
    "zoho": Quirks(days=("closed_at",), id_prefix="zcrm_"),
    "zoho_old": Quirks(days=("closed_at",), id_prefix="zcrm_"),
    "dynamics": Quirks(suffix=".xlsx", keeps_stage=DECIDED, voids=False),
    "odoo": Quirks(keeps_stage=("lost",), voids=False),
    "erpnext": Quirks(days=("created_at",), keeps_stage=DECIDED, voids=False),
    "espocrm": Quirks(days=("closed_at",)),
    "bitrix24": Quirks(stamps="%Y-%m-%dT%H:%M:%S%z", first_pair=True),
    "wukong": Quirks(suffix=".xlsx", required="*"),
    "wukong_db": Quirks(keeps_stage=DECIDED, only_pushes=True),
    "fxiaoke": Quirks(keeps_stage=DECIDED),
    "monday": Quirks(suffix=".xlsx", days=DAYS, voids=False),
    "maven": Quirks(days=DAYS),
    "generic_en": Quirks(stamps="%d/%m/%Y", days=DAYS, delimiter=";"),
    "generic_zh": Quirks(stamps="%Y年%m月%d日", days=DAYS, encoding="utf-8-sig"),
    "generic_zh_wan": Quirks(suffix=".txt", stamps="%Y/%m/%d", days=DAYS, encoding="utf-16", delimiter="\t"),
    "snapshots": Quirks(suffix=".parquet"),
}


def write_in_layout(
    tables: Mapping[str, pd.DataFrame], source: Source, process: Process, folder: Path
) -> dict[str, Path]:
    """Write what the layout of a source can hold of clean tables. Returns table -> file; some share one.

    Each of our columns goes under the first of its headers, stages under the CRM's names, and the stage history in
    the form that the source tells it in. Where the source filters rows, some that must be left out are added.
    """
    quirks = QUIRKS.get(source.preset.name if source.preset else "", Quirks())
    shaped = _shape(dict(tables), source, quirks, process)
    stages = _stage_names(source, process)
    texts = {n: _as_text(shaped[n], n, t, quirks, stages) for n, t in source.tables.items() if n in shaped}
    if quirks.versions:
        texts["deals"] = _versions(shaped, source, quirks, stages)
        del texts["stage_history"]
    if source.history == "wide":
        texts["deals"] = texts["deals"].join(_stage_dates(shaped, source, quirks, stages))
    folder.mkdir(parents=True, exist_ok=True)
    shared: dict[object, list[str]] = {}
    for name in texts:
        shared.setdefault(source.tables[name].signature, []).append(name)
    written: dict[str, Path] = {}
    for names in shared.values():
        rows = pd.concat([texts[n] for n in names], ignore_index=True)
        path = folder / f"{names[0]}{quirks.suffix}"
        _write(rows, path, quirks)
        written |= dict.fromkeys(names, path)
    return written


# --- what the layout tells -------------------------------------------------------------------------


def _shape(
    tables: dict[str, pd.DataFrame], source: Source, quirks: Quirks, process: Process
) -> dict[str, pd.DataFrame]:
    """Our tables with what the layout tells in another way: stages kept at the close, owners by name, the history."""
    outcomes = {s.key: s.outcome or "open" for p in process.pipelines.values() for s in p.stages}
    if not quirks.voids:
        tables = without_voids(tables, process)
    history = tables["stage_history"]
    deals = tables["deals"].assign(outcome=tables["deals"]["stage"].map(outcomes))
    last = history[history["stage"].map(outcomes) == "open"].drop_duplicates("deal_id", keep="last")
    last = last.set_index("deal_id").reindex(deals["deal_id"]).set_axis(deals.index)
    deals["lost_stage"] = last["stage"].where(deals["outcome"] == "lost")
    deals["stage_changed_at"] = last["entered_at"]
    deals["stage"] = deals["stage"].mask(deals["outcome"].isin(quirks.keeps_stage), last["stage"])
    if "expected_close_on" not in source.tables["deals"].columns:
        planned = deals["expected_close_on"].dt.tz_localize(process.calendar.timezone).dt.tz_convert("UTC")
        deals["closed_at"] = deals["closed_at"].where(deals["outcome"] != "open", planned)
    history = history[~history["stage"].map(outcomes).isin(quirks.keeps_stage)]
    if source.history == "pairs":
        history = told.as_pairs(history, quirks.first_pair)
    elif quirks.only_pushes:
        history = history[history["deal_id"].duplicated()].reset_index(drop=True)
    elif quirks.edits:
        history = told.with_edits(history)
    if source.history == "snapshots":
        days = "snapshot_at" in quirks.days
        deals = told.as_changes(deals, history) if days else told.as_snapshots(deals, history, tables["changes"])
    shaped = tables | {"deals": deals, "stage_history": history}
    if "targets" in source.tables and "team" not in source.tables["targets"].columns:
        shaped["targets"] = tables["targets"][tables["targets"]["rep_id"].notna()].reset_index(drop=True)
    if not _has_owner_ids(source):
        names = tables["reps"].drop_duplicates("rep_id").set_index("rep_id")["name"]
        shaped = {n: _by_name(t, names) for n, t in shaped.items()}
    return shaped


def _has_owner_ids(source: Source) -> bool:
    """Whether the layout has a table of people with an id beside the name."""
    people = source.tables.get("reps")
    return people is not None and people.columns["rep_id"][0] != people.columns["name"][0]


def without_voids(tables: Mapping[str, pd.DataFrame], process: Process) -> dict[str, pd.DataFrame]:
    """The tables without the deals that never were one, and without what belongs to these."""
    void = {line.void.key for line in process.pipelines.values() if line.void is not None}
    deals = tables["deals"]
    gone = deals["deal_id"][deals["stage"].isin(void)]
    return {n: t[~t["deal_id"].isin(gone)].reset_index(drop=True) if "deal_id" in t else t for n, t in tables.items()}


def _by_name(table: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """Owners by name, as a layout without a table of people shows them."""
    if "rep_id" in table:
        table = table.assign(rep_id=table["rep_id"].map(names))
    if "old" in table:
        owner = table["field"] == "rep_id"
        table = table.assign(**{c: table[c].mask(owner, table[c].map(names)) for c in ("old", "new")})
    return table


def _stage_names(source: Source, process: Process) -> dict[str, str]:
    """What the CRM calls each stage: the source's name, else the first one of the process."""
    names = {s.key: (s.names[0].name if s.names else s.key) for p in process.pipelines.values() for s in p.stages}
    return names | {key: name for name, key in reversed(source.stages.items())}


def _stage_dates(
    shaped: Mapping[str, pd.DataFrame], source: Source, quirks: Quirks, stages: Mapping[str, str]
) -> pd.DataFrame:
    """One column per stage with the last entry into it."""
    deals = source.tables["deals"]
    last = shaped["stage_history"].drop_duplicates(["deal_id", "stage"], keep="last")
    wide = last.pivot(index="deal_id", columns="stage", values="entered_at").reindex(shaped["deals"]["deal_id"])
    write = _stamps(deals, "entered_at", quirks)
    headers = {s: deals.entered[0].format(stage=stages[s], pipeline="Sales Pipeline") for s in wide.columns}
    return pd.DataFrame({headers[s]: write(wide[s].reset_index(drop=True)) for s in wide.columns})


def _versions(
    shaped: Mapping[str, pd.DataFrame], source: Source, quirks: Quirks, stages: Mapping[str, str]
) -> pd.DataFrame:
    """Every version of each deal: its stage at that time, since when, and whether it is the present one."""
    rows = told.as_changes(shaped["deals"], shaped["stage_history"])
    text = _as_text(rows, "deals", source.tables["deals"], quirks, stages).head(len(rows))
    log = rows.rename(columns={"snapshot_at": "entered_at"})
    since = _as_text(log, "stage_history", source.tables["stage_history"], quirks, stages).head(len(rows))
    text = text.join(since[[c for c in since if c not in text]])
    present = ~rows["deal_id"].duplicated(keep="last")
    return text.assign(_fivetran_active=present.map({True: "true", False: "false"}))


# --- how it is written -----------------------------------------------------------------------------


def _as_text(
    table: pd.DataFrame, name: str, source: TableSource, quirks: Quirks, stages: Mapping[str, str]
) -> pd.DataFrame:
    """The table under their headers, with the filtered column filled and some rows of another kind."""
    roles = TABLES[name].readable
    for ours, value in source.fixed.items():
        table = table[table[ours] == value].reset_index(drop=True)
    text: dict[str, pd.Series] = {}
    for ours, headers in source.columns.items():
        if ours in table and headers[0] not in text:
            text[headers[0]] = _column(table[ours], ours, roles.get(ours, "text"), source, quirks, stages)
    if source.unpivot is not None:
        text |= _months(table, source)
    for spellings in source.signature:
        if not set(spellings) & set(text):
            text[spellings[0]] = pd.Series("", table.index)
    others = {}
    for header, values in source.where.items():
        if header not in text or (text[header] == "").all():
            text[header] = pd.Series(values[0], table.index)
            others[header] = "true" if "false" in values else "other"
    rows = pd.DataFrame(text)
    if others:
        rows = pd.concat([rows, rows.head(OTHER_ROWS).assign(**others)], ignore_index=True)
    first = next(iter(source.columns.values()))[0]
    return rows.rename(columns={first: f"{first}{quirks.required}"})


def _column(
    values: pd.Series, ours: str, role: str, source: TableSource, quirks: Quirks, stages: Mapping[str, str]
) -> pd.Series:
    """One of our columns in their spelling; blank is empty."""
    written = source.format.for_column(ours)
    if role == "instant":
        return _stamps(source, ours, quirks)(values)
    if role == "date":
        return _stamps(source, ours, quirks, day=True)(values.dt.tz_localize(ZONE).dt.tz_convert("UTC"))
    words = {ours_word: theirs for theirs, ours_word in reversed(source.values.get(ours, {}).items())}
    prefix = quirks.id_prefix if ours == "deal_id" else ""

    def write(value: object) -> str:
        text = str(value)
        match role:
            case "stage":
                return stages[text]
            case "money" | "number":
                return f"{Decimal(text) / (written.unit or 1):f}"
            case "share":
                return f"{float(text) * (100 if written.percent else 1):g}"
            case "outcome":
                return words.get(text, words.get("", text))
            case _:
                return f'["{text}"]' if written.array else prefix + words.get(text, text)

    return values.map(lambda v: "" if pd.isna(v) else write(v)).astype(object)


def _stamps(source: TableSource, ours: str, quirks: Quirks, day: bool = False) -> Callable[[pd.Series], pd.Series]:
    """How the instants of a column are written: as counts, in the zone the source declares, or as local days."""
    written = source.format.for_column(ours)
    spelling = quirks.stamps
    if written.date and "unix_ms" in written.date:
        return lambda v: v.map(lambda i: "" if pd.isna(i) else str(i.value // 10**6)).astype(object)
    if day or ours in quirks.days:
        spelling = spelling.split("T")[0].split(" ")[0]
        zone = ZONE
    else:
        zone = "UTC" if "%z" in spelling else written.timezone or ZONE
    if quirks.suffix == ".xlsx":
        return lambda v: v.dt.tz_convert(zone).dt.tz_localize(None).astype(object).where(v.notna(), None)
    return lambda v: v.dt.tz_convert(zone).dt.strftime(spelling).astype(object).where(v.notna(), "")


def _months(table: pd.DataFrame, source: TableSource) -> dict[str, pd.Series]:
    """Each target in the month it starts in, in a row of its own."""
    wide = source.unpivot
    assert wide is not None
    value = table["value"].map(lambda v: f"{v:g}")
    month = table["start_on"].dt.month
    columns = {wide.year: table["start_on"].dt.year.astype(str)}
    return columns | {m: value.where(month == n, "") for n, m in enumerate(wide.months, start=1)}


def _write(rows: pd.DataFrame, path: Path, quirks: Quirks) -> None:
    if quirks.suffix == ".parquet":
        rows.fillna("").to_parquet(path, index=False)
    elif quirks.suffix == ".xlsx":
        rows.to_excel(path, index=False)
    else:
        lines = io.StringIO()
        writer = csv.writer(
            lines,
            delimiter=quirks.delimiter,
            quoting=csv.QUOTE_ALL if quirks.quote_all else csv.QUOTE_MINIMAL,
            lineterminator="\r\n",
        )
        writer.writerow(rows.columns)
        writer.writerows(rows.fillna("").to_numpy().tolist())
        text = lines.getvalue() + "".join(f'\r\n"{line}"\r\n' for line in quirks.footer)
        path.write_bytes(text.encode(quirks.encoding))
