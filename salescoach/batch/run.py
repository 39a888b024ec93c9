"""A run: every report of a plan, each in a worker of its own, published together at the end."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import salescoach
from salescoach.batch.job import Outcome, Task, write_atomically
from salescoach.batch.plan import Job, PlanFile, gaps, make_jobs, one_report
from salescoach.batch.runners import outcomes as made
from salescoach.book import Book, write_folder
from salescoach.coaching.agreed import write_agreed
from salescoach.coaching.ledger import open_ledger
from salescoach.errors import StorageError
from salescoach.process import parse_period
from salescoach.reports import overview_html
from salescoach.reports.others import tables_of_others, tables_of_teams
from salescoach.wording import N_, Words, words

Progress = Callable[[Outcome, int, int], None]
MANIFEST = "manifest.json"
FORECASTING = ("forecast", "team_review")


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, what was to be made, how each report went, and whom the book has none of."""

    folder: Path
    jobs: tuple[Job, ...]
    outcomes: tuple[Outcome, ...]
    gaps: tuple[str, ...]

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
    dask: str = "",
) -> Run:
    """Make every report of a plan and publish them as OUT/current.

    book       the whole book; each worker gets a slice of it and the run's peer figures, and no path to the rest
    workers    processes at a time (default: one per core)
    progress   called after each report: (outcome, finished, all)
    executor   any concurrent.futures.Executor instead of threads of this process
    own        a Python file with metrics of one's own, which every notebook loads first
    ledger     where commitments are kept: what was agreed with a rep goes into that rep's slice, notes never
    dask       address of a Dask scheduler whose workers make the reports

    One report that fails does not stop the others. A run that is stopped (Ctrl-C) ends its workers and leaves
    nothing behind: OUT/current and OUT/runs are what they were. Raises UsageError, before anything runs, where the
    plan names what is not there, and StorageError where OUT cannot be used.
    """
    jobs = make_jobs(book, plan)
    out = Path(out)
    _refuse_in_the_way(out / "current")
    peers = {
        period: tables_of_others(book, parse_period(period, book.process, book.as_of_on.date()))
        for period in {j.period for j in jobs}
    }
    teams = {period: _of_teams(book, jobs, period) for period in peers}
    with _new_run(out) as folder:
        _write_json(folder / "plan.json", {"plan": plan.model_dump(), "jobs": [j.to_dict() for j in jobs]})
        _write_peers(folder, peers)
        with tempfile.TemporaryDirectory(prefix="salescoach-slices-") as private:
            tasks = [_task(job, _slice(book, job, peers, teams, Path(private), ledger), folder, own) for job in jobs]
            outcomes = _execute(tasks, workers, progress, executor, dask)
        missing = gaps(jobs, plan)
        _write_json(folder / MANIFEST, {**manifest(book, jobs, outcomes), "gaps": missing})
        index = index_page(book, jobs, outcomes, missing, words(plan.language))
        write_atomically(folder / "index.html", index.encode("utf-8"))
    return Run(out / "current", tuple(jobs), tuple(outcomes), missing)


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
    peers = {job.period: tables_of_others(book, parse_period(job.period, book.process, book.as_of_on.date()))}
    with tempfile.TemporaryDirectory(prefix="salescoach-slices-") as private:
        name = job.notebook if job.per == "company" else f"{job.slug}-{job.notebook}"
        teams = {job.period: _of_teams(book, [job], job.period)}
        task = _task(job, _slice(book, job, peers, teams, Path(private), ledger), out, own)
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


def _slice(
    book: Book,
    job: Job,
    peers: dict[str, Any],
    teams: dict[str, dict[str, dict[str, Any]]],
    private: Path,
    ledger: str | Path | None,
) -> Path:
    """The only data a report gets: what its subject owns, what was agreed with them, and the figures of the others."""
    place = Path(tempfile.mkdtemp(prefix="slice-", dir=private)) / "book"  # nobody can guess a neighbour's
    place.mkdir()
    part = book.for_rep(job.subject) if job.per == "rep" else book.for_team(job.subject) if job.per == "team" else book
    if job.per != "company":
        own = teams[job.period].get(job.subject, {}) if job.per == "team" else {}
        part = replace(part, peers={**peers[job.period], **own})
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
    (folder / "peers").mkdir()
    for number, (period, tables) in enumerate(sorted(peers.items())):
        for name, table in tables.items():
            table.assign(period=period).to_parquet(folder / "peers" / f"{name}-{number}.parquet", index=False)


# --- workers ---------------------------------------------------------------------------------------


def _execute(
    tasks: Sequence[Task],
    workers: int | None,
    progress: Progress | None,
    executor: Executor | None = None,
    dask: str = "",
) -> list[Outcome]:
    """Outcomes in the order of the tasks; each is announced to `progress` as it comes."""
    by_file = {}
    with closing(made(tasks, workers, executor, dask)) as coming:
        for number, outcome in enumerate(coming, start=1):
            if progress is not None:
                progress(outcome, number, len(tasks))
            by_file[outcome.file] = outcome
    return [by_file[t.file] for t in tasks]


# --- publishing ------------------------------------------------------------------------------------


def manifest(book: Book, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What ran on which data."""
    return {
        "salescoach": salescoach.__version__,
        "book": {
            "content_hash": book.content_hash,
            "as_of": book.as_of.isoformat(),
            "origin": dict(book.origin),
            "rows": {n: len(t) for n, t in book.tables.items()},
            "quarantined": len(book.quarantine),
        },
        "reports": [{**j.to_dict(), **o.to_dict()} for j, o in zip(jobs, outcomes, strict=True)],
        "done": sum(o.status == "done" for o in outcomes),
        "failed": sum(o.status != "done" for o in outcomes),
    }


SECTIONS = (
    ("company", N_("Company"), N_("For the management."), N_("For")),
    ("team", N_("Teams"), N_("For each team's manager. The roster names people: do not pass it on."), N_("Team")),
    ("rep", N_("Reps"), N_("One page for each one-to-one. A rep's folder holds only what is theirs."), N_("Rep")),
)


def index_page(book: Book, jobs: Sequence[Job], outcomes: Sequence[Outcome], missing: Sequence[str], say: Words) -> str:
    """The page to open first: what was made, for whom, what failed, and whom the book has none of."""
    sections = []
    for per, title, note, who in SECTIONS:
        rows = _index_rows([(j, o) for j, o in zip(jobs, outcomes, strict=True) if j.per == per], say)
        if rows:
            sections.append(
                {"title": say(title), "note": say(note), "who": say(who), "report": say("Open"), "rows": rows}
            )
    failed = sum(o.status != "done" for o in outcomes)
    facts = [say("Data as of {day}", day=say.date(book.as_of_on)), say("{n} reports made", n=len(outcomes) - failed)]
    if failed:
        facts.append(say("{n} reports failed", n=failed))
    facts += [say(gap) for gap in missing]
    purpose = [
        say("Numbers are prompts for a conversation, not a verdict: n and range stand beside each of them."),
        say("salescoach {version} · data {hash}", version=salescoach.__version__, hash=book.content_hash[:12]),
    ]
    return overview_html(say("Coaching reports"), say.language, facts, sections, purpose)


def _index_rows(pairs: Sequence[tuple[Job, Outcome]], say: Words) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for job, outcome in pairs:
        row = rows.setdefault(job.subject, {"name": job.name or say("All teams"), "links": []})
        if outcome.status == "done":
            row["links"].append({"text": say(job.question), "href": quote(job.file)})
        else:
            row["links"].append(
                {"text": say("{report}: failed ({error})", report=say(job.question), error=outcome.error), "href": ""}
            )
    return list(rows.values())


def _refuse_in_the_way(current: Path) -> None:
    if current.exists() and not current.is_symlink():
        raise StorageError(
            f"{current} is in the way: salescoach keeps a link of that name there. Move it, or choose another --out."
        )


def _writable(folder: Path) -> Path:
    """The folder, made if need be. Raises StorageError where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise StorageError(f"Cannot write to {folder}: {error.strerror}. Choose another folder with --out.") from error
    return folder


@contextmanager
def _new_run(out: Path) -> Iterator[Path]:
    """A hidden folder to make the reports in; at the end it stands below OUT/runs and is OUT/current.

    A run that does not come to its end leaves nothing.
    """
    runs = _writable(out / "runs")
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
    unfinished = Path(tempfile.mkdtemp(prefix=f".{stamp}-", dir=runs))
    try:
        yield unfinished
        finished = unfinished.rename(runs / unfinished.name.removeprefix("."))
        fresh = out / f".current-{finished.name}"
        fresh.symlink_to(Path("runs") / finished.name, target_is_directory=True)
        fresh.replace(out / "current")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    write_atomically(file, (json.dumps(content, ensure_ascii=False, indent=1, default=str) + "\n").encode("utf-8"))
