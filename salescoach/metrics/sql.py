"""Count tables by one plain SELECT each, for tables that are larger than memory or stay in a company's warehouse.

The functions have the names of those that count a book in memory, and give the same tables to the last count. The
text is one for DuckDB and PostgreSQL; a `Warehouse` of `salescoach.sources.warehouse` answers it:

    with open_files("book", memory_limit="2GB") as warehouse:
        sql.stage_flow(warehouse, by="rep")

Groups are `rep`, `team`, `manager`, every unit of time and every text column of `deals`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from salescoach.errors import LawBroken
from salescoach.metrics.flow import MATURE_DAYS, STAGE, FlowCounts, check_rule, finished_flow, need_known_stages
from salescoach.metrics.groups import group_keys, parse_by
from salescoach.metrics.ladder import NO_AGE
from salescoach.metrics.sql_text import Query, Words, literal
from salescoach.process import Period
from salescoach.sources.warehouse import Warehouse

MONEY = {
    "amount_minor": ("whole", "CAST(COALESCE(SUM(amount_minor), 0) AS BIGINT)"),
    "n_amount": ("whole", "COUNT(amount_minor)"),
    "amount2": ("number", "COALESCE(SUM(CAST(amount_minor AS DOUBLE PRECISION) * amount_minor), 0)"),
}


def visit_counts(warehouse: Warehouse, by: str | Sequence[str] = ()) -> pd.DataFrame:
    """As `salescoach.metrics.visit_counts`. Raises LawBroken where hand-overs and takeovers differ."""
    table = _need_known(visit_query(warehouse, by).answer(warehouse))
    handed, taken = table.loc[table["exit"] == "handed_off", "n"].sum(), table.loc[table["late"] != NO_AGE, "n"].sum()
    if handed != taken:
        raise LawBroken(
            "{handed:,} hand-overs, but {taken:,} takeovers. This is a fault of salescoach; please report it.",
            handed=handed,
            taken=taken,
        )
    return table


def visit_query(warehouse: Warehouse, by: str | Sequence[str] = ()) -> Query:
    """The SELECT of `visit_counts`."""
    words = Words(warehouse, parse_by(by))
    unit = "SELECT v.*, v.exited_on AS on_day FROM visit v"
    return words.counted(
        [*words.visits(), ("unit", unit)], ["pipeline", "stage", "exit", "age", "late", "first"], MONEY
    )


def decisions(warehouse: Warehouse, by: str | Sequence[str] = (), period: str | Period | None = None) -> pd.DataFrame:
    """As `salescoach.metrics.decisions`."""
    return decision_query(warehouse, by, period).answer(warehouse)


def decision_query(warehouse: Warehouse, by: str | Sequence[str] = (), period: str | Period | None = None) -> Query:
    """The SELECT of `decisions`."""
    words = Words(warehouse, parse_by(by))
    unit = f"""SELECT d.*, {words.owner} AS owner, {words.day("d.closed_at")} AS on_day
FROM deal d {words.handed_over("d.closed_at")}
WHERE d.outcome <> 'open' AND {words.inside(words.day("d.closed_at"), period)}"""
    return words.counted([*words.deals(), ("unit", unit)], ["outcome", "currency"], MONEY)


def stage_flow(
    warehouse: Warehouse,
    by: str | Sequence[str] = (),
    period: str | Period | None = None,
    rule: str = "reached",
    mature_days: int = MATURE_DAYS,
) -> pd.DataFrame:
    """As the metric `stage_flow`: the warehouse counts, and the same functions finish the counts."""
    groups = parse_by(by)
    return finished_flow(warehouse.head, flow_counts(warehouse, groups, period, rule, mature_days), groups)


def flow_counts(
    warehouse: Warehouse,
    groups: Sequence[str] = (),
    period: str | Period | None = None,
    rule: str = "reached",
    mature_days: int = MATURE_DAYS,
) -> FlowCounts:
    """As `salescoach.metrics.flow.flow_counts`. Raises Unavailable where the stage at loss is unknown too often."""
    check_rule(rule)
    _need_stages(warehouse)
    keys = list(dict.fromkeys([*group_keys(groups), *STAGE]))
    stays = _need_known(stay_query(warehouse, groups, period).answer(warehouse))
    passed = passage_query(warehouse, groups, period, rule, mature_days).answer(warehouse)
    tables = {name: rows.reset_index(drop=True) for name, rows in passed.groupby("counted")}
    tables |= {name: rows.reset_index(drop=True) for name, rows in stays.groupby("exit")}
    none = passed.iloc[:0]
    return FlowCounts(
        tables.get("ended", none)[[*keys, "n", "deeper", "lost", "stuck", "skipped"]],
        tables.get("still", stays.iloc[:0])[[*keys, "n"]].rename(columns={"n": "still"}),
        tables.get("back", stays.iloc[:0])[[*keys, "n"]].rename(columns={"n": "back"}),
        tables.get("times", none)[[*keys, "age", "ended", "n", "deeper"]].rename(columns={"deeper": "n_timed"}),
    )


def stay_query(warehouse: Warehouse, by: Sequence[str] = (), period: str | Period | None = None) -> Query:
    """The SELECT of the deals that stand in each stage at as_of (`still`) and of the moves back out of it (`back`)."""
    words = Words(warehouse, by)
    unit = f"""SELECT v.*, CASE v.way_out WHEN 'still' THEN {words.today} ELSE v.exited_on END AS on_day
FROM visit v
WHERE v.way_out = 'still' AND v.outcome = 'open'
   OR v.way_out = 'back' AND v.outcome <> 'void' AND {words.inside("v.exited_on", period)}
   OR v.stage IS NULL"""
    return words.counted([*words.visits(), ("unit", unit)], [*STAGE, "exit"], {})


def passage_query(
    warehouse: Warehouse,
    by: Sequence[str] = (),
    period: str | Period | None = None,
    rule: str = "reached",
    mature_days: int = MATURE_DAYS,
) -> Query:
    """The SELECT of the passages that ended or matured in the period (`ended`) and of their `times`, by entry."""
    words = Words(warehouse, by)
    on = " AND NOT p.jumped" if rule == "strict" else ""
    there = "" if rule == "reached" else " AND NOT p.skipped"
    unit = f"""SELECT p.*, part.counted,
  CASE part.counted WHEN 'ended' THEN p.counted_on ELSE p.entered_on END AS on_day,
  CASE part.counted WHEN 'ended' THEN {NO_AGE} ELSE p.lasted END AS age,
  part.counted = 'times' AND p.fate <> 'open' AS ended,
  p.fate = 'deeper' AND (part.counted = 'times' OR TRUE{on}) AS went_on
FROM judged p CROSS JOIN (VALUES ('ended'), ('times')) AS part (counted)
WHERE part.counted = 'ended' AND (p.stuck OR p.fate IN ('deeper', 'lost')){there}
      AND {words.inside("p.counted_on", period)}
   OR part.counted = 'times' AND p.timed AND p.lasted <> {NO_AGE} AND p.fate <> 'void'
      AND {words.inside("p.entered_on", period)}"""
    counts = {
        "deeper": ("whole", "COUNT(CASE WHEN went_on THEN 1 END)"),
        "lost": ("whole", "COUNT(CASE WHEN fate = 'lost' THEN 1 END)"),
        "stuck": ("whole", "COUNT(CASE WHEN stuck THEN 1 END)"),
        "skipped": ("whole", "COUNT(CASE WHEN skipped THEN 1 END)"),
    }
    ctes = [*words.passages(int(mature_days)), ("unit", unit)]
    return words.counted(ctes, [*STAGE, "counted", "age", "ended"], counts)


def _need_known(table: pd.DataFrame) -> pd.DataFrame:
    unknown = table["stage"].isna()
    if unknown.any():
        raise LawBroken(
            "the stage history names stages that the process does not have, {table:,} times.",
            table=table.loc[unknown, "n"].sum(),
        )
    return table


def _need_stages(warehouse: Warehouse) -> None:
    """Raise Unavailable where the stage at loss is unknown for too many deals: as `flow.need_stages`."""
    words = Words(warehouse, ())
    closing = ", ".join(literal(s) for s in sorted(words.closing))
    text = f"""SELECT COUNT(*) AS n, COUNT(CASE WHEN COALESCE(MOD(h.last, 2), 1) = 1 THEN 1 END) AS assumed
FROM {words.table("deals")} d LEFT JOIN (
  SELECT deal_id, MAX(place * 2 + CASE evidence WHEN 'assumed' THEN 1 ELSE 0 END) AS last
  FROM {words.history} WHERE stage NOT IN ({closing}) GROUP BY deal_id
) h ON h.deal_id = d.deal_id"""
    kinds = {"n": "whole", "assumed": "whole"}
    asked = warehouse.fetch(f"{text}\nWHERE d.outcome = 'lost'", kinds).iloc[0]
    some_lost = bool(asked["n"])
    if not some_lost:
        asked = warehouse.fetch(text, kinds).iloc[0]
    need_known_stages(float(asked["assumed"] / asked["n"]) if asked["n"] else 0.0, some_lost)
