"""Packages that bring presets and runners: real ones, with a dist-info, in a folder on sys.path."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from salescoach.batch.job import Task
from salescoach.batch.runners import end_all, outcomes
from salescoach.cli.main import cli
from salescoach.errors import UsageError
from salescoach.sources import load_book
from salescoach.sources.detect import detect
from salescoach.sources.layout import find_source, presets

PRESET = """
[preset]
name = "acme"
label = { en = "Acme", zh = "Acme" }
carries = "No stage history."

[deals]
signature = ["Acme No", "Acme Phase"]
[deals.columns]
deal_id = "Acme No"
stage = "Acme Phase"
created_at = "Begun"
[stages]
"Talking" = "qualified"
"""
RUNNER = """
from concurrent.futures import ThreadPoolExecutor

started = []

def start(address):
    started.append(address)
    return ThreadPoolExecutor(1)
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package with these files and entry points, as pip would lay it down."""
    site, modules = tmp_path / "site", set(sys.modules)
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    presets.cache_clear()

    def lay_down(name: str, entries: str, **files: str) -> None:
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(entries, encoding="utf-8")
        for file, text in files.items():
            place = site / file.replace("__", "/").replace("_toml", ".toml").replace("_py", ".py")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")

    yield lay_down
    presets.cache_clear()
    for module in set(sys.modules) - modules:
        if module.startswith(("acme", "other")):
            del sys.modules[module]


SOURCES = "[salescoach.sources]\nacme = acme.layouts\n"


def test_a_preset_of_a_package_is_detected_named_and_listed(install: Install, tmp_path: Path) -> None:
    install("acme-crm", SOURCES, acme__layouts__acme_toml=PRESET)
    export = tmp_path / "export.csv"
    export.write_text("Acme No,Acme Phase,Begun\n7,Talking,2026-09-01\n", encoding="utf-8")
    found = detect([export])
    assert found.source == find_source("acme")[0]
    book = load_book(export)
    assert (book.origin["source"], book.deals["stage"].tolist()) == ("acme", ["qualified"])
    listed = " ".join(CliRunner().invoke(cli, ["check", "--help"]).output.split())
    assert ", acme" in listed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[deals", "acme.toml is not valid TOML"),
        (PRESET.replace('"acme"', '"other"'), r'acme.toml must say \[preset\] name = "acme"'),
        (PRESET.replace("deal_id", "lead_id"), "must say which column is `deal_id`"),
    ],
)
def test_a_preset_that_cannot_be_read_names_its_package(install: Install, text: str, why: str) -> None:
    install("acme-crm", SOURCES, acme__layouts__acme_toml=text)
    with pytest.raises(UsageError, match=rf"The package acme-crm brings 'acme' to salescoach.sources.*{why}") as error:
        presets()
    assert str(error.value).endswith("`pip uninstall acme-crm`")


def test_a_preset_of_a_name_that_is_taken_is_refused(install: Install) -> None:
    taken = PRESET.replace('"acme"', '"hubspot"')
    install("acme-crm", SOURCES, acme__layouts__hubspot_toml=taken)
    with pytest.raises(UsageError, match=r"acme-crm .*there is a preset 'hubspot' already"):
        presets()


def test_two_packages_with_one_name_are_both_named(install: Install) -> None:
    install("acme-crm", SOURCES, acme__layouts__acme_toml=PRESET)
    install("other-crm", "[salescoach.sources]\nacme = other.layouts\n", other__layouts__acme_toml=PRESET)
    with pytest.raises(UsageError, match=r"The packages acme-crm, other-crm both bring 'acme'"):
        presets()


@pytest.mark.parametrize(
    ("entry", "files", "why"),
    [
        ("acme.layouts", {}, "ModuleNotFoundError"),
        ("acme:layouts", {"acme_py": "layouts = 3"}, "acme:layouts is no folder with source files"),
        ("acme", {"acme_py": "1 / 0"}, "ZeroDivisionError"),
    ],
)
def test_a_package_that_is_broken_is_named(install: Install, entry: str, files: dict[str, str], why: str) -> None:
    install("acme-crm", f"[salescoach.sources]\nacme = {entry}\n", **files)
    done = CliRunner().invoke(cli, ["check", "."], standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert f"The package acme-crm brings 'acme' to salescoach.sources, which cannot be used ({why}" in str(
        done.exception
    )


# --- runners ---------------------------------------------------------------------------------------

RUNNERS = "[salescoach.runners]\nacme = acme_run:start\n"


def one_task(folder: Path) -> list[Task]:
    cell = nbformat.v4.new_code_cell('book = ""', metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "notebook.ipynb")
    file = str(folder / "notebook.ipynb")
    return [Task("page", file, "t", "en", "", {}, str(folder / "out" / "page.html"), deadline=60.0)]


def test_a_runner_of_a_package_makes_the_reports(install: Install, tmp_path: Path) -> None:
    install("acme-grid", RUNNERS, acme_run_py=RUNNER)
    [outcome] = outcomes(one_task(tmp_path), elsewhere="acme=east")
    end_all()
    assert (outcome.status, outcome.error) == ("done", "")
    assert sys.modules["acme_run"].started == ["east"]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("start = 3", "TypeError"),
        ("def start(address): return 3", "it gives int, no concurrent.futures.Executor"),
        ("def start(address): raise OSError('no grid')", "OSError: no grid"),
        ("begin = 3", "AttributeError"),
    ],
)
def test_a_runner_that_does_not_start_names_its_package(install: Install, tmp_path: Path, code: str, why: str) -> None:
    install("acme-grid", RUNNERS, acme_run_py=code)
    with pytest.raises(UsageError, match=rf"The package acme-grid brings 'acme' to salescoach.runners.*{why}"):
        list(outcomes(one_task(tmp_path), elsewhere="acme"))


def test_a_runner_may_not_take_the_name_of_ours(install: Install, tmp_path: Path) -> None:
    install("acme-grid", "[salescoach.runners]\ndask = acme_run:start\n", acme_run_py=RUNNER)
    with pytest.raises(UsageError, match=r"acme-grid brings 'dask' .*salescoach has a runner of that name itself"):
        list(outcomes(one_task(tmp_path), elsewhere="dask=tcp://127.0.0.1:9"))


def test_an_unknown_runner_is_answered_with_those_there_are(install: Install, tmp_path: Path) -> None:
    install("acme-grid", RUNNERS, acme_run_py=RUNNER)
    with pytest.raises(UsageError, match=r"There is no runner 'acmee'.*'acme'.*Runners: acme, dask"):
        list(outcomes(one_task(tmp_path), elsewhere="acmee"))


def test_dask_and_a_runner_together_are_refused() -> None:
    words = [
        "batch",
        "--book",
        "demo",
        "--plan",
        "weekly",
        "--out",
        "x",
        "--dask",
        "tcp://127.0.0.1:9",
        "--runner",
        "acme",
    ]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert "--dask or --runner, not both" in str(done.exception)
