"""A person's rights to what was published: every page about them, found in all runs, or taken out of them."""

from __future__ import annotations

import hashlib
import html
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from salescoach.batch.durable import as_json, locked, remove_file, remove_folder, write_file
from salescoach.batch.index import index_page
from salescoach.batch.journal import JOURNAL, Journal
from salescoach.batch.mail import SENT
from salescoach.batch.published import INDEX, MANIFEST, RUNS
from salescoach.errors import StorageError
from salescoach.wording import words

PLAN = "plan.json"
NOBODY = "(purged)"
GOING = ".going~pages"


@dataclass(frozen=True)
class Purged:
    """What was taken out: pages about the person, and pages about others or all that named them."""

    pages: int
    naming: int


def own_pages(out: str | Path, rep: str) -> dict[str, Path]:
    """The pages about a person, the manager's too, of every run that stands: {run/file: where it is}.

    rep   id or name, as the runs have it
    Raises StorageError where OUT holds no run.
    """
    found = {}
    for run in _runs(Path(out)):
        for report in _read(run / MANIFEST)["reports"]:
            if _is(report, rep) and (run / report["file"]).is_file():
                found[f"{run.name}/{report['file']}"] = run / report["file"]
    return found


def purge_pages(out: str | Path, rep: str) -> Purged:
    """Take a person out of every run: their pages, every other page that names them, and their lines everywhere else.

    What stays says on which day how many pages were purged, and of nobody; `verify` counts it among what a run says of
    itself. If it is interrupted, the same call goes on. Copies elsewhere, and what was sent, are out of reach.
    Raises StorageError where OUT holds no run.
    """
    out = Path(out)
    runs = _runs(out)
    with locked(out):
        for unfinished in (out / RUNS).glob(".*"):
            remove_folder(unfinished)
        reports = [report for run in runs for report in _read(run / MANIFEST)["reports"]]
        called = {str(report[k]) for report in reports if _is(report, rep) for k in ("subject", "name")}
        named = _naming(called | {rep})
        slugs = {f"/{report['slug']}/" for report in reports if _is(report, rep)}
        counts = [_purge(run, rep, named) for run in runs]
        sent = Journal(out / SENT)
        left = [entry for entry in sent.entries if not any(slug in entry["file"] for slug in slugs)]
        if len(left) < len(sent.entries):
            sent.rewrite(left)
    return Purged(sum(own for own, _ in counts), sum(naming for _, naming in counts))


def _purge(run: Path, rep: str, named: re.Pattern[str]) -> tuple[int, int]:
    """One run. Which pages go is noted first, so that whatever interrupts it, the same call goes on."""
    manifest, note = _read(run / MANIFEST), run / GOING
    before = set(note.read_text(encoding="utf-8").splitlines()) if note.is_file() else set()
    own = {report["file"] for report in manifest["reports"] if _is(report, rep)}
    gone = own | before | {r["file"] for r in manifest["reports"] if _names(run, r, named)}
    if not gone:
        return 0, 0
    write_file(note, "\n".join(sorted(gone)).encode())
    for file in sorted(gone):
        remove_file(run / file)
        with suppress(OSError):
            (run / file).parent.rmdir()  # its name is theirs; it stays where something else is in it
    if any(report["file"] in gone for report in manifest["reports"]):
        _forget(run, manifest, gone, named)
    remove_file(note)
    return len(own), len(gone - own)


def _forget(run: Path, manifest: dict[str, Any], gone: set[str], named: re.Pattern[str]) -> None:
    """Index, plan, journal and manifest without the lines of these pages, in a chain that holds, and saying so."""
    purge = {"on": datetime.now(UTC).date().isoformat(), "pages": len(gone)}
    reports = [report for report in manifest["reports"] if report["file"] not in gone]
    done = sum(report["status"] == "done" for report in reports)
    manifest |= {"reports": reports, "done": done, "failed": len(reports) - done}
    manifest |= {"stale": sum(report["stale"] is not None for report in reports)}
    manifest |= {"purged": [*manifest.get("purged", []), purge]}
    plan = _read(run / PLAN)
    plan["jobs"] = [job for job in plan["jobs"] if job["file"] not in gone]
    for order in plan["plan"]["reports"]:
        order["only"] = [NOBODY if named.fullmatch(str(who)) else who for who in order["only"]]
    new = {
        PLAN: as_json(plan),
        INDEX: index_page(manifest, words(plan["plan"]["language"])).encode("utf-8"),
        MANIFEST: as_json(manifest),
    }
    journal = Journal(run / JOURNAL)
    sealed = dict(journal.entries[-1].get("sealed", {})) if journal.entries else {}
    sealed |= {name: hashlib.sha256(content).hexdigest() for name, content in new.items()}
    kept = [e for e in journal.entries if not e.keys() & {"sealed", "purged"} and e.get("file") not in gone]
    told = [{"purged": each["pages"], "on": each["on"]} for each in manifest["purged"]]
    journal.rewrite([*kept, *told, {"sealed": sealed}])
    for name, content in new.items():  # the manifest last
        write_file(run / name, content)


def _names(run: Path, report: dict[str, Any], named: re.Pattern[str]) -> bool:
    file = run / report["file"]
    text = html.unescape(file.read_text(encoding="utf-8")) if file.is_file() else ""
    return bool(named.search(text) or named.search(report["error"]))


def _naming(called: set[str]) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in sorted(called) if name), re.I)


def _is(report: dict[str, Any], rep: str) -> bool:
    known = {str(report[k]).casefold() for k in ("subject", "name", "slug")}
    return report["per"] == "rep" and rep.casefold() in known


def _runs(out: Path) -> list[Path]:
    runs = sorted(run for run in (out / RUNS).glob("[0-9]*") if (run / MANIFEST).is_file())
    if not runs:
        raise StorageError("{out} holds no run. Give the folder that `salescoach batch --out` wrote to.", out=out)
    return runs


def _read(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(
            "{file} is missing or damaged. Remove this run's folder, and give the command again.", file=file
        ) from error
    return found
