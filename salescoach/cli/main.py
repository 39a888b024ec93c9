"""Subcommands, their options and their exit codes. Everything is imported where it is used."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from salescoach import __version__
from salescoach.cli.app import app
from salescoach.cli.command import Command, Group, fit_to_publish, open_any, print_json, put, summary, tell
from salescoach.cli.figures import metrics
from salescoach.cli.forecast import forecast
from salescoach.cli.intake import check, load, snapshot
from salescoach.cli.language import choose_from_environment, language_choice, say, spoken_from_here, with_full_stop
from salescoach.cli.log import log
from salescoach.cli.options import (
    book_option,
    known_ledger,
    language_option,
    ledger_option,
    own_option,
    period_option,
)
from salescoach.cli.runs import verify, why
from salescoach.cli.start import init
from salescoach.cli.trust import reconcile, trust
from salescoach.errors import SalescoachError, Sentence, Unavailable, UsageError
from salescoach.secrecy import blackened
from salescoach.wording import N_

if TYPE_CHECKING:
    from salescoach.batch import Delivery, Order, Outcome, PlanFile, Run
    from salescoach.book import Book

DEMO_OUT = "salescoach-demo"
DEMO_TEAM = "Harbour"
DEMO_PERIOD = "2026-01..2026-09"


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@language_choice(
    N_("Language of the commands, their help and their errors; default: SALESCOACH_LANGUAGE, else the locale."),
    spoken_from_here,
    expose_value=False,
)
@click.version_option(__version__, prog_name="salescoach")
def cli() -> None:
    """From a CRM export to one honest page per one-to-one."""


for command in (init, check, load, snapshot, metrics, forecast, trust, reconcile, verify, why, app, log):
    cli.add_command(command)


class Terminated(KeyboardInterrupt):
    """SIGTERM: everything ends as with Ctrl-C, but for the exit code."""


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def main() -> None:
    """Run the command; an error of ours is one message and its exit code, never a traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        choose_from_environment()
        cli(standalone_mode=False)
    except Unavailable as reason:
        _end(Sentence("unavailable, because {because}.", because=reason), 2)
    except SalescoachError as error:
        _end(error.said, error.exit_code)
    except click.ClickException as error:
        stopped = with_full_stop(error.format_message())
        error.format_message = lambda: stopped  # type: ignore[method-assign]
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as stop:
        by_sigterm = isinstance(stop, Terminated) or isinstance(stop.__context__, Terminated)
        _end(Sentence("stopped."), 128 + (signal.SIGTERM if by_sigterm else signal.SIGINT))
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except OSError as error:
        _end(Sentence(f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}."), 74)


def _end(message: Sentence, code: int) -> NoReturn:
    put(f"salescoach: {blackened(say(message))}", err=True)
    sys.exit(code)


# --- demo ------------------------------------------------------------------------------------------


@cli.command(cls=Command)
@click.option("--out", default=DEMO_OUT, metavar="DIR", show_default=True, help="Where the book and the reports go.")
@click.option("--book-only", is_flag=True, help="Build the book and stop.")
@language_option
@click.option("--workers", type=click.IntRange(1), default=None, help="Reports at a time (default: one per core).")
def demo(out: str, book_only: bool, language: str, workers: int | None) -> None:
    """Build the book of the bundled demo data and make every report for one team and each of its reps."""
    from salescoach.batch import Order, PlanFile
    from salescoach.book import save_book
    from salescoach.sources import sample_book

    tell("Building the book from the demo data …")
    book = fit_to_publish(sample_book())
    folder = save_book(book, Path(out) / "book")
    put(summary(book))
    if book_only:
        tell("Book: {folder}", folder=folder)
        return
    reps = book.people.loc[book.people["team"] == DEMO_TEAM, "rep_id"]
    plan = PlanFile(
        language=language,
        period=DEMO_PERIOD,
        reports=(
            Order(notebook="start_here", per="company"),
            Order(notebook="funnel", per="company"),
            Order(notebook="team_roster", per="team", only=(DEMO_TEAM,)),
            Order(notebook="team_review", per="team", only=(DEMO_TEAM,)),
            Order(notebook="rep_review", per="rep", only=tuple(reps)),
        ),
    )
    make_reports(book, plan, out, workers)


def make_reports(
    book: Book,
    plan: PlanFile,
    out: str,
    workers: int | None,
    as_json: bool = False,
    copy_to: str = "",
    **options: Any,
) -> None:
    """Run a batch with a progress bar, or one line per report where the output is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from salescoach.batch import run_batch
    from salescoach.batch.failures import failure

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
    pace = Pace()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(say("Reports"), total=None, pace="")

        def show(outcome: Outcome, finished: int, total: int) -> None:
            told = pace.after(outcome.status == "done", total - finished)
            bar.update(task, completed=finished, total=total, pace=told)
            if not console.is_terminal or outcome.status != "done":
                ended = (
                    Sentence("{seconds:.0f} s", seconds=outcome.seconds)
                    if outcome.status == "done"
                    else Sentence("failed: {error}", error=failure(outcome.error))
                )
                tell(
                    "[{finished}/{total}] {file} ({ended}) {told}",
                    finished=finished,
                    total=total,
                    file=outcome.file,
                    ended=ended,
                    told=told,
                    err=True,
                )

        try:
            run = run_batch(book, plan, out, workers=workers, progress=show, **options)
        except KeyboardInterrupt:
            tell(
                "Nothing is published of a run that is stopped. {done} reports are kept: the same command goes on "
                "from there.",
                done=pace.done,
                err=True,
            )
            raise
    copied = ""
    if copy_to:
        from salescoach.batch.copies import copy_run

        copied = copy_run(out, copy_to)
    delivery = None
    if plan.mail is not None:
        from salescoach.batch import deliver

        delivery = deliver(out, book, plan.mail)
    finish(run, pace, as_json, copied, delivery)


class Pace:
    """How fast it goes: reports per minute, time left, and how many failed."""

    def __init__(self) -> None:
        self.started, self.done, self.failed = time.monotonic(), 0, 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def after(self, done: bool, left: int) -> str:
        """Count one more report. Returns the words for the bar."""
        self.done, self.failed = self.done + done, self.failed + (not done)
        per_second = (self.done + self.failed) / max(self.seconds, 1e-3)
        failed = say(" · {n} failed", n=self.failed) if self.failed else ""
        told = say("{n:.0f} per minute · {span} left", n=per_second * 60, span=_span(left / per_second))
        return told + failed


def _span(seconds: float) -> str:
    return say("{seconds:.0f} s", seconds=seconds) if seconds < 100 else say("{minutes:.0f} min", minutes=seconds / 60)


def finish(run: Run, pace: Pace, as_json: bool = False, copied: str = "", delivery: Delivery | None = None) -> None:
    """Say what was made and what to open; exit 3 if a report is missing or could not be sent."""
    from salescoach.batch.failures import failure

    exit_code = run.exit_code or (3 if delivery is not None and delivery.unsent else 0)
    done = len(run.outcomes) - len(run.failed)
    if as_json:
        said = {
            "reports": len(run.outcomes),
            "done": done,
            "made_now": run.made,
            "failed": {o.file: o.error for o in run.failed},
            "stale": list(run.stale),
            "gaps": list(run.gaps),
            "index": str(run.index),
            "copied_to": copied or None,
            "mail": None if delivery is None else asdict(delivery),
            "seconds": round(pace.seconds, 1),
        }
        print_json(said)
        sys.exit(exit_code)
    as_before = "" if run.made or not run.outcomes else Sentence(", all as they stood: the inputs are the same")
    tell("{done} of {n} reports made{as_before}.", done=done, n=len(run.outcomes), as_before=as_before)
    for gap in run.gaps:
        tell("  {gap}", gap=gap)
    for outcome in run.failed:
        kept = Sentence("; its last page stays, marked stale") if outcome.file in run.stale else ""
        tell("  failed: {file}: {error}{kept}", file=outcome.file, error=failure(outcome.error), kept=kept, err=True)
    tell("Open {index}", index=run.index)
    if copied:
        tell("Copied to {copied}", copied=copied)
    if delivery is not None:
        tell("{n} pages sent by e-mail, {before} had been sent before.", n=delivery.sent, before=delivery.before)
        for reason in delivery.unsent:
            tell("  not sent: {reason}", reason=reason)
    if exit_code:
        sys.exit(exit_code)


# --- reports ---------------------------------------------------------------------------------------


@cli.command(cls=Command)
@click.argument("notebook")
@book_option
@click.option("--rep", default=None, metavar="R", help="For this rep (id or name).")
@click.option("--team", default=None, metavar="T", help="For this team.")
@period_option
@language_option
@own_option
@ledger_option
@click.option("--out", default=".", metavar="DIR", show_default=True, help="Folder of the page.")
def report(
    notebook: str,
    book: str,
    rep: str | None,
    team: str | None,
    period: str | None,
    language: str,
    own: Path | None,
    ledger: str,
    out: str,
) -> None:
    """Make one report."""
    from salescoach.batch import run_report
    from salescoach.batch.failures import failure

    whole, kept = fit_to_publish(open_any(book)), known_ledger(ledger, book)
    path, outcome = run_report(whole, notebook, out, rep, team, period, language, own, kept)
    if outcome.status != "done":
        raise ReportFailed("{notebook} failed: {error}", notebook=notebook, error=failure(outcome.error))
    tell("Open {path}", path=path)


class ReportFailed(SalescoachError):
    """The one report that was asked for could not be made."""

    exit_code = 3


def _order(notebook: str | None, per: str | None) -> Order:
    from salescoach.batch import Order

    return Order.model_validate({"notebook": notebook, "per": per})


@cli.command(cls=Command)
@book_option
@click.option(
    "--plan", default=None, metavar="P", help="Plan file (.toml), or the name of one of ours: weekly, quarterly."
)
@click.option("--notebook", default=None, metavar="N", help="One notebook instead of a plan.")
@click.option(
    "--per",
    type=click.Choice(["rep", "team", "company"]),
    default=None,
    help="With --notebook: for each rep, each team, or the company.",
)
@click.option("--out", required=True, metavar="DIR", help="Folder of the reports; the newest run is DIR/current.")
@period_option
@language_choice(N_("Language of the pages and of what is said; default for the pages: the plan's."), spoken_from_here)
@own_option
@ledger_option
@click.option("--workers", type=click.IntRange(1), default=None, help="Reports at a time (default: one per core).")
@click.option("--dask", default="", metavar="ADDRESS", help="Let the workers of a Dask scheduler make the reports.")
@click.option(
    "--runner",
    default="",
    metavar="NAME",
    help="Let a runner of another package make the reports: NAME or NAME=ADDRESS.",
)
@click.option("--force", is_flag=True, help="Make everything again, also what stands there from the same inputs.")
@click.option(
    "--keep", type=click.IntRange(1), default=None, metavar="N", help="Keep the newest N runs, remove older ones."
)
@click.option("--copy-to", default="", metavar="URL", help="Copy the run there too: file://…, s3://… (extra: cloud).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end, in English, instead of sentences.")
def batch(
    book: str,
    plan: str | None,
    notebook: str | None,
    per: str | None,
    out: str,
    period: str | None,
    language: str | None,
    own: Path | None,
    ledger: str,
    workers: int | None,
    dask: str,
    runner: str,
    force: bool,
    keep: int | None,
    copy_to: str,
    as_json: bool,
) -> None:
    """Make many reports: a plan, or one notebook per rep or team."""
    from salescoach.batch import PlanFile, read_plan

    if (plan is None) == (notebook is None) or (notebook is None) != (per is None):
        raise UsageError("Give --plan P, or --notebook N with --per rep, team or company.")
    if dask and runner:
        raise UsageError("Give --dask or --runner, not both: the reports are made in one place.")
    wanted = read_plan(plan) if plan is not None else PlanFile(reports=(_order(notebook, per),))
    changes = {k: v for k, v in (("language", language), ("period", period)) if v is not None}
    kept = known_ledger(ledger, book)
    make_reports(
        fit_to_publish(open_any(book)),
        wanted.model_copy(update=changes),
        out,
        workers,
        as_json,
        copy_to,
        own=own,
        ledger=kept,
        elsewhere=f"dask={dask}" if dask else runner,
        force=force,
        keep=keep,
    )
