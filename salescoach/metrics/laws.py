"""What must hold of the numbers before anybody reads them: parts add up to the whole, and rates to their counts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import LawBroken, Sentence
from salescoach.metrics.registry import Measure, measure
from salescoach.metrics.visits import deals_of

# metric -> the columns of its table that are sums over deals or leads
ADDITIVE = {
    "win_rate": ("n", "won", "lost", "void", "won_amount", "lost_amount"),
    "sales_cycle": ("n", "decided", "won", "open"),
    "pipeline": ("n", "value", "without_amount"),
    "new_customers": ("n", "first_amount"),
    "lead_conversion": ("n", "converted", "immature"),
    "quota_attainment": ("n", "won_amount"),
    "response_time": ("n", "answered", "unanswered"),
    "win_curve": ("n", "won", "lost", "undecided", "too_young"),
    "sales": ("n", "wins", "value", "without_amount"),
    "discount": ("n", "list_amount", "given_away", "above_list", "without_list_price"),
    "customer_value": ("n", "total", "repeat"),
    "pipeline_created": ("n", "value", "amount_now", "without_amount"),
    "stalled": ("n", "stalled", "by_age", "by_silence", "unknown"),
    "zombies": ("n", "zombies", "overdue", "outlived", "unknown", "amount", "open_amount"),
    "missed_quotes": ("n", "missed", "late", "never", "not_yet", "unknown"),
    "forgotten_followups": ("n", "forgotten", "waiting", "unknown"),
    "overdue_next_steps": ("n", "overdue", "in_future", "without_next_step"),
    "activity_quality": ("n", "without_contact", "n_open", "detail_contacts"),
    "slips": ("n", "pushed", "pushes", "slipped", "undated"),
    "loss_reasons": ("n", "amount", "without_amount", "contributing"),
    "recorded_reasons": ("n", "recorded", "amount_without"),
    "doubted_reasons": ("n", "doubted", "doubted_amount"),
    "workload": ("n", "amount", "stalled", "zombies", "neglected"),
    "conformance": ("n", "broken", "not_yet", "unknown"),
    "forecast_calls": ("n", "called", "came", "too_high"),
}
RATES = {
    "conformance": ("broken", "n"),
    "win_rate": ("won", "n"),
    "lead_conversion": ("converted", "n"),
    "stalled": ("stalled", "n"),
    "zombies": ("zombies", "n"),
    "missed_quotes": ("missed", "n"),
    "forgotten_followups": ("forgotten", "n"),
    "overdue_next_steps": ("overdue", "n"),
    "slips": ("pushed", "n"),
    "loss_reasons": ("n", "deals"),
    "recorded_reasons": ("recorded", "n"),
    "doubted_reasons": ("doubted", "n"),
}
SPLITS = ("rep", "team", "month")
CENT = 0.005


def check_numbers(book: Book) -> None:
    """Raise LawBroken (exit code 70) where a number of the book does not add up.

    Each total is the sum over reps, over teams and over months, the unassigned and undated ones included; each rate is
    its numerator over its denominator; every open deal is in exactly one stage of the pipeline.
    """
    for name, columns in ADDITIVE.items():
        whole = measure(book, name, by=())
        if whole.table is None:
            continue
        total = _sums(whole, columns)
        for split in SPLITS:
            parts = measure(book, name, by=(split,))
            if parts.table is not None:
                _compare(Sentence("{name} over all by {split}", name=name, split=split), total, _sums(parts, columns))
    for name, (over, under) in RATES.items():
        found = measure(book, name, by=("rep",)).table
        if found is not None:
            again = found[over] / found[under].replace(0, np.nan)
            if not np.allclose(found["value"].astype("float64"), again.astype("float64"), equal_nan=True):
                raise LawBroken(
                    "{name} is not {over} over {under} for every rep. {fault}",
                    name=name,
                    over=over,
                    under=under,
                    fault=FAULT,
                )
    waiting = measure(book, "pipeline", by=()).table
    if waiting is not None:
        open_deals = int((deals_of(book)["outcome"] == "open").sum())
        if waiting["n"].sum() != open_deals:
            raise LawBroken(
                "{n:,} deals stand in the pipeline, but {open_deals:,} are open. {fault}",
                n=waiting["n"].sum(),
                open_deals=open_deals,
                fault=FAULT,
            )


FAULT = Sentence("This is a fault of salescoach; please report it with this line. Nothing was published.")


def _sums(found: Measure, columns: tuple[str, ...]) -> pd.Series:
    table = found.table if found.table is not None else pd.DataFrame(columns=list(columns))
    return table[[c for c in columns if c in table]].astype("float64").sum()


def _compare(what: str, total: pd.Series, parts: pd.Series) -> None:
    off = (total - parts).abs() > CENT
    if off.any():
        column = str(off.idxmax())
        raise LawBroken(
            "{what}: {column} is {total:,.2f} in all and {parts:,.2f} in parts. {fault}",
            what=what,
            column=column,
            total=total[column],
            parts=parts[column],
            fault=FAULT,
        )
