"""Every preset: found by its headers alone, read back without loss, and honest about what its layout cannot tell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.errors import InputError
from salescoach.kit import kit_path
from salescoach.metrics import METRICS, measure
from salescoach.process import read_process
from salescoach.sample import simulate
from salescoach.sample.layouts import without_voids, write_in_layout
from salescoach.sources import load_book
from salescoach.sources.detect import detect
from salescoach.sources.layout import presets

AS_OF = "2026-09-30"
ZONE = "Asia/Shanghai"
PRESETS = presets()
PROCESS = read_process(kit_path("templates/process") / "standard.toml")

# --- found by their headers ------------------------------------------------------------------------

# headers/<preset>.txt: "table: header row", typed from the layouts in SOURCES.md and not from the presets
HEADERS = [
    (file.stem, *line.split(": ", 1))
    for file in sorted((Path(__file__).parent / "headers").glob("*.txt"))
    for line in file.read_text(encoding="utf-8").splitlines()
]
FLOW = {"stage_history", "changes"}
SHARED = {("pipedrive_api", "stage_history"): FLOW, ("pipedrive_api", "changes"): FLOW}  # one flow holds both
VERSIONS = "_fivetran_start"  # a table in history mode holds the deals and the stages they went through


@pytest.mark.parametrize(("preset", "table", "header"), HEADERS, ids=lambda v: v[:40])
def test_a_header_row_is_known_as_that_preset_and_table(tmp_path: Path, preset: str, table: str, header: str) -> None:
    file = tmp_path / "export.csv"
    file.write_text(header + "\n", encoding="utf-8")
    if table != "deals":
        deals = next(h for p, t, h in HEADERS if (p, t) == (preset, "deals"))
        (tmp_path / "deals.csv").write_text(deals + "\n", encoding="utf-8")
    found = detect([tmp_path])
    assert found.source.preset is not None
    holds = {t for t, files in found.files.items() if file in files}
    versions = {"stage_history"} if preset == "salesforce_fivetran" and VERSIONS in header else set()
    expected = SHARED.get((preset, table), {table} | versions)
    assert (found.source.preset.name, holds) == (preset, expected)


def test_every_preset_has_a_header_row_here() -> None:
    assert {preset for preset, table, _ in HEADERS if table == "deals"} == set(PRESETS) == set(LAYOUTS)


# --- written and read back -------------------------------------------------------------------------

ALL_TABLES = ("deals", "stage_history", "changes", "leads", "activities", "reps", "targets", "accounts", "products")
CORE = {  # the metrics compared: every other one is made of the same rows
    "win_rate",
    "sales_cycle",
    "new_customers",
    "lead_conversion",
    "response_time",
    "stage_flow",
    "funnel",
    "pipeline",
    "quota_attainment",
}
LEADS = {"lead_conversion", "response_time"}
STAGES = {"stage_flow", "funnel"}
CLOSES = {"sales_cycle", "new_customers"}
QUOTA = {"quota_attainment"}
TIMES = ["median_days", "median_low", "median_high", "p75_days", "mean_days_advanced", "n_timed"]
AGES = ["median_age_days", "typical_days", "older_than_typical"]
WHY_LOST = ["lost_to_competitor", "lost_no_decision", "lost_other"]  # few layouts name the competitor
FIRST = "prospect"


@dataclass(frozen=True)
class Layout:
    """What a layout carries, said by hand.

    unavailable  metrics that say why they cannot be told
    tables       of ours that the layout (or a file of it) holds, beside deals
    without      columns of the deals that it does not hold
    days         columns of instants of which it holds only the day
    history      what it tells of the stages: "all"; "moves": nothing of the time in the first one; "nights": as moves,
                 to the day, and not what came and went within one; "dates": no times and no moves back; "ends": where
                 a deal ended, so the conversion nearly
    voids        whether it has a word for a deal that never was one
    names        whether owners stand there by name
    """

    unavailable: set[str]
    tables: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    history: str = "all"
    voids: bool = True
    names: bool = True


CREATED, CLOSED, ENTERED = "created_at", "closed_at", "entered_at"
NO_LEADS, DEALS_ONLY = LEADS | QUOTA, LEADS | QUOTA | STAGES
LOG, SOURCE = ("stage_history",), ("lead_source",)
LAYOUTS = {
    "generic": Layout(set(), ALL_TABLES[1:], names=False),
    "snapshots": Layout(set(), ALL_TABLES[1:], history="nights", names=False),
    "maven": Layout(DEALS_ONLY, ("reps", "accounts", "products"), SOURCE, (CREATED, CLOSED)),
    "salesforce_report": Layout(NO_LEADS, LOG, (), (CREATED, CLOSED, ENTERED), "moves"),
    "salesforce_history": Layout(
        NO_LEADS | {"new_customers"}, LOG, ("account_id",), (CREATED, CLOSED, ENTERED), "moves"
    ),
    "salesforce_api": Layout(
        QUOTA | {"response_time"},
        ("stage_history", "leads", "reps", "accounts", "activities"),
        days=("converted_at",),
        names=False,
    ),
    "salesforce_fivetran": Layout(
        QUOTA | {"response_time"},
        ("stage_history", "leads", "reps", "accounts"),
        days=("converted_at",),
        names=False,
    ),
    "hubspot": Layout(NO_LEADS, LOG, history="dates"),
    "hubspot_api": Layout(NO_LEADS, LOG, history="dates"),
    "hubspot_fivetran": Layout(NO_LEADS, ("stage_history", "reps"), names=False),
    "pipedrive": Layout(NO_LEADS, ("stage_history", "activities"), SOURCE, history="moves"),
    "pipedrive_api": Layout(NO_LEADS, ("stage_history", "changes"), history="moves"),
    "zoho": Layout(DEALS_ONLY, days=(CLOSED,)),
    "zoho_old": Layout(STAGES | QUOTA | {"response_time"}, ("leads", "calls"), days=(CLOSED,)),
    "dynamics": Layout(NO_LEADS, LOG, SOURCE, history="ends", voids=False),
    "odoo": Layout(NO_LEADS, LOG, history="moves", voids=False),
    "erpnext": Layout(NO_LEADS | CLOSES, LOG, (CLOSED,), (CREATED,), "ends", voids=False),
    "frappe_crm": Layout(NO_LEADS, LOG),
    "espocrm": Layout(NO_LEADS, LOG, days=(CLOSED,), history="ends"),
    "bitrix24": Layout(NO_LEADS, ("stage_history", "reps"), names=False),
    "wukong": Layout(DEALS_ONLY | CLOSES, without=(CLOSED,)),
    "wukong_db": Layout(LEADS, ("stage_history", "reps", "targets"), SOURCE, history="moves", names=False),
    "fxiaoke": Layout(NO_LEADS | CLOSES, LOG, (CLOSED,), history="ends"),
    "neocrm": Layout(NO_LEADS, LOG, history="ends"),
    "monday": Layout(DEALS_ONLY | {"new_customers"}, (), ("account_id",), (CREATED, CLOSED), voids=False),
    "generic_en": Layout(NO_LEADS, ("stage_history", "reps"), days=(CREATED, CLOSED, ENTERED)),
    "generic_zh": Layout(NO_LEADS, LOG, days=(CREATED, CLOSED, ENTERED)),
    "generic_zh_wan": Layout(NO_LEADS, LOG, days=(CREATED, CLOSED, ENTERED)),
}


@cache
def sample_tables(voids: bool = True) -> dict[str, pd.DataFrame]:
    tables = simulate(n_deals=400, n_reps=8, n_teams=2, months=12).tables
    calls = tables["activities"][tables["activities"]["activity_type"] == "call"]
    return {**tables, "calls": calls} if voids else without_voids(tables, PROCESS)


def own_layout(folder: Path, layout: Layout) -> Book:
    """The sample in our own column names, with no more in it than the layout carries."""
    for name, table in sample_tables(layout.voids).items():
        if name != "deals" and name not in layout.tables:
            continue
        for column in set(layout.days) & set(table):
            table = table.assign(**{column: table[column].dt.tz_convert(ZONE).dt.strftime("%Y-%m-%d")})
        if layout.names:
            table = owners_by_name(table)
        table = table.drop(columns=[c for c in layout.without if name == "deals"])
        table.to_csv(folder / f"{name}.csv", index=False)
    return load_book(folder, source="generic", as_of=AS_OF)


def owners_by_name(table: pd.DataFrame) -> pd.DataFrame:
    names = sample_tables()["reps"].set_index("rep_id")["name"]
    if "rep_id" in table:
        table = table.assign(rep_id=table["rep_id"].map(names))
    if "field" in table:
        owner = table["field"] == "rep_id"
        table = table.assign(**{c: table[c].mask(owner, table[c].map(names)) for c in ("old", "new")})
    return table


@pytest.mark.parametrize("preset", LAYOUTS)
def test_the_sample_comes_back_as_far_as_the_layout_carries_it(tmp_path: Path, preset: str) -> None:
    layout = LAYOUTS[preset]
    write_in_layout(sample_tables(), PRESETS[preset], PROCESS, tmp_path / "theirs")
    book = load_book(tmp_path / "theirs", as_of=AS_OF)
    (tmp_path / "ours").mkdir()
    faults = wrong_rows(book, preset, sample_tables(layout.voids)["deals"])
    assert faults + wrong_metrics(book, own_layout(tmp_path / "ours", layout), layout) == []


def wrong_rows(book: Book, preset: str, deals: pd.DataFrame) -> list[str]:
    """Deals, money and stages that are not those of the sample, and rows lost on the way."""
    told = {
        "preset": (book.origin["source"], preset),
        "deals": (len(book.deals), len(deals)),
        "money": (book.deals["amount_minor"].sum(), deals["amount"].sum() * 100),
        "stages": (book.deals["stage"].value_counts().to_dict(), deals["stage"].value_counts().to_dict()),
        "quarantine": (set(book.quarantine["reason"]) - {"field-count"}, set()),  # field-count: the footer of a report
        "ignored": (book.quality.get("ignored", []), []),
    }
    return [f"{what}: {found} instead of {expected}" for what, (found, expected) in told.items() if found != expected]


def wrong_metrics(book: Book, expected: Book, layout: Layout) -> list[str]:
    """Metrics that are (un)available against the table above, give no reason, or are not those of our own layout."""
    faults = []
    for name in CORE:
        for by in (None,) if METRICS[name].by else ((), "rep"):
            found = measure(book, name, by=by)
            if found.available == (name in layout.unavailable):
                faults.append(f"{name}: {'available' if found.available else found.because}")
            elif found.table is None:
                faults += [] if found.because else [f"{name}: no reason"]
            else:
                faults += differences(found.table, measure(expected, name, by=by).table, name, layout.history)
    return faults


def differences(found: pd.DataFrame, expected: pd.DataFrame | None, metric: str, history: str) -> list[str]:
    """Columns that differ, but for those that the layout does not tell."""
    assert expected is not None
    kept = [c for c in expected if c not in WHY_LOST]
    found, expected = found[[c for c in found if c not in WHY_LOST]], expected[kept]
    if found.columns.tolist() != expected.columns.tolist() or len(found) != len(expected):
        return [f"{metric}: {len(found)} rows of {[*found]} instead of {len(expected)} of {[*expected]}"]
    faults = []
    for column in expected:
        rows, tolerance = pd.Series(True, expected.index), 1e-9
        if history in ("moves", "nights") and column in (*TIMES, *AGES, "skipped"):
            rows = expected["stage"] != FIRST
        if history == "nights" and column in (*TIMES, *AGES, "skipped", "back"):
            if "rep" in expected:
                continue
            tolerance = 1.0  # a day, or the one deal that came and went within one
        if history in ("dates", "ends") and column in (*TIMES, *AGES, "back"):
            continue
        if history == "ends" and metric == "stage_flow":
            if column == "value" and "rep" not in expected:
                tolerance = 0.02  # a deal that came back to its stage, or stands there for long
            elif column not in ("rep_id", "rep", "pipeline", "stage", "deeper", "lost", "still"):
                continue
        try:
            pd.testing.assert_series_equal(
                found[column][rows], expected[column][rows], check_dtype=False, rtol=tolerance, atol=tolerance
            )
        except AssertionError:
            faults.append(f"{metric}.{column}: {found[column].tolist()} instead of {expected[column].tolist()}")
    return faults


@pytest.mark.parametrize(
    "preset", [p for p, layout in LAYOUTS.items() if layout.unavailable or layout.history != "all"]
)
def test_a_preset_says_what_it_does_not_carry(preset: str) -> None:
    source = PRESETS[preset]
    assert source.preset is not None
    assert source.preset.carries.endswith(".")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_bears_the_name_of_its_file_and_a_label_in_both_languages(preset: str) -> None:
    source = PRESETS[preset]
    assert source.preset is not None
    assert (source.origin, set(source.preset.label)) == (f"{preset}.toml", {"en", "zh"})


# --- with less, and with more, beside the deals ----------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "unavailable"),
    [
        ("salesforce_report", NO_LEADS | STAGES),  # a lost deal stands in Closed Lost: where it came from is not said
        ("bitrix24", NO_LEADS | STAGES),
        ("pipedrive", NO_LEADS),  # a lost deal keeps its stage
        ("odoo", NO_LEADS),
    ],
)
def test_without_its_history_a_layout_tells_where_deals_ended_or_nothing(
    tmp_path: Path, preset: str, unavailable: set[str]
) -> None:
    files = write_in_layout(sample_tables(), PRESETS[preset], PROCESS, tmp_path)
    book = load_book(files["deals"], as_of=AS_OF)
    asked = {name: measure(book, name).available for name in CORE}
    assert {name for name, available in asked.items() if not available} == unavailable


def test_people_and_targets_of_our_own_go_beside_any_export(tmp_path: Path) -> None:
    write_in_layout(sample_tables(), PRESETS["hubspot"], PROCESS, tmp_path)
    for name in ("reps", "targets"):
        sample_tables()[name].to_csv(tmp_path / f"{name}.csv", index=False)
    book = load_book(tmp_path, as_of=AS_OF)
    assert (book.origin["source"], book.teams) == ("hubspot", sorted(sample_tables()["reps"]["team"].unique()))
    assert set(book.deals["rep_id"]) == set(sample_tables()["deals"]["rep_id"])  # names in the export, ids in reps.csv
    assert measure(book, "quota_attainment").available


# --- every version of a record, and the record as it is now -----------------------------------------


def in_a_warehouse(folder: Path) -> None:
    """Salesforce by Fivetran: tables as they are now, and the deals and accounts in history mode beside them."""
    tables = {
        "opportunity": "id,stage_name,close_date,owner_id,created_date,is_deleted\n"
        "D1,Closed Won,2026-02-01,U1,2026-01-01,false\nD2,Prospecting,2026-05-01,U1,2026-01-02,false\n",
        "opportunity_history": "id,stage_name,close_date,owner_id,created_date,_fivetran_start,_fivetran_end,"
        "_fivetran_active\n"
        "D1,Prospecting,2026-02-01,U1,2026-01-01,2026-01-01 08:00:00,2026-01-20 08:00:00,false\n"
        "D1,Closed Won,2026-02-01,U1,2026-01-01,2026-01-20 08:00:00,9999-12-31 23:59:59,true\n"
        "D2,Prospecting,2026-05-01,U1,2026-01-02,2026-01-02 08:00:00,9999-12-31 23:59:59,true\n",
        "account": "id,name,industry,number_of_employees,parent_id\nA1,Northwind,Trade,20,\n",
        "account_history": "id,name,industry,number_of_employees,parent_id,_fivetran_start,_fivetran_end,"
        "_fivetran_active\n"
        "A1,North Wind,Trade,10,,2026-01-01 08:00:00,2026-01-20 08:00:00,false\n"
        "A1,Northwind,Trade,20,,2026-01-20 08:00:00,9999-12-31 23:59:59,true\n",
    }
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")


def test_of_a_table_there_twice_that_of_now_is_read_and_the_other_named(tmp_path: Path) -> None:
    in_a_warehouse(tmp_path)
    book = load_book(tmp_path)
    left_out = [n for n in book.quality["notes"] if n["check"] == "versions-left-out"]
    assert [(n["table"], n["examples"]) for n in left_out] == [("accounts", ["account_history.csv"])]
    assert book.table("accounts")["name"].tolist() == ["Northwind"]
    # the history of the deals is not lost: it tells the stages they went through
    assert book.quality["rows"]["deals"]["read"] == 2
    assert len(book.table("stage_history")) == 3
    assert book.quality["files_ignored"] == []


def test_versions_alone_give_the_last_of_each_record(tmp_path: Path) -> None:
    in_a_warehouse(tmp_path)
    for name in ("opportunity", "account"):
        (tmp_path / f"{name}.csv").unlink()
    book = load_book(tmp_path)
    assert dict(zip(book.deals["deal_id"], book.deals["outcome"], strict=True)) == {"D1": "won", "D2": "open"}
    assert book.table("accounts")["name"].tolist() == ["Northwind"]


def test_an_export_of_deleted_deals_alone_says_so(tmp_path: Path) -> None:
    in_a_warehouse(tmp_path)
    file = tmp_path / "opportunity.csv"
    file.write_text(file.read_text(encoding="utf-8").replace("false", "true"), encoding="utf-8")
    with pytest.raises(InputError, match=r"opportunity.csv: none of the 2 rows is a deal in use") as error:
        load_book(tmp_path)
    assert "takes rows only where is_deleted = 'false' | '', " in str(error.value)


# --- words of a CRM --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "row", "expected"),
    [
        ("pipedrive", {"Deal - Stage": "Proposal Made", "Deal - Status": "Lost"}, ("lost", "lost", "quote")),
        ("pipedrive", {"Deal - Stage": "Qualified", "Deal - Status": "open"}, ("qualified", "open", None)),
        ("dynamics", {"Pipeline Phase": "3-Propose", "Status": "Lost"}, ("lost", "lost", "quote")),
        ("dynamics", {"Pipeline Phase": "Develop", "Status": "Open"}, ("qualified", "open", None)),
        ("odoo", {"stage_id": "Proposition", "active": "f"}, ("lost", "lost", "quote")),
        ("odoo", {"stage_id": "Won", "active": "t"}, ("won", "won", None)),
        ("erpnext", {"sales_stage": "Needs Analysis", "status": "Converted"}, ("won", "won", None)),
        ("wukong_db", {"status_id": "方案/报价", "is_end": "3"}, ("void", "void", None)),
        ("wukong_db", {"status_id": "需求分析", "is_end": "0"}, ("qualified", "open", None)),
        ("fxiaoke", {"sales_stage": "谈判审核", "sales_status": "进行中"}, ("contract", "open", None)),
        ("bitrix24", {"stage_id": "APOLOGY"}, ("lost", "lost", None)),
        ("hubspot_api", {"dealstage": "decisionmakerboughtin"}, ("quote", "open", None)),
        ("espocrm", {"stage": "Closed Lost", "lastStage": "Negotiation"}, ("lost", "lost", "contract")),
        ("monday", {"Deal Stage": "Discovery", "Deal Status": "Dead"}, ("lost", "lost", "qualified")),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_the_words_of_a_crm_are_understood(
    tmp_path: Path, preset: str, row: dict[str, str], expected: tuple[str, str, str | None]
) -> None:
    header = next(h for p, t, h in HEADERS if (p, t) == (preset, "deals")).split(",")
    header += [h for h in row if h not in header]
    deals = PRESETS[preset].tables["deals"].columns
    values = dict.fromkeys(header, "") | {"type": "", "is_deleted": ""} | row
    for ours, value in (("deal_id", "D1"), ("created_at", "1735693200000" if preset == "fxiaoke" else "2025-01-01")):
        values[next(h for h in deals[ours] if h in header)] = value
    pd.DataFrame([values])[header].to_csv(tmp_path / "export.csv", index=False)
    deal = load_book(tmp_path / "export.csv", source=preset, as_of="2025-06-30").deals.iloc[0]
    lost_stage = deal.get("lost_stage")
    assert (deal["stage"], deal["outcome"], None if pd.isna(lost_stage) else lost_stage) == expected
