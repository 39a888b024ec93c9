"""What is built from this project: the wheel and the source archive, and what they say of themselves."""

from __future__ import annotations

import configparser
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def build(kind: str, source: Path, out: Path) -> Path:
    """Build with the packages of this environment: nothing is downloaded."""
    words = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(out), str(source)]
    done = subprocess.run(words, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    [file] = out.iterdir()
    return file


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive in a folder of its own, as somebody who packages it has it."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [root] = folder.iterdir()
    return root


@pytest.fixture(scope="module")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from the source archive alone: what that lacks would be missing."""
    return zipfile.ZipFile(build("wheel", unpacked, tmp_path_factory.mktemp("wheel")))


def of_info(wheel: zipfile.ZipFile, name: str) -> str:
    [path] = [n for n in wheel.namelist() if n.endswith(f".dist-info/{name}")]
    return wheel.read(path).decode("utf-8")


def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(of_info(wheel, "METADATA"))


def test_the_source_archive_holds_what_its_tests_need(unpacked: Path) -> None:
    for name in ("tests/conftest.py", "notebooks/funnel.ipynb", "templates/process/standard.toml", "constraints.txt"):
        assert (unpacked / name).is_file(), name
    for folder in ("tests", "notebooks", "templates", "docs", "benchmarks", "data/demo"):
        there = {f.relative_to(unpacked).as_posix() for f in (unpacked / folder).rglob("*") if f.is_file()}
        tracked = {f.relative_to(ROOT).as_posix() for f in (ROOT / folder).rglob("*") if f.is_file()}
        kept = {f for f in tracked if not set(f.split("/")) & LEFT_OUT and not f.endswith(".pyc")}
        assert kept - there == set()


LEFT_OUT = {"__pycache__", ".ipynb_checkpoints", ".hypothesis", "site", "salescoach-demo"}


def test_the_wheel_is_typed_and_complete(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert "salescoach/py.typed" in names
    assert {"salescoach/_kit/notebooks/funnel.ipynb", "salescoach/_kit/templates/report/style.css"} <= names
    assert {"salescoach/_kit/data/demo/deals.csv", "salescoach/locale/zh.po"} <= names
    assert [n for n in names if n.startswith("tests/")] == []


def test_the_wheel_lists_its_entry_points(wheel: zipfile.ZipFile) -> None:
    listed = configparser.ConfigParser()
    listed.read_string(of_info(wheel, "entry_points.txt"))
    assert listed["console_scripts"]["salescoach"] == "salescoach.cli:main"
    assert listed["papermill.engine"]["salescoach"] == "salescoach.papermill_engine:PapermillEngine"


def test_the_metadata_name_people_systems_and_versions(wheel: zipfile.ZipFile) -> None:
    told = metadata(wheel)
    classifiers = told.get_all("Classifier") or []
    assert told["Author"] and told["Summary"] and told["Description-Content-Type"] == "text/markdown"
    assert "Typing :: Typed" in classifiers and "Framework :: Jupyter" in classifiers
    assert (told["Requires-Python"], "Programming Language :: Python :: 3.11" in classifiers) == (">=3.11", True)


def test_names_in_the_wheel_are_legal_on_windows(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert len({n.casefold() for n in names}) == len(names)
    for name in names:
        for part in name.split("/"):
            assert not set(part) & set('\\:*?"<>|') and not part.endswith((".", " "))
            assert part.split(".")[0].casefold() not in ("con", "prn", "aux", "nul")
    assert max(map(len, names)) < 120  # a folder of site-packages takes up to 140 of the 260 characters
