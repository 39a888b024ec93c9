"""What counting costs, as ratios measured in one run, and count tables of more events than fit into memory.

    python benchmarks/counts.py flow      # stage flow of a saved book of 5 million events against DuckDB and pandas
    python benchmarks/counts.py metrics   # all metrics of a book of a million deals against opening it
    python benchmarks/counts.py memory    # the peak of a process that computes the stage flow, against the book's size
    python benchmarks/counts.py scale     # time per event from ten thousand to ten million events
    python benchmarks/counts.py large     # count tables of 60 million events by DuckDB within 3 GB

Each takes `--events` (or `--deals`), `--repeat` and `--folder` (where the generated books are kept for the next run;
default: a temporary folder that is removed). Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from run import ADVANCE, DAYS, FIRST_DAY, MEDIAN_DAYS, Cost, cost, measure_all, smallest

KEYS = np.array(["prospect", "qualified", "quote", "contract"])
EVENTS_PER_DEAL = 3.23
AT_ONCE, CHUNK = 4_000_000, 500_000  # deals: more than so many are made and written in parts
SAMPLE = 20_000  # deals from which the cost of a function per deal is counted up
ZONE = "Asia/Shanghai"

FLOW_IN_DUCKDB = """
WITH stays AS (
  SELECT deal_id, stage, entered_at,
    LEAD(stage) OVER steps AS next_stage, LEAD(entered_at) OVER steps AS left_at
  FROM read_parquet('{folder}/stage_history.parquet')
  WINDOW steps AS (PARTITION BY deal_id ORDER BY entered_at)
)
SELECT d.rep_id, s.stage, COUNT(*) AS entered,
  COUNT(*) FILTER (s.next_stage IS NOT NULL AND s.next_stage NOT IN ('lost', 'void')) AS converted,
  MEDIAN(DATE_DIFF('second', s.entered_at, s.left_at) / 86400.0) AS median_days
FROM stays s JOIN read_parquet('{folder}/deals.parquet') d ON d.deal_id = s.deal_id
WHERE s.stage NOT IN ('won', 'lost', 'void')
GROUP BY d.rep_id, s.stage ORDER BY d.rep_id, s.stage
"""

PEAK = """
import json, re, sys, time
from pathlib import Path

def highest():  # of this process alone, in KB
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

{work}
"""

FLOW_IN_MEMORY = """
from salescoach.book import open_book
from salescoach.metrics import stage_flow
before = highest()
book = open_book(sys.argv[1])
opened = highest()
stage_flow(book, "rep")
peak = highest()
sizes = {n: int(t.memory_usage(deep=True, index=False).sum()) // 1024 for n, t in book.tables.items()}
numbers = int(book.log.memory_usage(deep=True, index=False).sum()) // 1024
held, kept = sum(sizes.values()), sum(sizes.values()) - sizes["stage_history"] + numbers
print(json.dumps({"before": before, "opened": opened, "peak": peak, "held": held, "kept": kept}))
"""

COUNTS_IN_FILES = """
from salescoach.metrics import sql
from salescoach.sources.warehouse import open_files
found, settings = {}, json.loads(sys.argv[2])
with open_files(sys.argv[1], **settings) as warehouse:
    for name, count in {
        "decisions": sql.decisions, "visit_counts": sql.visit_counts, "stage_flow": sql.stage_flow,
    }.items():
        for by in ("team", "rep"):
            start = time.perf_counter()
            table = count(warehouse, by)
            found[f"{name} by {by}"] = [time.perf_counter() - start, len(table), int(table["n"].sum()), highest()]
            print(name, by, *found[f"{name} by {by}"], file=sys.stderr, flush=True)
print(json.dumps(found))
"""


# --- books ---------------------------------------------------------------------------------------


def some_deals(
    size: int, first: int, reps: list[str], chance: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Deals numbered from `first` on and their history, in the order in which a saved book has them.

    One deal in twenty goes back a stage once.
    """
    end = _end().tz_localize(None).to_numpy()  # no book holds what came after its day
    number = np.arange(first, first + size)
    owner = np.sort(chance.integers(0, len(reps), size))
    seconds = int((end - FIRST_DAY.to_numpy()) / np.timedelta64(1, "s"))
    created = FIRST_DAY.to_numpy() + chance.integers(0, seconds, size).astype("timedelta64[s]")
    stage, closed = (
        np.full(size, KEYS[0], dtype=object),
        np.full(size, np.datetime64("NaT", "s"), dtype="datetime64[s]"),
    )
    outcome = np.full(size, "open", dtype=object)
    entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    going, now, step = np.arange(size), created.astype("datetime64[s]"), np.zeros(size, dtype=np.int64)
    returning = chance.random(size) < 0.05
    while len(going):
        entries.append((going, now, KEYS[step[going]]))
        stage[going] = KEYS[step[going]]
        days = np.exp(chance.normal(np.log(MEDIAN_DAYS[step[going]]), 0.7))
        now = now + (days * 86_400).astype("timedelta64[s]")
        inside = now < end
        going, now = going[inside], now[inside]
        back = returning[going] & (step[going] > 0)
        returning[going[back]] = False
        on = chance.random(len(going)) < ADVANCE[step[going]]
        won, lost = on & ~back & (step[going] == len(KEYS) - 1), ~on & ~back
        for over, name in ((won, "won"), (lost, "lost")):
            ended = going[over]
            stage[ended], outcome[ended], closed[ended] = name, name, now[over]
            entries.append((ended, now[over], np.full(len(ended), name)))
        step[going] += np.where(back, -1, 1)
        going, now = going[~won & ~lost], now[~won & ~lost]
    amount = np.where(chance.random(size) < 0.9, (chance.lognormal(7, 1, size) * 100).astype(np.int64), -1)
    minor = pd.Series(amount, dtype="Int64").mask(amount < 0)
    names = pd.Series(np.char.add("D", np.char.zfill(number.astype(str), 9)), dtype="str")
    of_reps = pd.Series(reps, dtype="str")
    deals = pd.DataFrame({
        "deal_id": names,
        "rep_id": of_reps.take(owner).reset_index(drop=True),
        "stage": pd.Series(stage, dtype="str"),
        "created_at": _instants(created),
        "closed_at": _instants(closed),
        "amount": minor.astype("float64") / 100,
        "amount_minor": minor,
        "outcome": pd.Series(outcome, dtype="str"),
        "pipeline": pd.Series("new", names.index, dtype="str"),
        "account_id": pd.Series(np.char.add("A", (number // 20).astype(str)), dtype="str"),
        "lead_source": pd.Series(chance.choice(["web", "fair", "partner"], size), dtype="str"),
    })  # fmt: skip
    deal, at, where = (np.concatenate([e[i] for e in entries]) for i in range(3))
    order = np.lexsort((at, deal))
    history = pd.DataFrame({
        "deal_id": names.take(deal[order]).reset_index(drop=True),
        "entered_at": _instants(at[order]),
        "stage": pd.Series(where[order], dtype="str"),
        "evidence": pd.Series("observed", range(len(order)), dtype="str"),
    })  # fmt: skip
    return deals, history


def _end() -> pd.Timestamp:
    """The end of the generated book's last day."""
    return (FIRST_DAY + pd.Timedelta(days=DAYS)).tz_localize(ZONE).tz_convert("UTC")


def _instants(stamps: np.ndarray) -> pd.Series:
    return pd.Series(stamps.astype("datetime64[us]")).dt.tz_localize("UTC")


def write_book(folder: Path, events: int, seed: int = 7) -> int:
    """Write a saved book of about so many stage entries. Returns their number.

    One of more than four million deals is written in parts, by which its seal breaks: `open_book` refuses it.
    """
    from salescoach.book import Book, save_book
    from salescoach.kit import kit_path
    from salescoach.process import read_process

    size = max(int(events / EVENTS_PER_DEAL), 100)
    reps = [f"R{i:05}" for i in range(max(35, size // 20_000))]
    people = pd.DataFrame(
        {"rep_id": reps, "name": reps, "team": [f"Team {i % 12:02}" for i in range(len(reps))]}, dtype="str"
    )
    process = read_process(kit_path("templates/process") / "standard.toml")
    as_of = _end() - pd.Timedelta("1us")
    chance = np.random.default_rng(seed)
    parts = 1 if size <= AT_ONCE else min(-(-size // CHUNK), len(reps))
    shares = np.array_split(np.array(reps, dtype=object), parts)
    sizes = [size * len(share) // len(reps) for share in shares]

    def made() -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        for i, (share, number) in enumerate(zip(shares, sizes, strict=True)):
            yield some_deals(number, sum(sizes[:i]), list(share), chance)

    deals, history = next(first := made())
    if parts == 1:
        save_book(Book({"deals": deals, "stage_history": history, "reps": people}, process, as_of, "CNY"), folder)
        return len(history)
    head = {"deals": deals.iloc[:1], "stage_history": history.iloc[:1], "reps": people}
    save_book(Book(head, process, as_of, "CNY"), folder)
    return _append(folder, deals, history, first)


def _append(
    folder: Path, deals: pd.DataFrame, history: pd.DataFrame, others: Iterator[tuple[pd.DataFrame, pd.DataFrame]]
) -> int:
    """Write the tables part by part over those of a saved head: the book is too large to be held."""
    files = {name: folder / f"{name}.parquet" for name in ("deals", "stage_history")}
    rows = 0
    writers: dict[str, pq.ParquetWriter] = {}
    while True:
        owners = deals.set_index("deal_id")["rep_id"].reindex(history["deal_id"]).to_numpy()
        parts = {"deals": deals, "stage_history": history.assign(_owner=pd.Series(owners, dtype="str"))}
        for name, frame in parts.items():
            table = pa.Table.from_pandas(frame, preserve_index=False)
            if name not in writers:
                writers[name] = pq.ParquetWriter(files[name], table.schema)
            writers[name].write_table(table, row_group_size=20_000)
        rows += len(history)
        following = next(others, None)
        if following is None:
            break
        deals, history = following
    for writer in writers.values():
        writer.close()
    return rows


@contextmanager
def book_of(events: int, kept: Path | None) -> Iterator[tuple[Path, int]]:
    """A folder with a saved book of so many events, and their number."""
    place = kept or Path(tempfile.mkdtemp())
    folder = place / f"book-{events}"
    try:
        if not (folder / "book.json").exists():
            write_book(folder, events)
        yield folder, pq.read_metadata(folder / "stage_history.parquet").num_rows
    finally:
        if kept is None:
            shutil.rmtree(place)


# --- what is measured ------------------------------------------------------------------------------


def flow(events: int, repeat: int, kept: Path | None) -> None:
    """Per rep and stage: entered, converted, median days, from the saved book."""
    import duckdb

    from salescoach.book import open_book
    from salescoach.metrics import sql, stage_flow
    from salescoach.sources.warehouse import open_files

    def in_files(folder: Path) -> None:
        with open_files(folder, threads=2) as warehouse:
            sql.stage_flow(warehouse, "rep")

    def in_duckdb(folder: Path) -> None:
        with duckdb.connect(config={"threads": 2}) as connection:
            connection.sql(FLOW_IN_DUCKDB.format(folder=folder)).fetchall()

    with book_of(events, kept) as (folder, rows):
        found = smallest({
            "kit": lambda: cost(lambda: stage_flow(open_book(folder), "rep")),
            "kit alone": lambda: _alone(folder),
            "sql": lambda: cost(lambda: in_files(folder)),
            "duckdb": lambda: cost(lambda: in_duckdb(folder)),
            "pandas": lambda: cost(lambda: by_apply(folder)),
        }, repeat)  # fmt: skip
        deals = pq.read_metadata(folder / "deals.parquet").num_rows
        by_deal = cost(lambda: by_function_of_a_deal(folder))
    times = deals / min(SAMPLE, deals)
    found["by deal"] = Cost(by_deal.wall * times, by_deal.cpu * times)
    name = f"{rows:,} events: open the saved book and compute the stage flow by rep"
    head("flow")
    print(line(name, found["kit"], found["duckdb"], "DuckDB, 2 threads"))
    print(
        line(
            "… against the usual way",
            found["kit"],
            found["by deal"],
            f"pandas, apply per deal ({SAMPLE:,}, counted up)",
        )
    )
    print(line("… against one with more care", found["kit"], found["pandas"], "pandas, shift, apply per rep and stage"))
    print(line("… the same counted in the files, within 2 GB", found["sql"], found["duckdb"], "DuckDB, 2 threads"))
    print(line("the stage flow of the open book", found["kit alone"], found["duckdb"], "DuckDB, 2 threads"), flush=True)


def _alone(folder: Path) -> Cost:
    from salescoach.book import open_book
    from salescoach.metrics import stage_flow

    book = open_book(folder)
    return cost(lambda: stage_flow(book, "rep"))


def by_apply(folder: Path) -> pd.DataFrame:
    """What people write who know pandas: shift within each deal, then a function of each group."""
    log = pd.read_parquet(folder / "stage_history.parquet", columns=["deal_id", "entered_at", "stage"])
    deals = pd.read_parquet(folder / "deals.parquet", columns=["deal_id", "rep_id"])
    log = log.merge(deals, on="deal_id").sort_values(["deal_id", "entered_at"])
    following = log.groupby("deal_id")[["stage", "entered_at"]].shift(-1)
    log["next_stage"], log["left_at"] = following["stage"], following["entered_at"]
    stays = log[~log["stage"].isin(["won", "lost", "void"])]

    def counted(stay: pd.DataFrame) -> pd.Series:
        on = stay["next_stage"].notna() & ~stay["next_stage"].isin(["lost", "void"])
        days = (stay["left_at"] - stay["entered_at"]).dt.total_seconds() / 86_400
        return pd.Series({"entered": len(stay), "converted": on.sum(), "median_days": days.median()})

    return stays.groupby(["rep_id", "stage"]).apply(counted)


def by_function_of_a_deal(folder: Path) -> pd.DataFrame:
    """What most people write first: a function of each deal's rows. A sample of deals: all of them take minutes."""
    log = pd.read_parquet(folder / "stage_history.parquet", columns=["deal_id", "entered_at", "stage"])
    deals = pd.read_parquet(folder / "deals.parquet", columns=["deal_id", "rep_id"]).head(SAMPLE)
    log = log[log["deal_id"].isin(deals["deal_id"])]

    def stays(steps: pd.DataFrame) -> pd.DataFrame:
        steps = steps.sort_values("entered_at")
        left_at = steps["entered_at"].shift(-1)
        days = (left_at - steps["entered_at"]).dt.total_seconds() / 86_400
        return pd.DataFrame({"stage": steps["stage"], "next_stage": steps["stage"].shift(-1), "days": days})

    found = log.groupby("deal_id").apply(stays).reset_index(level=0).merge(deals, on="deal_id")
    found = found[~found["stage"].isin(["won", "lost", "void"])]
    found["converted"] = found["next_stage"].notna() & ~found["next_stage"].isin(["lost", "void"])
    return found.groupby(["rep_id", "stage"]).agg(
        entered=("stage", "size"), converted=("converted", "sum"), median_days=("days", "median")
    )


def metrics(events: int, repeat: int, kept: Path | None) -> None:
    """Every metric of a book against reading it, all texts written out, and against opening it, which leaves the stage
    history as numbers. The book is opened anew each time, so that nothing is kept."""
    from salescoach.book import open_book

    def measured(folder: Path) -> Cost:
        book = open_book(folder)
        return cost(lambda: measure_all(book))

    with book_of(events, kept) as (folder, rows):
        found = smallest({
            "metrics": lambda: measured(folder),
            "read": lambda: cost(lambda: dict(open_book(folder).tables)),
            "open": lambda: cost(lambda: open_book(folder)),
        }, repeat)  # fmt: skip
        deals = pq.read_metadata(folder / "deals.parquet").num_rows
    head("metrics")
    print(line(f"{deals:,} deals, {rows:,} events: all metrics", found["metrics"], found["read"], "reading the book"))
    print(line("… against opening it only", found["metrics"], found["open"], "opening the book"))


def memory(events: int, repeat: int, kept: Path | None) -> None:
    """The peak of a process of its own, less what the imports take, against the book's size in memory: its tables
    written out, and as it keeps them, the stage history as numbers."""
    with book_of(events, kept) as (folder, rows):
        peak = child(FLOW_IN_MEMORY, folder)
    held, numbers = peak["held"] / 1024, peak["kept"] / 1024
    opened, flow_peak = ((peak[k] - peak["before"]) / 1024 for k in ("opened", "peak"))
    print("\n| what | book, as tables | as kept | opening it | with the stage flow by rep |\n|---|---|---|---|---|")
    print(f"| {rows:,} events | {held:,.0f} MB | {numbers:,.0f} MB | {opened:,.0f} MB ({opened / held:.1f}) "
          f"| {flow_peak:,.0f} MB ({flow_peak / held:.1f}) |", flush=True)  # fmt: skip


def scale(events: int, repeat: int, kept: Path | None) -> None:
    """Seconds per event from ten thousand to `events`, ten times more each time."""
    from salescoach.book import open_book

    print("\n| events | opening, µs an event | stage flow by rep, µs an event |\n|---|---|---|")
    size = 10_000
    while size <= events:
        with book_of(size, kept) as (folder, rows):
            found = smallest({
                "open": lambda folder=folder: cost(lambda: open_book(folder)),
                "flow": lambda folder=folder: _alone(folder),
            }, repeat)  # fmt: skip
        print(f"| {rows:,} | {found['open'].cpu / rows * 1e6:.2f} | {found['flow'].cpu / rows * 1e6:.2f} |", flush=True)
        size *= 10


def large(events: int, repeat: int, kept: Path | None, memory_limit: str = "2GB", threads: int = 2) -> None:
    """Count tables of a book larger than memory, each by its SELECTs: the clock, and the peak of the process so far."""
    settings = {"memory_limit": memory_limit, "threads": threads, **({"spill": str(kept)} if kept else {})}
    with book_of(events, kept) as (folder, rows):
        size = sum(f.stat().st_size for f in folder.glob("*.parquet")) / 2**20
        found = child(COUNTS_IN_FILES, folder, json.dumps(settings))
    print(f"\n{rows:,} events, {size:,.0f} MB of Parquet; DuckDB with {memory_limit} and {threads} threads\n")
    print("| count table | seconds | rows of it | counted | peak of the process |\n|---|---|---|---|---|")
    for name, (seconds, cells, n, peak) in found.items():
        print(f"| {name} | {seconds:.1f} | {cells:,} | {n:,} | {peak / 1024:,.0f} MB |", flush=True)


def child(work: str, *arguments: str | Path) -> dict[str, list[float]]:
    """What a process of its own prints as JSON."""
    code = PEAK.replace("{work}", work)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def head(what: str) -> None:
    print("\n| what | clock | processor | against | clock | processor | clock ratio | processor ratio |")
    print("|---|---|---|---|---|---|---|---|")


def line(what: str, ours: Cost, base: Cost, against: str) -> str:
    costs = [f"{ours.wall:.3f} s", f"{ours.cpu:.3f} s", against, f"{base.wall:.3f} s", f"{base.cpu:.3f} s"]
    return f"| {' | '.join([what, *costs, f'{ours.wall / base.wall:.2f}', f'{ours.cpu / base.cpu:.2f}'])} |"


PARTS: dict[str, tuple[Callable[..., None], int]] = {
    "flow": (flow, 5_000_000),
    "metrics": (metrics, round(1_000_000 * EVENTS_PER_DEAL)),
    "memory": (memory, 5_000_000),
    "scale": (scale, 10_000_000),
    "large": (large, 60_000_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--events", type=int, help="stage entries in the generated book")
    parser.add_argument("--deals", type=int, help="the same, said in deals")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where generated books are kept")
    parser.add_argument("--memory-limit", default="2GB", help="of DuckDB, for `large`")
    parser.add_argument("--threads", type=int, default=2, help="of DuckDB, for `large`")
    options = parser.parse_args()
    run, events = PARTS[options.part]
    events = options.events or (round(options.deals * EVENTS_PER_DEAL) if options.deals else events)
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python benchmarks/counts.py", *sys.argv[1:]])
    versions = f"Python {platform.python_version()}, pandas {pd.__version__}, numpy {np.__version__}"
    print(f"{date.today()}, {versions}, {os.cpu_count()} cores, `{command}`")
    more = {"memory_limit": options.memory_limit, "threads": options.threads} if run is large else {}
    run(events, options.repeat, options.folder, **more)


if __name__ == "__main__":
    main()
