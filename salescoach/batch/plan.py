"""Which reports to make, for whom: checked completely before anything runs."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from slugify import slugify

from salescoach.book import Book
from salescoach.errors import InputError, Sentence, UsageError, commas, joined, suggestion
from salescoach.kit import kit_path
from salescoach.process import parse_period
from salescoach.process.faults import fault_of
from salescoach.reports import Story, find_story
from salescoach.wording import N_, words

Per = Literal["rep", "team", "company"]
FOLDERS = {"rep": "reps", "team": "teams", "company": "company"}
FOR_MANAGERS = ("manager_sheet",)  # about a rep, and not for the rep: never in the folder of their own
MANAGERS = "managers"
NOBODY = {
    "rep": N_("No reports per rep: the book names no rep."),
    "team": N_("No reports per team: the book names no team."),
}
SHORT_NAME = 40


class Order(BaseModel):
    """One kind of report: which notebook, for each rep, each team or the company, or only for those named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    notebook: str
    per: Per
    only: tuple[str, ...] = ()
    period: str | None = None
    language: str | None = None


class Mail(BaseModel):
    """Where pages for reps are sent from; a password stands in the environment, never here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: str
    user: str = ""
    password_env: str = ""


class PlanFile(BaseModel):
    """A plan as it stands in templates/plans/*.toml. `keep_days`: older runs are removed, but for the current one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: str = "en"
    period: str | None = None
    reports: tuple[Order, ...]
    mail: Mail | None = None
    keep_days: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True)
class Job:
    """One report to make. `folder` and `file` say where it stands below the run's folder."""

    notebook: str
    path: str
    question: str
    per: str
    subject: str
    name: str
    slug: str
    language: str
    period: str
    parameters: dict[str, Any]

    @property
    def folder(self) -> str:
        if self.per == "company":
            return FOLDERS[self.per]
        return f"{MANAGERS if self.notebook in FOR_MANAGERS else FOLDERS[self.per]}/{self.slug}"

    @property
    def file(self) -> str:
        return f"{self.folder}/{self.notebook}.html"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "file": self.file}


def safe_slug(name: str, identity: str) -> str:
    """A file name for a person or team: readable, unique by eight hex digits of the id, harmless on any file system."""
    readable = slugify(name, allow_unicode=True, max_length=SHORT_NAME) or "x"
    return f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def read_plan(name: str | Path) -> PlanFile:
    """A plan file by path, or one that travels with salescoach by name. Raises InputError naming the key at fault."""
    path = Path(name)
    if not path.is_file():
        known = {f.stem: f for f in kit_path("templates/plans").glob("*.toml")}
        if path.stem not in known:
            raise UsageError(
                "There is no plan {name!r}.{hint} Plans: {known}; or a .toml file.",
                name=str(name),
                hint=suggestion(path.stem, known),
                known=commas(sorted(known)),
            )
        path = known[path.stem]
    try:
        return PlanFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            "{path} is not valid TOML: {error}. Text stands in double quotes.", path=path.name, error=error
        ) from error
    except ValidationError as error:
        lines = [
            Sentence("{file}: {key}: {fault}", file=path.name, key=".".join(map(str, e["loc"])), fault=_what(e))
            for e in error.errors()
        ]
        raise InputError(joined(lines, "\n")) from error


def _what(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        known = [name for model in (PlanFile, Order, Mail) for name in model.model_fields]
        return Sentence("no key of a plan.{hint}", hint=suggestion(str(error["loc"][-1]), known))
    return fault_of(error)


def make_jobs(book: Book, plan: PlanFile) -> list[Job]:
    """Every report of a plan. Raises UsageError for a notebook, person, team, period or language that is not there."""
    jobs = [job for order in plan.reports for job in _jobs_of(book, plan, order)]
    twice = next((j for i, j in enumerate(jobs) if j.file in {k.file for k in jobs[:i]}), None)
    if twice is not None:
        raise UsageError(
            "The plan makes {file} twice. Ask for {notebook} per {per} once.",
            file=twice.file,
            notebook=twice.notebook,
            per=twice.per,
        )
    if not jobs:
        raise UsageError("The plan makes no report: the book has no rep or team that it asks for.")
    return jobs


def gaps(jobs: Sequence[Job], plan: PlanFile) -> tuple[str, ...]:
    """One sentence for each kind of reader that a plan asks for and the book does not have."""
    served = {job.per for job in jobs}
    return tuple(NOBODY[per] for per in dict.fromkeys(order.per for order in plan.reports) if per not in served)


def _jobs_of(book: Book, plan: PlanFile, order: Order) -> Iterator[Job]:
    story = find_story(order.notebook)
    language, period = order.language or plan.language, _period_of(order, plan, story)
    words(language)
    parse_period(period, book.process, book.as_of_on.date())
    for subject, name in _subjects(book, order):
        given: dict[str, Any] = {"period": period, "language": language}
        if order.per != "company":
            given[order.per] = subject
        story.check_parameters(given)
        blank: dict[str, Any] = {p: "" for p in ("rep", "team") if p in story.parameters and p not in given}
        yield Job(
            story.name,
            str(story.path),
            story.question,
            order.per,
            subject,
            name,
            safe_slug(name, subject),
            language,
            period,
            {**blank, **given},
        )


def _period_of(order: Order, plan: PlanFile, story: Story) -> str:
    """The period of an order, else of its plan, else the one that the notebook has of its own."""
    written = order.period if order.period is not None else plan.period
    return str(story.parameters.get("period", "")) if written is None else written


def _subjects(book: Book, order: Order) -> Sequence[tuple[str, str]]:
    """(id, display name) of everybody the order is for."""
    if order.per == "company":
        return [("", "")]
    if order.per == "team":
        return [(t, t) for t in ([book.find_team(t) for t in order.only] or book.teams)]
    names = book.people.set_index("rep_id")["rep"]
    chosen = [book.find_rep(r) for r in order.only] or list(names.index)
    return [(r, str(names[r])) for r in chosen]


def one_report(book: Book, notebook: str, rep: str | None, team: str | None, period: str | None, language: str) -> Job:
    """The job of a single report."""
    per: Per = "rep" if rep else "team" if team else "company"
    only = tuple(s for s in (rep, team) if s)
    if len(only) > 1:
        raise UsageError("Give --rep or --team, not both.")
    return make_jobs(
        book, PlanFile(language=language, period=period, reports=(Order(notebook=notebook, per=per, only=only),))
    )[0]
