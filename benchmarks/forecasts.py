"""What a forecast with its whole back-test costs, and at-risk tables in one pass against a loop over origins.

    python benchmarks/forecasts.py                    # a million deals
    python benchmarks/forecasts.py --deals 8800 --repeat 3

The at-risk tables of all origins come from one pass over the stays of deals; the loop counts exposure and exits anew
for every origin, as one would from a book of that day. Both run in one process and end with the same tables (compared
to the last count). Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from run import Cost, cost, smallest

STAGES = ("prospect", "qualified", "quote", "contract")
DAYS, REPS, ORIGINS = 730, 30, 26


def book_of(size: int, seed: int = 7) -> Any:
    """Two years of deals with a full stage history."""
    from salescoach.book import Book
    from salescoach.kit import kit_path
    from salescoach.process import read_process

    chance = np.random.default_rng(seed)
    began = np.sort(chance.integers(0, DAYS, size))
    reached = np.minimum(chance.geometric(0.38, size), 5)  # how many stages a deal sees; the fifth is won
    at = began[:, None] + np.cumsum(chance.gamma(2.0, 8.0, (size, 5)), axis=1).astype(np.int64)
    at = np.column_stack([began, at])
    place = np.arange(6)[None, :]
    entered = (place < reached[:, None]) & (at < DAYS) & (place < 4)
    rows, step = np.nonzero(entered)
    end_day = at[np.arange(size), np.minimum(reached, 4)]
    closed = end_day < DAYS
    won = closed & (reached == 5)
    outcome = np.where(won, "won", np.where(closed, "lost", "open"))
    ids = pd.Series(np.char.add("D", np.char.zfill(np.arange(size).astype(str), 8)), dtype="str")
    last = np.where(closed, outcome, np.array(STAGES)[np.minimum(entered.sum(axis=1), 4) - 1])
    start = np.datetime64("2024-07-01", "us")

    def instants(days: Any) -> pd.Series:
        stamps = start + days.astype("timedelta64[D]") + np.timedelta64(2, "h")
        return pd.Series(stamps).dt.tz_localize("UTC").astype("datetime64[us, UTC]")

    deals = pd.DataFrame({"deal_id": ids, "stage": pd.Series(last, dtype="str"), "created_at": instants(began)})
    deals["rep_id"] = pd.Series(np.char.add("R", (chance.integers(0, REPS, size) + 10).astype(str)), dtype="str")
    deals["closed_at"] = instants(end_day).where(pd.Series(closed))
    deals["outcome"] = pd.Series(outcome, dtype="str")
    amount = np.round(np.exp(8 + 0.5 * chance.standard_normal(size)), 2)
    deals = deals.assign(amount=amount, amount_minor=pd.Series((amount * 100).round(), dtype="Int64"))
    deals["pipeline"] = pd.Series("new", deals.index, dtype="str")
    deals["segment"] = pd.Series(chance.choice(["SMB", "Mid", "Large"], size), dtype="str")
    ends = np.flatnonzero(closed)
    history = pd.DataFrame(
        {
            "deal": np.concatenate([rows, ends]),
            "day": np.concatenate([at[rows, step], end_day[ends]]),
            "stage": np.concatenate([np.array(STAGES)[step], outcome[ends]]),
            "order": np.concatenate([step, np.full(len(ends), 9)]),
        }
    ).sort_values(["deal", "order"], ignore_index=True)
    log = pd.DataFrame({"deal_id": ids.iloc[history["deal"]].reset_index(drop=True), "stage": history["stage"]})
    log = log.astype({"stage": "str"}).assign(entered_at=instants(history["day"].to_numpy()))
    log["evidence"] = pd.Series("observed", log.index, dtype="str")
    process = read_process(kit_path("templates/process") / "standard.toml")
    end = pd.Timestamp("2024-07-01", tz="Asia/Shanghai") + pd.Timedelta(days=DAYS) - pd.Timedelta("1us")
    return Book({"deals": deals, "stage_history": log}, process, end.tz_convert("UTC"), "CNY")


def one_pass(found: Any, origins: Any) -> list[tuple[Any, Any]]:
    """Exposure and exits by state and age before each origin, from one at-risk table."""
    from salescoach.metrics.lexis import lexis

    counts = lexis(found)
    risk, exits = np.cumsum(counts.at_risk, axis=1), np.cumsum(counts.exits, axis=2)
    return [(risk[:, o - counts.first_day - 1], exits[:, :, o - counts.first_day - 1]) for o in origins]


def by_origin(found: Any, origins: Any) -> list[tuple[Any, Any]]:
    """The same, counted anew for each origin: every stay's days at each age."""
    from salescoach.metrics.lexis import AGES

    states, tables = len(found.states), []
    edges = np.array([*AGES, np.iinfo(np.int64).max])
    for origin in origins:
        known = found.entered < origin
        entered, exited = found.entered[known], found.exited[known]
        state, to = found.state[known], found.to[known]
        first = np.maximum(found.first_day - entered, 0)  # ages at which it is looked at
        last = np.minimum(exited, origin - 1) - entered
        risk = np.zeros((states, len(AGES)), dtype=np.int64)
        for age in range(len(AGES)):
            days = np.minimum(last + 1, edges[age + 1]) - np.maximum(first, edges[age])
            risk[:, age] = np.bincount(state, np.maximum(days, 0), states)
        gone = (exited < origin) & (exited >= found.first_day) & (to >= 0)
        band = np.searchsorted(edges, (exited - entered)[gone], side="right") - 1
        key = (state[gone] * (states + 3) + to[gone]) * len(AGES) + band
        exits = np.bincount(key, minlength=states * (states + 3) * len(AGES))
        tables.append((risk, exits.reshape(states, states + 3, len(AGES))))
    return tables


def difference(found: Any, origins: Any) -> int:
    """Largest difference of a count between the two sides."""
    pairs = zip(one_pass(found, origins), by_origin(found, origins), strict=True)
    return max(int(np.abs(a - b).max()) for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True))


def whole(book: Any) -> Cost:
    """The forecast of a quarter with its back-test of 26 days at two leads; nothing is kept with the book."""
    from salescoach.models.forecast import fit_forecast

    fresh = replace(book)
    return cost(lambda: fit_forecast(fresh, "2026Q3", leads=(30,)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deals", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    from salescoach.metrics.lexis import lexis, stays

    book = book_of(options.deals)
    found = stays(book)
    weekly = found.last_day + 1 - 7 * np.arange(2 * ORIGINS)[::-1]
    command = " ".join(["python benchmarks/forecasts.py", *sys.argv[1:]])
    versions = f"Python {platform.python_version()}, pandas {pd.__version__}, numpy {np.__version__}"
    print(f"{date.today()}, {versions}, {os.cpu_count()} cores, `{command}`\n")
    costs = smallest({
        "lexis": lambda: cost(lambda: lexis(found)),
        "pass 26": lambda: cost(lambda: one_pass(found, weekly[-ORIGINS:])),
        "loop 26": lambda: cost(lambda: by_origin(found, weekly[-ORIGINS:])),
        "pass 52": lambda: cost(lambda: one_pass(found, weekly)),
        "loop 52": lambda: cost(lambda: by_origin(found, weekly)),
        "whole": lambda: whole(book),
    }, options.repeat)  # fmt: skip
    print("| what | clock | processor | loop over origins: clock | processor | times faster (clock) | (processor) |")
    print("|---|---|---|---|---|---|---|")
    for n in ("26", "52"):
        what = f"{options.deals:,} deals, at-risk tables of {n} origins"
        print(line(what, costs[f"pass {n}"], costs[f"loop {n}"]))
    print(f"\nLargest difference of a count: {difference(found, weekly)}. The table of all days alone: "
          f"{costs['lexis'].wall:.3f} s.")  # fmt: skip
    print(f"Forecast with its whole back-test ({ORIGINS} origins scored, {REPS} reps, all methods, two leads), "
          f"book to result: {costs['whole'].wall:.2f} s clock, {costs['whole'].cpu:.2f} s processor.")  # fmt: skip


def line(what: str, ours: Cost, base: Cost) -> str:
    shown = [f"{ours.wall:.3f} s", f"{ours.cpu:.3f} s", f"{base.wall:.3f} s", f"{base.cpu:.3f} s"]
    return f"| {' | '.join([what, *shown, f'{base.wall / ours.wall:.1f}', f'{base.cpu / ours.cpu:.1f}'])} |"


if __name__ == "__main__":
    main()
