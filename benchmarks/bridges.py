"""What a thousand bridges cost: gaps of 1,000 reps in their parts with 2,000 draws each, against the plain ways.

    python benchmarks/bridges.py [--reps 1000] [--draws 2000] [--repeat 3] [--loops 3]

A book of 1,000 reps is made (40 deals each, stages, kinds and list prices), then measured in one run:

- all bridges at once: from the book to the finished table
- Shapley alone: the product formula over all reps and draws, against a loop over reps with all 2^K mixtures, and
  against one over reps, draws and all orders of the factors (word by word); timed on a few reps, of the latter on a
  few draws, and counted up
- rates alone: all reps' shrunk rates from counts, against one row-level binomial regression (statsmodels) per stage
  with a coefficient per rep; on 100 reps, counted up in proportion, which flatters it
- an answer to what if

Prints a Markdown table and the largest differences. Nothing is asserted by time.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from itertools import permutations
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.kit import kit_path
from salescoach.metrics.registry import as_period
from salescoach.models import factors_of, fit_gap, shapley, shapley_of_product, shrink_rates, what_if
from salescoach.models.gap_factors import lines_of
from salescoach.models.gap_lines import usual_of
from salescoach.models.gap_parts import EVERYBODY, gap_counts
from salescoach.process import read_process

STAGES = ("prospect", "qualified", "quote", "contract")
ADVANCE = (0.7, 0.5, 0.65, 0.75)
FEW_DRAWS = 5
SOME = 100  # reps


def thousand_reps(reps: int, per_rep: int = 40, seed: int = 1) -> Book:
    """A year of deals, each in a stage for about ten days."""
    chance = np.random.default_rng(seed)
    n = reps * per_rep
    skill = chance.normal(0, 0.06, (reps, len(STAGES)))
    owner = np.repeat(np.arange(reps), per_rep)
    passed = chance.random((n, len(STAGES))) < np.clip(np.array(ADVANCE) + skill[owner], 0.02, 0.98)
    reached = np.cumprod(passed, axis=1).sum(axis=1)
    created = pd.Timestamp("2025-09-01", tz="UTC") + pd.to_timedelta(chance.integers(0, 365, n), unit="D")
    days = np.cumsum(chance.gamma(2, 5, (n, len(STAGES))).round() + 1, axis=1).astype(int)
    ids = np.char.add("D", np.arange(n).astype(str))
    closed = created + pd.to_timedelta(days[np.arange(n), np.minimum(reached, len(STAGES) - 1)], unit="D")
    won = reached == len(STAGES)
    listed = np.round(chance.lognormal(9, 0.8, n))
    amount = np.round(listed * chance.uniform(0.85, 1, n))
    deals = pd.DataFrame(
        {
            "deal_id": pd.Series(ids, dtype="str"),
            "rep_id": pd.Series(np.char.add("R", owner.astype(str)), dtype="str"),
            "stage": pd.Series(np.where(won, "won", "lost"), dtype="str"),
            "outcome": pd.Series(np.where(won, "won", "lost"), dtype="str"),
            "pipeline": pd.Series("new", range(n), dtype="str"),
            "segment": pd.Series(chance.choice(["large", "middle", "small"], n), dtype="str"),
            "created_at": created.astype("datetime64[us, UTC]"),
            "closed_at": closed.astype("datetime64[us, UTC]"),
        }
    )
    for name, values in (("amount", amount), ("list_price", listed)):
        deals[name], deals[f"{name}_minor"] = values, pd.Series(values * 100).astype("Int64")
    log = []
    for place, stage in enumerate(STAGES):
        here = reached >= place
        entered = created if place == 0 else created + pd.to_timedelta(days[:, place - 1], unit="D")
        log.append(pd.DataFrame({"deal_id": ids[here], "entered_at": entered[here], "stage": stage, "place": place}))
    log.append(pd.DataFrame({"deal_id": ids, "entered_at": closed, "stage": np.where(won, "won", "lost"), "place": 9}))
    history = pd.concat(log).sort_values(["deal_id", "place"], ignore_index=True).drop(columns="place")
    history["entered_at"] = history["entered_at"].astype("datetime64[us, UTC]")
    history = history.assign(evidence="observed").astype({"deal_id": "str", "stage": "str", "evidence": "str"})
    process = read_process(kit_path("templates/process") / "standard.toml")
    end = pd.Timestamp("2026-12-31", tz="UTC")
    return Book({"deals": deals, "stage_history": history}, process, end, "CNY")


def smallest(run: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """The shortest time of several, and the last result."""
    best, result = np.inf, None
    for _ in range(repeat):
        start = perf_counter()
        result = run()
        best = min(best, perf_counter() - start)
    return best, result


def over_all_orders(before: list[float], after: list[float]) -> np.ndarray[Any, Any]:
    """The definition of Shapley's parts, word by word."""
    parts, orders = np.zeros(len(before)), list(permutations(range(len(before))))
    for order in orders:
        now = list(before)
        product = float(np.prod(now))
        for place in order:
            now[place] = after[place]
            new = 1.0
            for value in now:
                new *= value
            parts[place] += new - product
            product = new
    return parts / len(orders)


def row_level_rates(book: Book) -> dict[str, pd.Series]:
    """The rates of SOME reps in each stage by one binomial regression per stage over rows, a coefficient per rep."""
    import statsmodels.api as sm

    from salescoach.metrics.flow import ended_passages

    rows = ended_passages(book, as_period(book, None))
    rows = rows[rows["rep_id"].isin(sorted(rows["rep_id"].unique())[:SOME])]
    found = {}
    for stage, part in rows.groupby("stage"):
        codes, reps = pd.factorize(part["rep_id"], sort=True)
        design = np.zeros((len(part), len(reps)))
        design[np.arange(len(part)), codes] = 1.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = sm.GLM(part["went_on"].to_numpy(float), design, family=sm.families.Binomial()).fit()
        found[str(stage)] = pd.Series(1 / (1 + np.exp(-fit.params)), index=reps)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("reps", 1000), ("draws", 2000), ("repeat", 3), ("loops", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    book = thousand_reps(asked.reps)
    print(
        f"{len(book.deals):,} deals of {asked.reps:,} reps, {asked.draws:,} draws\n\n"
        "| what | seconds | times |\n|---|---|---|"
    )

    whole, fit = smallest(lambda: fit_gap(book, "rep", draws=asked.draws), asked.repeat)
    sums = fit.table.groupby("rep_id")["value"].sum()
    gaps = fit.totals.set_index("rep_id")["gap"].reindex(sums.index)
    print(f"| all bridges, from the book to the table | {whole:.2f} | |")

    counts = gap_counts(book, ("rep",), as_period(book, None), True).named
    who, usual, chance = sorted(counts.people.index), usual_of(counts), np.random.default_rng(1)
    [own] = lines_of(counts, who, usual, chance, asked.draws)
    [other] = lines_of(counts.whole, [EVERYBODY], usual, chance, asked.draws, shrink=False)
    mine = np.stack([f.draws for f in own.factors.values()])
    theirs = np.stack([f.draws for f in other.factors.values()])
    pieces = [slice(at, at + 100) for at in range(0, len(who), 100)]

    def at_once() -> np.ndarray[Any, Any]:
        return np.concatenate([shapley_of_product(theirs, mine[:, :, piece]) for piece in pieces], axis=2)

    seconds, fast = smallest(at_once, asked.repeat)
    print(f"| Shapley alone, all reps and draws ({len(mine)} factors) | {seconds:.2f} | 1 |")

    def by_mixtures() -> list[Any]:
        return [
            shapley(lambda *f: np.prod(f, axis=0), list(theirs[:, :, 0]), list(mine[:, :, rep]))
            for rep in range(asked.loops)
        ]

    spent, plain = smallest(by_mixtures, 1)
    spent *= asked.reps / asked.loops
    print(f"| the same, a loop over reps with all 2^{len(mine)} mixtures | {spent:.1f} | {spent / seconds:.0f} |")
    off = max(float(np.abs(fast[:, :, r] - np.array(p)).max()) for r, p in enumerate(plain))
    start = perf_counter()
    slow = [over_all_orders(list(theirs[:, d, 0]), list(mine[:, d, 0])) for d in range(FEW_DRAWS)]
    spent = (perf_counter() - start) * asked.reps * asked.draws / FEW_DRAWS
    print(f"| the same, a loop over reps, draws and orders | {spent:,.0f} | {spent / seconds:,.0f} |")
    off = max(off, *(float(np.abs(fast[:, d, 0] - s).max()) for d, s in enumerate(slow)))

    steps = counts.steps.groupby(["stage", "who"])[["n", "went"]].sum()

    def rates() -> dict[str, Any]:
        return {s: shrink_rates(steps.loc[s, "went"].to_numpy(), steps.loc[s, "n"].to_numpy()) for s in STAGES}

    seconds, _ = smallest(lambda: (gap_counts(book, ("rep",), as_period(book, None), True), rates()), asked.repeat)
    print(f"| rates of all reps: counts and shrinkage | {seconds:.2f} | 1 |")
    spent, rows = smallest(lambda: row_level_rates(book), 1)
    spent *= asked.reps / min(SOME, asked.reps)
    print(f"| a row-level regression per stage with a coefficient per rep | {spent:.1f} | {spent / seconds:.0f} |")
    apart = 0.0
    for stage, rate in rows.items():
        known = steps.loc[stage].reindex(rate.index)
        inside = (known["went"] > 0) & (known["went"] < known["n"])  # a regression has no rate of 0 or 1
        apart = max(apart, float((rate - known["went"] / known["n"])[inside].abs().max()))

    factors = factors_of(book, "", None)["(all)", "new"]
    seconds, _ = smallest(lambda: what_if(factors, "quote", 0.7, 8.0), 20)
    print(f"| one answer to what if | {seconds:.5f} | |")
    print(
        f"\nParts and gap differ by at most {np.abs(sums - gaps).max() / np.abs(gaps).max():.0e} of the largest gap; "
    )
    print(f"the ways of Shapley by {off / float(np.abs(theirs.prod(axis=0)).max()):.0e} of the product; ")
    print(f"plain rates and those of the regression by {apart:.0e}.")


if __name__ == "__main__":
    main()
