"""What the kit costs, as ratios measured in one run: loading and all metrics against plain pandas, and the import.

    python benchmarks/run.py                       # 8,800 and 880,000 deals
    python benchmarks/run.py --sizes 8800 --repeat 9

Each repetition measures both sides in turn; the smallest of the repetitions counts. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from salescoach.book import Book

STAGES = np.array(["Prospecting", "Qualified", "Quotation", "Contract Sent"])
ADVANCE = np.array([0.7, 0.5, 0.65, 0.75])
MEDIAN_DAYS = np.array([8.0, 10.0, 3.0, 9.0])
FIRST_DAY, DAYS = pd.Timestamp("2024-01-01"), 900


class Cost(NamedTuple):
    """Seconds of the clock and of the processor."""

    wall: float
    cpu: float


def write_deals(folder: Path, size: int, seed: int) -> None:
    """Writes reps.csv, deals.csv and, in a folder of its own, the stage history of the same deals."""
    chance = np.random.default_rng(seed)
    reps = [f"R{i:03}" for i in range(max(35, size // 20_000))]
    at = FIRST_DAY + pd.to_timedelta(chance.integers(0, DAYS * 24 * 60, size), unit="min")
    end = FIRST_DAY + pd.Timedelta(days=DAYS)
    deal = np.array([f"D{i:07}" for i in range(size)])
    stage, closed = (
        np.full(size, STAGES[0], dtype=object),
        np.full(size, np.datetime64("NaT", "s"), dtype="datetime64[s]"),
    )
    entries = []
    going, now = np.arange(size), at.to_numpy()
    for step, name in enumerate(STAGES):
        inside = now < end.to_numpy()
        going, now = going[inside], now[inside]
        entries.append(pd.DataFrame({"deal_id": deal[going], "entered_at": now, "stage": name}))
        stage[going] = name
        days = np.exp(chance.normal(np.log(MEDIAN_DAYS[step]), 0.7, len(going)))
        now = now + (days * 86_400).astype("timedelta64[s]")
        on = chance.random(len(going)) < ADVANCE[step]
        over = (~on if step < len(STAGES) - 1 else np.ones(len(going), dtype=bool)) & (now < end.to_numpy())
        name_of = np.where(on[over], "Closed Won", "Closed Lost")
        stage[going[over]], closed[going[over]] = name_of, now[over]
        entries.append(pd.DataFrame({"deal_id": deal[going[over]], "entered_at": now[over], "stage": name_of}))
        going, now = going[on & ~over], now[on & ~over]
    won = stage == "Closed Won"
    amount = np.where(won, chance.lognormal(7, 1, size).round(2), np.where(stage == "Closed Lost", 0, np.nan))
    table = {
        "deal_id": deal,
        "rep_id": chance.choice(reps, size),
        "stage": stage,
        "created_at": at,
        "closed_at": closed,
        "amount": amount,
        "account_id": [f"A{i}" for i in chance.integers(0, size // 20 + 1, size)],
        "product": chance.choice(["GTX Pro", "MG Special", "GTK 500"], size),
        "lead_source": chance.choice(["web", "fair", "partner"], size),
    }
    people = {"rep_id": reps, "name": reps, "team": [f"Team {i % 6}" for i in range(len(reps))], "manager": "M"}
    for layout in ("current", "history"):
        (folder / layout).mkdir(parents=True)
        pd.DataFrame(table).to_csv(folder / layout / "deals.csv", index=False)
        pd.DataFrame(people).to_csv(folder / layout / "reps.csv", index=False)
    pd.concat(entries).to_csv(folder / "history" / "stage_history.csv", index=False)


class Kit:
    """The kit's side: load and check the files, then answer every metric that they allow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = Cost(0.0, 0.0)

    def load_and_measure(self) -> None:
        from salescoach.sources.load import load_book

        last_day = (FIRST_DAY + pd.Timedelta(days=DAYS)).date()
        book = load_book(self.folder, source="generic", as_of=str(last_day))
        self.metrics = cost(lambda: measure_all(book))


def measure_all(book: Book) -> None:
    from salescoach.metrics import METRICS, measure

    for name in METRICS:
        measure(book, name)


def with_pandas(folder: Path) -> None:
    """What a person writes by hand: a win rate per rep, and the conversion and mean days per stage. No checks."""
    deals = pd.read_csv(folder / "deals.csv", parse_dates=["created_at", "closed_at"])
    pd.read_csv(folder / "reps.csv")
    decided = deals[deals["stage"].isin(["Closed Won", "Closed Lost"])]
    (decided["stage"] == "Closed Won").groupby(decided["rep_id"]).agg(["size", "mean"])
    if (folder / "stage_history.csv").exists():
        log = pd.read_csv(folder / "stage_history.csv", parse_dates=["entered_at"]).sort_values(
            ["deal_id", "entered_at"]
        )
        following = log.groupby("deal_id")[["stage", "entered_at"]].shift(-1)
        log["days"] = (following["entered_at"] - log["entered_at"]).dt.total_seconds() / 86_400
        left = log[following["stage"].notna()].assign(on=following["stage"] != "Closed Lost")
        left.groupby("stage").agg(n=("on", "size"), conversion=("on", "mean"), days=("days", "mean"))


def cost(run: Callable[[], object]) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def child_cost(*command: str) -> Cost:
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *command], check=True)
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def smallest(sides: dict[str, Callable[[], Cost]], repeat: int) -> dict[str, Cost]:
    """Every side `repeat` times in turn; the smallest clock and processor times of each."""
    seen: dict[str, list[Cost]] = {name: [] for name in sides}
    for _ in range(repeat):
        for name, run in sides.items():
            seen[name].append(run())
    return {name: Cost(min(c.wall for c in costs), min(c.cpu for c in costs)) for name, costs in seen.items()}


def line(what: str, ours: Cost, base: Cost, against: str) -> str:
    return (f"| {what} | {ours.wall:.3f} s | {ours.cpu:.3f} s | {against} | {base.wall:.3f} s | {base.cpu:.3f} s "
            f"| {ours.wall / base.wall:.1f} | {ours.cpu / base.cpu:.1f} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8_800, 880_000], help="deals in the generated files")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions (two at most above 100,000 deals)")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    python, cores = platform.python_version(), os.cpu_count()
    versions = f"Python {python}, pandas {pd.__version__}, numpy {np.__version__}"
    command = " ".join(["python benchmarks/run.py", *sys.argv[1:]])
    print(f"{date.today()}, {versions}, {cores} cores, `{command}`\n")
    print("| what | clock | processor | against | clock | processor | clock ratio | processor ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for size in options.sizes:
        repeat = options.repeat if size <= 100_000 else min(options.repeat, 2)
        with tempfile.TemporaryDirectory() as folder:
            write_deals(Path(folder), size, options.seed)
            for layout, label in (("current", "one row per deal"), ("history", "with stage history")):
                files = Path(folder) / layout
                kit = Kit(files)
                found = smallest({
                    "load": lambda kit=kit: cost(kit.load_and_measure),
                    "metrics": lambda kit=kit: kit.metrics,
                    "pandas": lambda files=files: cost(lambda: with_pandas(files)),
                }, repeat)  # fmt: skip
                print(
                    line(
                        f"{size:,} deals, {label}: load and all metrics", found["load"], found["pandas"], "plain pandas"
                    )
                )
                print(
                    line("… of which the metrics alone", found["metrics"], found["pandas"], "plain pandas"), flush=True
                )
    found = smallest({
        "import": lambda: child_cost("-c", "import salescoach"),
        "pass": lambda: child_cost("-c", "pass"),
    }, 2 * options.repeat)  # fmt: skip
    print(line("import salescoach", found["import"], found["pass"], "python -c pass"))


if __name__ == "__main__":
    main()
