"""Every metric against a second, slow implementation: plain loops over rows that share no code with the first."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from statistics import mean, median
from typing import Any

import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.metrics import measure

Row = dict[str, Any]
Key = tuple[str, ...]
ORDER = {"prospect": 0, "qualified": 1, "quote": 2, "contract": 3}
Z = 1.959963984540054


def rows_of(book: Book, name: str) -> list[Row]:
    """A table as dictionaries; instants become local naive datetimes, blanks None."""
    if name not in book.tables:
        return []
    rows = []
    for record in book.tables[name].to_dict("records"):
        row: Row = {}
        for column, value in record.items():
            if value is None or value is pd.NaT or value is pd.NA or value != value:
                row[column] = None
            elif isinstance(value, pd.Timestamp):
                stamp = value.tz_convert(book.timezone).tz_localize(None) if value.tz is not None else value
                row[column] = stamp.to_pydatetime(warn=False)
            else:
                row[column] = value
        rows.append(row)
    return rows


class Oracle:
    """The book as lists of dictionaries, and each metric as a loop over them."""

    def __init__(self, book: Book) -> None:
        self.deals = {row["deal_id"]: row for row in rows_of(book, "deals")}
        self.leads, self.reps, self.targets = (rows_of(book, n) for n in ("leads", "reps", "targets"))
        self.as_of = book.as_of.tz_convert(book.timezone).tz_localize(None).to_pydatetime(warn=False)
        self.entries: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
        for row in rows_of(book, "stage_history"):
            self.entries[row["deal_id"]].append((row["stage"], row["entered_at"]))
        self.moves: dict[str, list[tuple[datetime, str | None]]] = defaultdict(list)
        for row in rows_of(book, "changes"):
            if row["field"] == "rep_id" and row["old"] != row["new"]:
                self.moves[row["deal_id"]].append((row["at"], row["old"]))
        self.calls: dict[str, list[datetime]] = defaultdict(list)
        for row in rows_of(book, "activities"):
            if row["deal_id"]:
                self.calls[row["deal_id"]].append(row["at"])

    # --- who and when -------------------------------------------------------------------------

    def owner(self, deal_id: str, at: datetime | None) -> str | None:
        if at is not None:
            for moved, old in sorted(self.moves[deal_id], key=lambda move: move[0]):
                if moved >= at:
                    return old
        return self.deals[deal_id]["rep_id"]

    def key(self, by: str, rep: str | None, on: datetime | None, unit: Row) -> Key:
        if by == "":
            return ()
        if by == "rep":
            return (rep or "(unassigned)",)
        if by == "team":
            teams = {row["rep_id"]: row["team"] for row in self.reps}
            return (teams.get(rep) or "(unassigned)",)
        if by == "quarter":
            return ("(undated)" if on is None else f"{on.year}Q{(on.month + 2) // 3}",)
        return (unit.get(by) or "(none)",)

    def everybody(self, by: str) -> list[Key]:
        owners = {r["rep_id"] for r in [*self.reps, *self.deals.values(), *self.leads] if r["rep_id"]}
        if by == "rep":
            return [(rep,) for rep in owners]
        return [(team,) for team in {row["team"] for row in self.reps if row["team"]}] if by == "team" else []

    def grouped(self, by: str, units: Iterator[tuple[Key, Any]], all_people: bool = True) -> dict[Key, list[Any]]:
        groups: dict[Key, list[Any]] = {key: [] for key in self.everybody(by)} if all_people else {}
        for key, unit in units:
            groups.setdefault(key, []).append(unit)
        return groups or ({(): []} if by == "" else {})

    # --- metrics ------------------------------------------------------------------------------

    def win_rate(self, by: str) -> dict[Key, Row]:
        closed = (
            (self.key(by, self.owner(k, d["closed_at"]), d["closed_at"], d), d)
            for k, d in self.deals.items()
            if d["outcome"] != "open"
        )
        table = {}
        for key, deals in self.grouped(by, closed).items():
            won, lost = ([d for d in deals if d["outcome"] == o] for o in ("won", "lost"))
            table[key] = {
                "n": len(won) + len(lost),
                "won": len(won),
                "lost": len(lost),
                "void": len(deals) - len(won) - len(lost),
                **share(len(won), len(won) + len(lost)),
                "won_amount": total(won),
                "lost_amount": total(lost),
            }
        return table

    def new_customers(self, by: str) -> dict[Key, Row]:
        wins = [d for d in self.deals.values() if d["outcome"] == "won" and d["account_id"] and d["closed_at"]]
        seen: dict[str, datetime] = {}
        found = []
        for deal in sorted(wins, key=lambda d: (d["closed_at"], d["deal_id"])):
            last = seen.get(deal["account_id"])
            back = (
                last is not None
                and day(deal["closed_at"]) > (pd.Timestamp(day(last)) + pd.DateOffset(months=24)).date()
            )
            if last is None or back:
                found.append(
                    (
                        self.key(by, self.owner(deal["deal_id"], deal["closed_at"]), deal["closed_at"], deal),
                        (deal, back),
                    )
                )
            seen[deal["account_id"]] = deal["closed_at"]
        table = {}
        for key, units in self.grouped(by, iter(found)).items():
            new = [deal for deal, back in units if not back]
            amounts = [d["amount"] for d in new if d["amount"] is not None]
            table[key] = {
                "n": len(new),
                "value": len(new),
                "returning": len(units) - len(new),
                "first_amount": total(new),
                "mean_first_amount": mean(amounts) if amounts else None,
            }
        return table

    def sales_cycle(self, by: str) -> dict[Key, Row]:
        units = []
        by_deal, by_lead = defaultdict(list), defaultdict(list)
        for lead in self.leads:
            by_deal[lead["deal_id"]].append(lead["created_at"])
            by_lead[lead["lead_id"]].append(lead["created_at"])
        for deal_id, deal in self.deals.items():
            asked = by_deal[deal_id] + by_lead[deal.get("lead_id")]
            starts = [deal["created_at"], *self.calls[deal_id], *asked]
            starts = [s for s in starts if s is not None]
            over = deal["outcome"] in ("won", "lost")
            end = deal["closed_at"] if over else self.as_of
            if deal["outcome"] == "void" or not starts or end is None or end < min(starts):
                continue
            start = min(starts)
            key = self.key(by, self.owner(deal_id, deal["closed_at"]), start, deal)
            units.append((key, (age(start, end), over, deal["outcome"] == "won", (day(end) - day(start)).days)))
        table = {}
        for key, rows in self.grouped(by, iter(units)).items():
            won = [days for _, _, is_won, days in rows if is_won]
            table[key] = {
                "n": len(rows),
                "decided": sum(over for _, over, _, _ in rows),
                "won": len(won),
                **named(km([(t, over) for t, over, _, _ in rows])),
                "mean_won": mean(won) if won else None,
            }
        return table

    def lead_conversion(self, by: str) -> dict[Key, Row]:
        units = []
        by_lead = defaultdict(list)
        for deal in self.deals.values():
            by_lead[deal.get("lead_id")].append(deal["created_at"])
        for lead in self.leads:
            deals = [lead["converted_at"]] if lead.get("converted_at") else []
            if not deals and lead["deal_id"] in self.deals:
                deals = [self.deals[lead["deal_id"]]["created_at"]]
            if not deals:
                deals = by_lead[lead["lead_id"]]
            limit = day(lead["created_at"]) + timedelta(days=90)
            mature = limit <= day(self.as_of)
            went = mature and any(day(at) <= limit for at in deals if at)
            units.append((self.key(by, lead["rep_id"], lead["created_at"], lead), (mature, went)))
        table = {}
        for key, rows in self.grouped(by, iter(units)).items():
            n, converted = sum(m for m, _ in rows), sum(w for _, w in rows)
            table[key] = {"n": n, "converted": converted, "immature": len(rows) - n, **share(converted, n)}
        return table

    def response_time(self, by: str) -> dict[Key, Row]:
        units = []
        for lead in self.leads:
            at, answer = lead["created_at"], lead["first_response_at"]
            if answer is not None and answer < at:
                continue
            due = self.as_of - at > timedelta(hours=4)
            within = due and answer is not None and answer - at <= timedelta(hours=4)
            units.append(
                (
                    self.key(by, lead["rep_id"], at, lead),
                    (age(at, answer or self.as_of), answer is not None, due, within),
                )
            )
        table = {}
        for key, rows in self.grouped(by, iter(units)).items():
            times = named(km([(24 * t, over) for t, over, _, _ in rows]))
            within = share(sum(w for *_, w in rows), sum(d for _, _, d, _ in rows))
            table[key] = {
                "n": len(rows),
                "answered": sum(a for _, a, _, _ in rows),
                "value": times["value"],
                "low": times["low"],
                "high": times["high"],
                "p90": times["p90"],
                "within_share": within["value"],
            }
        return table

    def passages(self) -> Iterator[Row]:
        for deal_id, deal in self.deals.items():
            stays = [(ORDER[stage], at) for stage, at in self.entries[deal_id] if stage in ORDER]
            if not stays or deal["outcome"] == "void":
                continue
            deepest = 3 if deal["outcome"] == "won" else max(order for order, _ in stays)
            for stage in range(deepest + 1):
                first = next((at for order, at in stays if order == stage), None)
                later = next((at for order, at in stays if order > stage and (first is None or at >= first)), None)
                end = later if later is not None else deal["closed_at"] if deal["outcome"] != "open" else None
                fate = "deeper" if later is not None or deal["outcome"] == "won" else deal["outcome"]
                yield {
                    **deal,
                    "owner": self.owner(deal_id, end),
                    "order": stage,
                    "first": first,
                    "end": end,
                    "fate": fate,
                }

    def stage_flow(self, by: str) -> dict[Key, Row]:
        table: dict[Key, Row] = defaultdict(
            lambda: {"n": 0, "deeper": 0, "lost": 0, "stuck": 0, "skipped": 0, "still": 0, "back": 0}
        )
        times: dict[Key, list[tuple[float, bool, bool]]] = defaultdict(list)
        for p in self.passages():
            where = str(p["order"])
            matured = None if p["first"] is None else p["first"] + timedelta(days=90)
            stuck = p["fate"] == "open" and matured is not None and day(matured) <= day(self.as_of)
            if p["fate"] != "open" or stuck:
                row = table[(*self.key(by, p["owner"], matured if stuck else p["end"], p), where)]
                row["n"] += 1
                row["stuck" if stuck else p["fate"]] += 1
                row["skipped"] += p["first"] is None
            if p["first"] is not None:
                end = p["end"] or self.as_of
                times[(*self.key(by, p["owner"], p["first"], p), where)].append(
                    (age(p["first"], end), p["fate"] != "open", p["fate"] == "deeper")
                )
        for deal_id, deal in self.deals.items():
            if deal["outcome"] == "open" and self.entries[deal_id]:
                stage, _ = self.entries[deal_id][-1]
                table[(*self.key(by, deal["rep_id"], self.as_of, deal), str(ORDER[stage]))]["still"] += 1
        for deal_id, entries in self.entries.items():
            for (stage, _), (following, at) in itertools.pairwise(entries):
                if ORDER.get(following, 9) < ORDER.get(stage, -1) and self.deals[deal_id]["outcome"] != "void":
                    key = (*self.key(by, self.holder_before(deal_id, at), at, self.deals[deal_id]), str(ORDER[stage]))
                    if key in table:
                        table[key]["back"] += 1
        for key, row in table.items():
            gone = [t for t, _, deeper in times[key] if deeper]
            found = named(km([(t, over) for t, over, _ in times[key]]))
            row |= share(row["deeper"], row["n"])
            row |= {
                "median_days": found["value"],
                "median_low": found["low"],
                "median_high": found["high"],
                "p75_days": found["p75"],
                "mean_days_advanced": mean(gone) if gone else None,
            }
        return dict(table)

    def holder_before(self, deal_id: str, at: datetime) -> str | None:
        return self.owner(deal_id, at)

    def funnel(self, by: str) -> dict[Key, Row]:
        reached: dict[str, int] = defaultdict(lambda: -1)
        for p in self.passages():
            reached[p["deal_id"]] = max(reached[p["deal_id"]], p["order"])
        units = [
            (self.key(by, d["rep_id"], d["created_at"], d), d) for d in self.deals.values() if d["outcome"] != "void"
        ]
        table = {}
        for key, deals in self.grouped(by, iter(units), all_people=False).items():
            for stage in range(5):
                there = [
                    d
                    for d in deals
                    if (
                        d["outcome"] == "won" if stage == 4 else reached[d["deal_id"]] >= stage or d["outcome"] == "won"
                    )
                ]
                resting = [d for d in there if d["outcome"] == "open" and reached[d["deal_id"]] == stage]
                table[(*key, str(stage))] = {
                    "n": len(deals),
                    "reached": len(there),
                    **share(len(there), len(deals)),
                    "open": len(resting),
                    "amount": total(there),
                }
        return table

    def pipeline(self, by: str) -> dict[Key, Row]:
        units = []
        for deal_id, deal in self.deals.items():
            if deal["outcome"] == "open":
                key = self.key(by, deal["rep_id"], deal["expected_close_on"], deal)
                since = self.entries[deal_id][-1][1] if self.entries[deal_id] else None
                units.append(((*key, str(ORDER[deal["stage"]])), (deal, since and age(since, self.as_of))))
        table = {}
        for key, rows in self.grouped(by, iter(units), all_people=False).items():
            ages = [a for _, a in rows if a is not None]
            table[key] = {
                "n": len(rows),
                "value": total([d for d, _ in rows]),
                "median_age_days": median(ages) if ages else None,
                "without_amount": sum(d["amount"] is None for d, _ in rows),
            }
        return table

    def quota_attainment(self, by: str) -> dict[Key, Row]:
        people = {row["rep_id"]: row for row in self.reps}
        # A team's own target counts in place of its reps' targets, except where the question is about reps.
        of_teams = [t for t in self.targets if not t["rep_id"]]
        of_reps = [t for t in self.targets if t["rep_id"]]
        own = {t["team"] for t in of_teams}
        teams = {row["rep_id"]: row["team"] for row in self.reps}
        counted = of_reps if by == "rep" else of_teams + [t for t in of_reps if teams.get(t["rep_id"]) not in own]
        chosen = {id(t) for t in counted}
        goals: dict[Key, float] = defaultdict(float)
        first = None
        for target in self.targets:
            rep = people.get(target["rep_id"], {})
            days = (target["end_on"] - target["start_on"]).days + 1
            for n in range(days):
                on = target["start_on"] + timedelta(days=n)
                employed = (rep.get("start_on") or on) <= on <= (rep.get("end_on") or on)
                if employed and day(on) <= day(self.as_of):
                    first = min(first or on, on)
                    if id(target) in chosen:
                        team = (target.get("team") or "(unassigned)",)
                        key = (
                            team
                            if by == "team" and not target["rep_id"]
                            else self.key(by, target["rep_id"], on, target)
                        )
                        goals[key] += target["value"] / days
        wins = [
            (self.key(by, self.owner(k, d["closed_at"]), d["closed_at"], d), d)
            for k, d in self.deals.items()
            if d["outcome"] == "won" and d["closed_at"] and first and d["closed_at"] >= first
        ]
        groups = self.grouped(by, iter(wins))
        table = {}
        for key in {*groups, *goals}:
            deals = groups.get(key, [])
            won, goal = total(deals), goals.get(key)
            table[key] = {
                "n": len(deals),
                "won_amount": won,
                "target": goal,
                "value": won / goal if goal and won is not None else None,
            }
        return table


# --- arithmetic -----------------------------------------------------------------------------------


def day(at: datetime) -> date:
    return at.date()


def age(start: datetime, end: datetime) -> float:
    """Days: whole minutes under two hours, whole hours under two days, then calendar days."""
    minutes = (end - start) // timedelta(minutes=1)
    if minutes < 120:
        return minutes / 1440
    if minutes < 48 * 60:
        return (minutes // 60) / 24
    return float(max((day(end) - day(start)).days, 2))


def share(k: int, n: int) -> Row:
    if n == 0:
        return {"value": None, "low": None, "high": None}
    p = k / n
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return {"value": p, "low": max(middle - half, 0.0), "high": min(middle + half, 1.0)}


def total(deals: list[Row]) -> float | None:
    amounts = [d["amount_minor"] for d in deals if d["amount_minor"] is not None]
    return sum(amounts) / 100 if amounts or not deals else None


def km(units: list[tuple[float, bool]]) -> list[tuple[float, float, float]]:
    """Kaplan-Meier one event time after the other: time, survival, Greenwood's standard error."""
    survival, spread, curve = 1.0, 0.0, []
    for time in sorted({t for t, over in units if over}):
        at_risk = sum(t >= time for t, _ in units)
        ended = sum(t == time and over for t, over in units)
        survival *= 1 - ended / at_risk
        if at_risk > ended:
            spread += ended / (at_risk * (at_risk - ended))
        curve.append((time, survival, survival * math.sqrt(spread) if at_risk > ended else math.nan))
    return curve


def quantile(curve: list[tuple[float, float, float]], p: float) -> float | None:
    return next((t for t, s, _ in curve if s < 1 - p - 1e-12), None)


def named(curve: list[tuple[float, float, float]]) -> Row:
    """Median with its interval: the times whose survival does not differ from one half (log-log), and the next one."""
    value = quantile(curve, 0.5)
    inside = []
    for place, (_, s, se) in enumerate(curve):
        if 0 < s < 1 and se > 0:
            distance = (math.log(-math.log(s)) - math.log(math.log(2))) / (se / (s * abs(math.log(s))))
            if abs(distance) <= Z:
                inside.append(place)
    low = high = None
    if inside:
        low = curve[inside[0]][0]
        high = curve[inside[-1] + 1][0] if inside[-1] + 1 < len(curve) else None
    elif value is not None and next(s for t, s, _ in curve if t == value) > 0:
        low = high = value
    return {"value": value, "low": low, "high": high, "p75": quantile(curve, 0.75), "p90": quantile(curve, 0.9)}


# --- the comparison -------------------------------------------------------------------------------

METRICS = (
    "win_rate",
    "new_customers",
    "sales_cycle",
    "lead_conversion",
    "response_time",
    "stage_flow",
    "funnel",
    "pipeline",
    "quota_attainment",
)
GROUPS = ("", "rep", "team", "quarter", "lead_source")
STAGES = ("prospect", "qualified", "quote", "contract", "won")


ORACLES: dict[int, tuple[Book, Oracle]] = {}


def oracle_of(book: Book) -> Oracle:
    if id(book) not in ORACLES:
        ORACLES[id(book)] = (book, Oracle(book))
    return ORACLES[id(book)][1]


def compare(book: Book, name: str, by: str) -> None:
    answer = measure(book, name, by)
    if not answer.available:
        assert name == "quota_attainment" and by == "lead_source", answer.because
        return
    assert answer.table is not None
    expected = getattr(oracle_of(book), name)(by)
    column = {"rep": "rep_id"}.get(by, by)
    found = {}
    for row in answer.to_dict()["rows"]:
        key: Key = (row[column],) if by else ()
        found[(*key, str(STAGES.index(row["stage"]))) if "stage" in row else key] = row
    assert set(found) == set(expected)
    for key, wanted in expected.items():
        for field, value in wanted.items():
            if value is None:
                assert found[key][field] is None, (name, key, field, found[key][field])
            else:
                assert found[key][field] == pytest.approx(value, rel=1e-9, abs=1e-9), (name, key, field)


@pytest.mark.parametrize("by", GROUPS)
@pytest.mark.parametrize("name", METRICS)
def test_metric_equals_the_slow_way_on_generated_books(name: str, by: str, generated: Callable[..., Book]) -> None:
    for seed in range(8):
        compare(generated(seed), name, by)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("by", GROUPS)
def test_metric_equals_the_slow_way_on_the_demo(name: str, by: str, demo: Book) -> None:
    compare(demo, name, by)
