"""What loading costs, as ratios measured in one run: a checked book against a bare read of the same clean files.

    python benchmarks/loading.py                            # 10,000, 100,000 and 1,000,000 deals
    python benchmarks/loading.py --sizes 10000 --repeat 5
    python benchmarks/loading.py --sizes 2400 24000 240000 2400000 --chart benchmarks/cost_per_row.png

The bare read is `pyarrow.csv.read_csv` (or `pyarrow.parquet.read_table`) and a cast of the stamps and amounts; the
naive load makes of it what a book's tables are, in pandas: instants of a time zone, amounts in minor units. Neither
checks anything. Memory is the peak of a process of its own, less what the imports take. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
from run import Cost, cost, smallest, write_deals

STAMPS = {"deals": ("created_at", "closed_at"), "stage_history": ("entered_at",)}
PEAK = """
import json, re, sys
from pathlib import Path
from salescoach.sources.load import load_book
import pyarrow.csv

def highest():  # of this process alone, in KB
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = highest()
book = load_book(sys.argv[1], source="generic")
peak = highest()
held = sum(int(t.memory_usage(deep=True, index=False).sum()) for t in book.tables.values()) // 1024
print(json.dumps([peak - before, held]))
"""


def bare_csv(folder: Path) -> None:
    import pyarrow as pa
    from pyarrow import csv

    for name, stamps in STAMPS.items():
        types = dict.fromkeys(stamps, pa.timestamp("us"))
        csv.read_csv(folder / f"{name}.csv", convert_options=csv.ConvertOptions(column_types=types))


def naive_csv(folder: Path) -> dict[str, pd.DataFrame]:
    import pyarrow as pa
    from pyarrow import csv

    tables = {}
    for name, stamps in STAMPS.items():
        types = dict.fromkeys(stamps, pa.timestamp("us"))
        read = csv.read_csv(folder / f"{name}.csv", convert_options=csv.ConvertOptions(column_types=types))
        tables[name] = read.to_pandas()
        for column in stamps:
            tables[name][column] = tables[name][column].dt.tz_localize("Asia/Shanghai").dt.tz_convert("UTC")
    tables["deals"]["amount_minor"] = (tables["deals"]["amount"] * 100).round().astype("Int64")
    return tables


def bare_parquet(folder: Path) -> None:
    from pyarrow import parquet

    for name in STAMPS:
        parquet.read_table(folder / f"{name}.parquet")


def as_parquet(folder: Path, target: Path) -> None:
    target.mkdir()
    for file in folder.glob("*.csv"):
        stamps = [*STAMPS.get(file.stem, ())]
        pd.read_csv(file, parse_dates=stamps).to_parquet(target / f"{file.stem}.parquet", index=False)


def load(folder: Path) -> Callable[[], object]:
    from salescoach.sources.load import load_book

    return lambda: load_book(folder, source="generic")


def memory(folder: Path) -> tuple[float, float]:
    """Peak of a load and size of the book, in MB."""
    done = subprocess.run([sys.executable, "-c", PEAK, str(folder)], check=True, capture_output=True, text=True)
    peak, held = json.loads(done.stdout)
    return peak / 1024, held / 1024


def line(what: str, ours: Cost, base: Cost, against: str) -> str:
    costs = [f"{ours.wall:.3f} s", f"{ours.cpu:.3f} s", against, f"{base.wall:.3f} s", f"{base.cpu:.3f} s"]
    return f"| {' | '.join([what, *costs, f'{ours.wall / base.wall:.2f}', f'{ours.cpu / base.cpu:.2f}'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="deals")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions (two at most above 100,000 deals)")
    parser.add_argument("--chart", type=Path, help="draw the cost of a row by the number of rows into this file")
    options = parser.parse_args()
    command = " ".join(["python benchmarks/loading.py", *sys.argv[1:]])
    versions = f"Python {platform.python_version()}, pandas {pd.__version__}"
    print(f"{date.today()}, {versions}, {os.cpu_count()} cores, `{command}`\n")
    print("| what | clock | processor | against | clock | processor | clock ratio | processor ratio |")
    print("|---|---|---|---|---|---|---|---|")
    costs: list[tuple[int, float, float]] = []
    for size in options.sizes:
        repeat = options.repeat if size <= 100_000 else min(options.repeat, 2)
        with tempfile.TemporaryDirectory() as place:
            write_deals(Path(place), size, 7)
            costs.append(measure(Path(place), size, repeat))
    if options.chart is not None:
        draw(costs, options.chart)


def draw(costs: list[tuple[int, float, float]], file: Path) -> None:
    """Microseconds of the processor for a row, by the number of rows."""
    from salescoach import charts

    with charts.style():
        ax = charts.new_axes(8, 6, 4)
        rows = [n for n, *_ in costs]
        for at, (label, marker) in enumerate(
            (("a checked book from CSV", "o"), ("a checked book from Parquet", "s")), start=1
        ):
            ax.plot(rows, [c[at] for c in costs], marker=marker, label=label)
        ax.set_xscale("log")
        ax.set_xticks(rows, [f"{n:,}" for n in rows])
        ax.minorticks_off()
        ax.set_ylim(bottom=0)
        ax.set_xlabel("rows of deals and stage history")
        ax.set_title("What does a row cost? (µs of the processor)")
        ax.legend(frameon=False)
        ax.get_figure().savefig(file, bbox_inches="tight", dpi=110)


def measure(place: Path, size: int, repeat: int) -> tuple[int, float, float]:
    """Prints what a size costs; returns its rows and the µs of the processor a row, from CSV and from Parquet."""
    from salescoach.book import open_book, open_slice, save_book
    from salescoach.sources.load import load_book

    texts, columns = place / "history", place / "parquet"
    rows = sum(len(pd.read_csv(texts / f"{n}.csv", usecols=[0])) for n in STAMPS)
    as_parquet(texts, columns)
    book = load_book(texts, source="generic")
    save_book(book, place / "book")
    rep = str(book.people["rep_id"].iloc[0])
    del book
    found = smallest({
        "csv": lambda: cost(load(texts)),
        "bare csv": lambda: cost(lambda: bare_csv(texts)),
        "naive csv": lambda: cost(lambda: naive_csv(texts)),
        "parquet": lambda: cost(load(columns)),
        "bare parquet": lambda: cost(lambda: bare_parquet(columns)),
        "slice": lambda: cost(lambda: open_slice(place / "book", rep)),
        "open": lambda: cost(lambda: open_book(place / "book")),
    }, repeat)  # fmt: skip
    name = f"{size:,} deals, {rows:,} rows"
    print(line(f"{name}: a checked book from CSV", found["csv"], found["bare csv"], "pyarrow.csv and a cast"))
    print(line("… against a naive load", found["csv"], found["naive csv"], "the same into a book's types"))
    print(line("… from Parquet", found["parquet"], found["bare parquet"], "pyarrow.parquet"))
    print(line("… one rep's slice of the saved book", found["slice"], found["open"], "opening all of it"))
    peak, held = memory(texts)
    per_row = found["csv"].cpu / rows * 1e6
    print(
        f"| … memory: peak {peak:,.0f} MB for a book of {held:,.0f} MB ({peak / held:.1f}); {per_row:.2f} µs a row "
        "| | | | | | | |",
        flush=True,
    )
    return rows, per_row, found["parquet"].cpu / rows * 1e6


if __name__ == "__main__":
    main()
