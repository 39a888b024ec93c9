"""What the fits cost: the grouped driver fit against the usual row-level fit of statsmodels, in one run.

    python benchmarks/fits.py                    # a million deals
    python benchmarks/fits.py --deals 200000 --repeat 3

Both sides begin with the same table of deals with texts and numbers and end with coefficients, standard errors and the
average effects of all levels. Prints Markdown tables and the largest difference between the two sides' coefficients.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from run import Cost, cost, smallest

FACTORS = {
    "segment": ["SMB", "Mid", "Enterprise"],
    "lead_source": ["website", "referral", "exhibition", "partner", "cold_call"],
    "product": ["CloudDesk", "DataBridge", "Insight", "Portal", "Suite"],
    "competitor": ["nobody", "Kestrel", "Bluepeak"],
    "deal_type": ["new", "expansion"],
}
NUMBER = "contacts"


def deals(size: int, seed: int = 7) -> pd.DataFrame:
    """Deals whose chance of being won hangs on a few of their traits."""
    chance = np.random.default_rng(seed)
    table = pd.DataFrame({name: chance.choice(levels, size) for name, levels in FACTORS.items()}, dtype="str")
    table[NUMBER] = chance.integers(1, 7, size)
    logit = -0.3 + 0.1 * table[NUMBER] - 0.4 * (table["competitor"] != "nobody") + 0.3 * (table["segment"] == "SMB")
    return table.assign(outcome=(chance.random(size) < 1 / (1 + np.exp(-logit))).astype("int64"))


def grouped(table: pd.DataFrame) -> dict[str, float]:
    """The kit's fit: coefficients by level."""
    from salescoach.models import fit_grouped

    references = {name: levels[0] for name, levels in FACTORS.items()}
    fit = fit_grouped(table, "outcome", [*FACTORS, NUMBER], steps={NUMBER: "one"}, references=references, scale="one")
    found = fit.table[fit.table["reference"] != ""]
    return {f"{r['driver']} {r['level']}": r["coefficient"] for r in found.to_dict("records")}


def by_rows(table: pd.DataFrame) -> dict[str, float]:
    """What one writes with statsmodels: dummies of every deal, a binomial GLM, each level switched on and off."""
    import statsmodels.api as sm

    factors = pd.get_dummies(table[list(FACTORS)], dtype="float64")
    x = factors.drop(columns=[f"{name}_{levels[0]}" for name, levels in FACTORS.items()])
    x = sm.add_constant(x.join(table[NUMBER].astype("float64")))
    fit: Any = sm.GLM(table["outcome"], x, family=sm.families.Binomial()).fit()
    for name, levels in FACTORS.items():
        off = x.assign(**{f"{name}_{level}": 0.0 for level in levels[1:]})
        usual = fit.predict(off)
        for level in levels[1:]:
            (fit.predict(off.assign(**{f"{name}_{level}": 1.0})) - usual).mean()
    (fit.predict(x.assign(**{NUMBER: x[NUMBER] + 1})) - fit.predict(x)).mean()
    named = {
        f"{name} {level}": fit.params[f"{name}_{level}"] for name, levels in FACTORS.items() for level in levels[1:]
    }
    return {**named, f"{NUMBER} +1": fit.params[NUMBER]}


def difference(table: pd.DataFrame) -> float:
    """Coefficients of the two sides: the largest difference."""
    ours, theirs = grouped(table), by_rows(table)
    assert ours.keys() == theirs.keys()
    return max(abs(ours[name] - theirs[name]) for name in ours)


def of_a_book(size: int) -> Cost:
    """Everything a book's fit takes: the columns judged, the fit with its effects, and its trial on a later period."""
    from salescoach.book import Book
    from salescoach.kit import kit_path
    from salescoach.models import fit_drivers
    from salescoach.process import read_process

    chance, table = np.random.default_rng(3), deals(size)
    closed = pd.Series(pd.Timestamp("2024-07-01") + pd.to_timedelta(chance.integers(0, 700, size), unit="D"))
    table["outcome"] = pd.Series(np.where(table["outcome"] == 1, "won", "lost"), dtype="str")
    table = table.assign(
        deal_id=pd.Series(np.char.add("D", np.arange(size).astype(str)), dtype="str"),
        rep_id=pd.Series(np.char.add("R", (np.arange(size) % 200).astype(str)), dtype="str"),
        stage=table["outcome"],
        closed_at=closed.dt.tz_localize("UTC").astype("datetime64[us, UTC]"),
        created_at=(closed - pd.Timedelta(days=30)).dt.tz_localize("UTC").astype("datetime64[us, UTC]"),
        pipeline=pd.Series("new", range(size), dtype="str"),
    )
    process = read_process(kit_path("templates/process") / "standard.toml")
    book = Book({"deals": table}, process, pd.Timestamp("2026-06-30", tz="UTC"), "CNY")
    return cost(lambda: fit_drivers(book))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deals", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    table = deals(options.deals)
    command = " ".join(["python benchmarks/fits.py", *sys.argv[1:]])
    versions = f"Python {platform.python_version()}, pandas {pd.__version__}, numpy {np.__version__}"
    print(f"{date.today()}, {versions}, {os.cpu_count()} cores, `{command}`\n")
    found = smallest({
        "grouped": lambda: cost(lambda: grouped(table)),
        "rows": lambda: cost(lambda: by_rows(table)),
        "book": lambda: of_a_book(options.deals),
    }, options.repeat)  # fmt: skip
    ours, base, book = found["grouped"], found["rows"], found["book"]
    print("| what | clock | processor | against | clock | processor | times faster (clock) | (processor) |")
    print("|---|---|---|---|---|---|---|---|")
    print(line(f"{options.deals:,} deals, six drivers: coefficients, errors and effects", ours, base))
    print(line("… of a book, with the choice of columns and a trial on a later period", book, base))
    print(f"\nLargest difference of a coefficient: {difference(table):.1e}")


def line(what: str, ours: Cost, base: Cost) -> str:
    costs = [f"{ours.wall:.3f} s", f"{ours.cpu:.3f} s", "statsmodels, row by row"]
    costs += [f"{base.wall:.3f} s", f"{base.cpu:.3f} s", f"{base.wall / ours.wall:.1f}", f"{base.cpu / ours.cpu:.1f}"]
    return f"| {' | '.join([what, *costs])} |"


if __name__ == "__main__":
    main()
