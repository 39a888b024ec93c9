"""A run: every report of a plan, each in a worker of its own, published together at the end."""

from __future__ import annotations

import datetime as dt
import errno
import io
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import salescoach
from salescoach.batch.durable import (
    locked,
    make_folder,
    point_to,
    publish,
    remove_folder,
    remove_halves,
    take_over,
    write_file,
    write_json,
)
from salescoach.batch.index import index_page
from salescoach.batch.inputs import file_hash, hash_of, keys_of
from salescoach.batch.job import Outcome, Task
from salescoach.batch.journal import JOURNAL, Journal
from salescoach.batch.plan import Job, PlanFile, gaps, make_jobs, one_report
from salescoach.batch.published import CURRENT, INDEX, MANIFEST, RUNS, read_manifest, verify
from salescoach.batch.runners import make_ready
from salescoach.batch.runners import outcomes as made
from salescoach.book import Book, write_folder
from salescoach.coaching.agreed import write_agreed
from salescoach.coaching.ledger import open_ledger
from salescoach.errors import InputError, StorageError
from salescoach.process import parse_period
from salescoach.reports.others import beside_a_team, tables_of_others, tables_of_teams
from salescoach.wording import words

Progress = Callable[[Outcome, int, int], None]
AT_ONCE = 50  # reps whose part of the book is cut out at a time
STAMP = "%Y%m%dT%H%M%S.%f"  # of a run's folder: the newest comes last
FORECASTING = ("forecast", "team_review")


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, what was to be made, how each report went, and whom the book has none of.

    made    how many reports were made or tried now; the others stood there from the same inputs
    stale   files of failed reports whose page of an earlier run was kept
    """

    folder: Path
    jobs: tuple[Job, ...]
    outcomes: tuple[Outcome, ...]
    gaps: tuple[str, ...]
    made: int = 0
    stale: tuple[str, ...] = ()

    @property
    def index(self) -> Path:
        return self.folder / "index.html"

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(o for o in self.outcomes if o.status != "done")

    @property
    def exit_code(self) -> int:
        """0 all done, 3 some reports missing."""
        return 3 if self.failed else 0


def run_batch(
    book: Book,
    plan: PlanFile,
    out: str | Path,
    workers: int | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
    own: str | Path | None = None,
    ledger: str | Path | None = None,
    elsewhere: str = "",
    force: bool = False,
    keep: int | None = None,
) -> Run:
    """Make every report of a plan and publish them as OUT/current.

    book       the whole book; each worker gets a slice of it and the run's peer figures, and no path to the rest
    workers    processes at a time (default: one per core)
    progress   called after each report: (outcome, finished, all)
    executor   any concurrent.futures.Executor instead of threads of this process
    own        a Python file with metrics of one's own, which every notebook loads first
    ledger     where commitments are kept: what was agreed with a rep goes into that rep's slice, notes never
    elsewhere  NAME or NAME=ADDRESS of a runner that makes the reports, such as dask=tcp://HOST:8786
    force      make everything again, also what stands there from the same inputs
    keep       so many runs stay below OUT/runs; older ones are removed (default: all stay)

    One report that fails does not stop the others; its page of the run before stays, marked stale. From the same
    inputs nothing is written at all. A run that is stopped or killed publishes nothing; the next one from the same
    inputs goes on where it stopped. Raises UsageError, before anything runs, where the plan names what is not there,
    StorageError where OUT cannot be used, Locked where another run works there, and InputError where a notebook
    changed while the run was going on.
    """
    jobs = make_jobs(book, plan)
    out = Path(out)
    _refuse_in_the_way(out / CURRENT)
    _writable(out / RUNS)
    with locked(out):
        _end_publishing(out)
        keys = keys_of(book, jobs, own, ledger)
        before = read_manifest(out)
        if not force and _stands(out, before, keys, plan):
            _remove_old(out, keep, plan.keep_days)
            return _as_published(out, before, jobs, plan)
        run = _make(book, plan, jobs, keys, out, before, force, own, ledger, (workers, progress, executor, elsewhere))
        if keys_of(book, jobs, own, ledger) != keys:
            raise InputError("A notebook, or what was agreed, changed while the run was going on. Run it again.")
        finished = _free_name(out / RUNS, run.folder.name)
        publish(run.folder, finished, out / CURRENT)
        _remove_old(out, keep, plan.keep_days)
    return replace(run, folder=out / CURRENT)


def _make(
    book: Book,
    plan: PlanFile,
    jobs: Sequence[Job],
    keys: Sequence[str],
    out: Path,
    before: dict[str, Any] | None,
    force: bool,
    own: str | Path | None,
    ledger: str | Path | None,
    how: tuple[Any, ...],
) -> Run:
    """The run, complete in a hidden folder that is named by its inputs."""
    folder = _unfinished(out, keys, force)
    journal = Journal(folder / JOURNAL)
    ready = _ready(folder, jobs, keys, journal, out, {} if force else _by_key(before))
    write_json(folder / "plan.json", {"plan": plan.model_dump(), "jobs": [j.to_dict() for j in jobs]})
    todo = [(job, key) for job, key in zip(jobs, keys, strict=True) if job.file not in ready]
    if todo:
        ready |= _made(book, todo, folder, journal, len(jobs) - len(todo), own, ledger, *how)
    outcomes = tuple(ready[job.file] for job in jobs)
    stale = _keep_the_old(folder, out, before, outcomes)
    missing = gaps(jobs, plan)
    made_of = {**manifest(book, jobs, outcomes, keys, stale), "gaps": missing}
    write_json(folder / MANIFEST, made_of)
    write_file(folder / INDEX, index_page(made_of, words(plan.language)).encode("utf-8"))
    remove_halves(folder)
    reports = {o.file for o in outcomes}
    journal.add({"sealed": {name: hashed for name, hashed in _hashes(folder).items() if name not in reports}})
    return Run(folder, tuple(jobs), outcomes, missing, made=len(todo), stale=tuple(stale))


def _made(
    book: Book,
    todo: Sequence[tuple[Job, str]],
    folder: Path,
    journal: Journal,
    already: int,
    own: str | Path | None,
    ledger: str | Path | None,
    workers: int | None,
    progress: Progress | None,
    executor: Executor | None,
    elsewhere: str,
) -> dict[str, Outcome]:
    """Outcomes of what is still to be made; each is in the journal as soon as it is there."""
    jobs, key_of = [job for job, _ in todo], {job.file: key for job, key in todo}
    peers = {
        period: tables_of_others(book, parse_period(period, book.process, book.as_of_on.date()))
        for period in {j.period for j in jobs}
    }
    teams = {period: _of_teams(book, jobs, period) for period in peers}
    _write_peers(folder, peers)

    def note(outcome: Outcome, number: int, total: int) -> None:
        if outcome.status == "done":
            journal.add({"key": key_of[outcome.file], **outcome.to_dict()})
        if progress is not None:
            progress(outcome, already + number, already + total)

    with tempfile.TemporaryDirectory(prefix="salescoach-slices-") as private:
        parts = Parts(book, jobs)
        tasks = [_task(job, _slice(parts, job, peers, teams, Path(private), ledger), folder, own) for job in jobs]
        return {o.file: o for o in _execute(tasks, workers, note, executor, elsewhere)}


def run_report(
    book: Book,
    notebook: str,
    out: str | Path,
    rep: str | None = None,
    team: str | None = None,
    period: str | None = None,
    language: str = "en",
    own: str | Path | None = None,
    ledger: str | Path | None = None,
) -> tuple[Path, Outcome]:
    """Make one report as a file in `out`, with metrics of one's own from the file `own` and what was agreed from the
    `ledger`. Returns its path and how it went.
    """
    job = one_report(book, notebook, rep, team, period, language)
    out = _writable(Path(out))
    make_ready()
    peers = {job.period: tables_of_others(book, parse_period(job.period, book.process, book.as_of_on.date()))}
    with tempfile.TemporaryDirectory(prefix="salescoach-slices-") as private:
        name = job.notebook if job.per == "company" else f"{job.slug}-{job.notebook}"
        teams = {job.period: _of_teams(book, [job], job.period)}
        task = _task(job, _slice(Parts(book, [job]), job, peers, teams, Path(private), ledger), out, own)
        task = replace(task, target=str((out / f"{name}.html").resolve()))
        [outcome] = _execute([task], workers=1, progress=None)
    return Path(task.target), outcome


# --- slices ----------------------------------------------------------------------------------------


def _of_teams(book: Book, jobs: Sequence[Job], period: str) -> dict[str, dict[str, Any]]:
    """Each team's part of the company's forecast; it goes into that team's slice and nowhere else."""
    asked = [j.subject for j in jobs if j.per == "team" and j.period == period and j.notebook in FORECASTING]
    if not asked:
        return {}
    return tables_of_teams(book, list(dict.fromkeys(asked)), parse_period(period, book.process, book.as_of_on.date()))


class Parts:
    """Cuts a book for its reps, many at a time first: else each report would read the whole book again."""

    def __init__(self, book: Book, jobs: Sequence[Job]) -> None:
        self.book = book
        reps = list(dict.fromkeys(job.subject for job in jobs if job.per == "rep"))
        groups = [reps[at : at + AT_ONCE] for at in range(0, len(reps), AT_ONCE)]
        self._group_of = {rep: number for number, group in enumerate(groups) for rep in group}
        self._groups, self._last = groups, (-1, book)

    def for_rep(self, rep: str) -> Book:
        number = self._group_of[rep]
        if len(self._groups[number]) == 1:
            return self.book.for_rep(rep)
        if self._last[0] != number:
            self._last = number, self.book.for_reps({self.book.find_rep(r) for r in self._groups[number]})
        return self._last[1].for_rep(rep)


def _slice(
    parts: Parts,
    job: Job,
    peers: dict[str, Any],
    teams: dict[str, dict[str, dict[str, Any]]],
    private: Path,
    ledger: str | Path | None,
) -> Path:
    """The only data a report gets: what its subject owns, what was agreed with them, and the figures of the others."""
    place = Path(tempfile.mkdtemp(prefix="slice-", dir=private)) / "book"  # nobody can guess a neighbour's
    place.mkdir()
    book = parts.book
    part = parts.for_rep(job.subject) if job.per == "rep" else book.for_team(job.subject) if job.per == "team" else book
    if "reps" in part.tables:  # nobody's address is on a page
        part = replace(part, tables={**part.tables, "reps": part.table("reps").drop(columns="email", errors="ignore")})
    if job.per == "rep":
        part = replace(part, peers=dict(peers[job.period]))
    elif job.per == "team":
        span = parse_period(job.period, book.process, book.as_of_on.date())
        shown = beside_a_team(peers[job.period], book, job.subject, span)
        part = replace(part, peers={**shown, **teams[job.period].get(job.subject, {})})
    write_folder(part, place)
    if job.per == "rep" and ledger is not None:
        write_agreed(open_ledger(ledger).agreed_with(job.subject), place)
    return place


def _task(job: Job, book: Path, folder: Path, own: str | Path | None) -> Task:
    title = " · ".join(t for t in (job.name, words(job.language)(job.question), job.period) if t)
    file = "" if own is None else str(Path(own).resolve())
    return Task(
        job.file, job.path, title, job.language, str(book), job.parameters, str((folder / job.file).resolve()), file
    )


def _write_peers(folder: Path, peers: dict[str, Any]) -> None:
    for number, (period, tables) in enumerate(sorted(peers.items())):
        for name, table in tables.items():
            content = io.BytesIO()
            table.assign(period=period).to_parquet(content, index=False)
            write_file(folder / "peers" / f"{name}-{number}.parquet", content.getvalue())


# --- workers ---------------------------------------------------------------------------------------


def _execute(
    tasks: Sequence[Task],
    workers: int | None,
    progress: Progress | None,
    executor: Executor | None = None,
    elsewhere: str = "",
) -> list[Outcome]:
    """Outcomes in the order of the tasks; each is announced to `progress` as it comes."""
    by_file = {}
    with closing(made(tasks, workers, executor, elsewhere)) as coming:
        for number, outcome in enumerate(coming, start=1):
            if progress is not None:
                progress(outcome, number, len(tasks))
            by_file[outcome.file] = outcome
    return [by_file[t.file] for t in tasks]


# --- publishing ------------------------------------------------------------------------------------


def manifest(
    book: Book,
    jobs: Sequence[Job],
    outcomes: Sequence[Outcome],
    keys: Sequence[str],
    stale: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """What ran on which data. A stale report says from which data its page is: `stale` {as_of, key}."""
    reports = [
        {**job.to_dict(), **outcome.to_dict(), "key": key, "stale": None}
        for job, outcome, key in zip(jobs, outcomes, keys, strict=True)
    ]
    for report in reports:
        if report["file"] in stale:
            old = stale[report["file"]]
            report |= {n: old[n] for n in ("sha256", "bytes")}
            report["stale"] = {n: old[n] for n in ("as_of", "key")}
    return {
        "salescoach": salescoach.__version__,
        "made_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "book": {
            "content_hash": book.content_hash,
            "as_of": book.as_of.isoformat(),
            "as_of_on": book.as_of_on.date().isoformat(),
            "origin": dict(book.origin),
            "rows": {n: len(t) for n, t in book.tables.items()},
            "quarantined": len(book.quarantine),
        },
        "reports": reports,
        "done": sum(o.status == "done" for o in outcomes),
        "failed": sum(o.status != "done" for o in outcomes),
        "stale": len(stale),
    }


# --- what stands there already -----------------------------------------------------------------------


def _by_key(before: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """The good reports of the run before, by the key of their inputs."""
    return {r["key"]: r for r in (before or {}).get("reports", []) if r["status"] == "done" and "key" in r}


def _end_publishing(out: Path) -> None:
    """A run that was killed after its last page, just before it became current, becomes current now."""
    remove_halves(out, CURRENT)
    here = (out / CURRENT).resolve().name if (out / CURRENT).is_symlink() else ""
    newest = max((r.name for r in (out / RUNS).glob("[0-9]*") if r.name > here), default="")
    if newest:
        point_to(out / CURRENT, out / RUNS / newest)


def _stands(out: Path, before: dict[str, Any] | None, keys: Sequence[str], plan: PlanFile) -> bool:
    """Whether exactly these reports stand published, whole and unchanged."""
    if before is None or [r.get("key") for r in before["reports"]] != list(keys) or before["failed"]:
        return False
    asked = json.loads((out / CURRENT / "plan.json").read_text(encoding="utf-8"))["plan"]
    return bool(asked == json.loads(json.dumps(plan.model_dump())) and not verify(out))


def _as_published(out: Path, before: dict[str, Any] | None, jobs: Sequence[Job], plan: PlanFile) -> Run:
    outcomes = tuple(Outcome(**{n: r[n] for n in Outcome.__dataclass_fields__}) for r in (before or {})["reports"])
    return Run(out / CURRENT, tuple(jobs), outcomes, gaps(jobs, plan), made=0)


def _unfinished(out: Path, keys: Sequence[str], force: bool) -> Path:
    """The hidden folder of a run from these inputs: one that was killed goes on; those from others are removed."""
    folder = out / RUNS / f".{hash_of(list(keys))[:16]}"
    for other in (out / RUNS).glob(".*"):
        if other != folder or force:
            remove_folder(other)
    make_folder(folder)
    remove_halves(folder)
    return folder


def _ready(
    folder: Path,
    jobs: Sequence[Job],
    keys: Sequence[str],
    journal: Journal,
    out: Path,
    before: dict[str, dict[str, Any]],
) -> dict[str, Outcome]:
    """Reports that need not be made: those of this run before it was killed, and those of the last run that would
    come out the same. A page that is not what the journal says is made again.
    """
    mine, ready = journal.made(), {}
    for job, key in zip(jobs, keys, strict=True):
        known = mine.get(key) or before.get(key)
        if known is None:
            continue
        place = folder if key in mine else out / CURRENT
        file = place / known["file"]
        if not file.is_file() or file_hash(file) != known["sha256"]:
            continue
        outcome = Outcome(**{n: known[n] for n in Outcome.__dataclass_fields__})
        if key not in mine:
            take_over(file, folder / job.file)
            journal.add({"key": key, **outcome.to_dict()})
        ready[job.file] = outcome
    return ready


def _keep_the_old(
    folder: Path, out: Path, before: dict[str, Any] | None, outcomes: Sequence[Outcome]
) -> dict[str, dict[str, Any]]:
    """For each report that failed, the page of the run before, if it has a good one.

    Returns {file: {as_of, key, sha256, bytes}}.
    """
    stale = {}
    old = {r["file"]: r for r in (before or {}).get("reports", []) if r.get("sha256") and "key" in r}
    for outcome in outcomes:
        report = old.get(outcome.file)
        if outcome.status == "done" or report is None or before is None:
            continue
        source = out / CURRENT / report["file"]
        if not source.is_file() or file_hash(source) != report["sha256"]:
            continue
        take_over(source, folder / outcome.file)
        since = report["stale"] or {"as_of": before["book"]["as_of"], "key": report["key"]}
        stale[outcome.file] = {**since, "sha256": report["sha256"], "bytes": report["bytes"]}
    return stale


def _hashes(folder: Path) -> dict[str, str]:
    files = (f for f in sorted(folder.rglob("*")) if f.is_file() and f.name != JOURNAL)
    return {f.relative_to(folder).as_posix(): file_hash(f) for f in files}


def _remove_old(out: Path, keep: int | None, days: int | None) -> None:
    """The oldest runs, beyond so many or so many days ago; never the one that is current."""
    current = (out / CURRENT).resolve()
    runs = sorted(r for r in (out / RUNS).iterdir() if not r.name.startswith(".") and r.resolve() != current)
    beyond = [] if keep is None else runs[: max(0, len(runs) - keep + 1)]
    since = "" if days is None else (dt.datetime.now(dt.UTC) - dt.timedelta(days=days)).strftime(STAMP)
    for run in dict.fromkeys([*beyond, *(r for r in runs if r.name < since)]):
        remove_folder(run)


def _free_name(runs: Path, key: str) -> Path:
    """By the time, so that the newest comes last."""
    while True:
        stamp = dt.datetime.now(dt.UTC).strftime(STAMP)
        place = runs / f"{stamp}-{key.removeprefix('.')[:8]}"
        if not place.exists():
            return place


def _refuse_in_the_way(current: Path) -> None:
    if current.exists() and not current.is_symlink():
        raise StorageError(
            "{current} is in the way: salescoach keeps a link of that name there. Move it, or choose another --out.",
            current=current,
        )


def _writable(folder: Path) -> Path:
    """The folder, made if need be. Raises StorageError where nothing can be written."""
    try:
        make_folder(folder)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise StorageError(
            "Cannot write to {folder}: {problem}. Choose another folder with --out.",
            folder=folder,
            problem=error.strerror,
        ) from error
    return folder
