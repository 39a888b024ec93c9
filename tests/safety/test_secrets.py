"""Twelve shapes of a secret, and every place where one could come to light."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from salescoach.batch import Order, PlanFile, run_batch, run_report
from salescoach.batch.job import explain
from salescoach.errors import UsageError
from salescoach.reports import find_story
from salescoach.secrecy import HIDDEN, blackened, looks_secret

_FILE = Path(__file__).parents[1] / "privacy" / "scanner.py"
_SPEC = importlib.util.spec_from_file_location("scanner_of_secrets", _FILE)
assert _SPEC is not None and _SPEC.loader is not None
scanner = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(scanner)

RANDOM = "zQ4vT9mK2xW7" + "pL8nR5cJ3bY6"
SHAPES = {  # text in which it stands, and what must not be seen
    "password in an address": (f"postgresql://ann:{RANDOM}@db.example/crm", RANDOM),
    "user and token in an address": (f"https://oauth2:{RANDOM}@git.example/x", RANDOM),
    "password=": (f"could not connect: host=db password={RANDOM} dbname=crm", RANDOM),
    "password in JSON": (f'{{"client_secret": "{RANDOM}", "x": 1}}', RANDOM),
    "bearer token": (f"Authorization: Bearer {RANDOM}", RANDOM),
    "JSON web token": (f"got eyJ{RANDOM}.eyJ{RANDOM}.{RANDOM}", RANDOM),
    "key of AWS": ("AccessDenied for AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "token of a forge": (f"ghp_{RANDOM}{RANDOM[:12]}", RANDOM),
    "token of a chat": (f"xoxb-{RANDOM}", RANDOM),
    "key of a payment service": ("sk_" + f"live_{RANDOM}", RANDOM),
    "private key": (f"-----BEGIN RSA PRIVATE KEY-----\n{RANDOM}\n-----END RSA PRIVATE KEY-----", RANDOM),
    "session of Salesforce": (f"00D5e000000ABCD!AQ4A{RANDOM}", RANDOM),
}
each = pytest.mark.parametrize("shape", SHAPES)


def test_there_are_twelve() -> None:
    assert len(SHAPES) == 12


@each
def test_a_message_is_blackened(shape: str) -> None:
    text, secret = SHAPES[shape]
    assert secret not in blackened(text) and HIDDEN in blackened(text)
    assert secret not in explain(ValueError(text))
    assert secret not in explain(ValueError(repr({"given": text})))


def test_half_an_address_is_blackened_where_a_library_quotes_it() -> None:
    said = f"InvalidURL: nonnumeric port: '{RANDOM}@git.example'"
    assert blackened(said) == f"InvalidURL: nonnumeric port: '{HIDDEN}@git.example'"


@each
def test_it_is_refused_as_a_parameter(shape: str) -> None:
    text, secret = SHAPES[shape]
    with pytest.raises(UsageError, match="looks like a secret") as caught:
        find_story("funnel").check_parameters({"period": text})
    assert secret not in str(caught.value)


@pytest.mark.parametrize("name", ["password", "crm_token", "API_KEY", "apikey", "client_secret", "dsn", "pwd", "key"])
def test_so_is_whatever_is_called_like_one(name: str) -> None:
    assert looks_secret(name, "x")


@pytest.mark.parametrize(
    "text",
    [
        "deals.csv, line 3, column amount: '12.345' could mean two things.",
        "No Dask scheduler answers at tcp://127.0.0.1:9. Check the address, as tcp://HOST:8786.",
        "There is no rep 'Ann'. Did you mean Anna (R07)?",
        "signals: none; keys: deal_id, stage; significance: 5 %",
        "2026-01..2026-09 · sha256 9d8856d8e0a64b0b",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert blackened(text) == text and not looks_secret("period", text)


@pytest.mark.parametrize("name", ["book", "rep", "team", "period", "language", "deal_id"])
def test_the_parameters_of_the_notebooks_are_no_secrets(name: str) -> None:
    assert not looks_secret(name, "R01")


def write(folder: Path, *sources: str) -> Path:
    parameters = 'book = "demo"\nrep = ""\nperiod = ""\nlanguage = "en"'
    cells = [
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        *(nbformat.v4.new_code_cell(source) for source in sources),
    ]
    file = folder / "leaky.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)
    return file


def test_no_file_of_a_run_holds_one(demo_book: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report for each shape fails with it in its message, in the cause and in the arguments of a command."""
    monkeypatch.setenv("CRM_PASSWORD", RANDOM)
    source = f"""import os, subprocess, sys
assert {RANDOM!r} not in str(dict(os.environ))
text = {[text for text, _ in SHAPES.values()]!r}[int(rep[1:]) % 12]
try:
    subprocess.run([sys.executable, "-c", "raise SystemExit(3)", text], check=True)
except subprocess.CalledProcessError as error:
    raise ValueError(text) from error"""
    notebook = write(tmp_path, source)
    people = tuple(demo_book.people["rep_id"].iloc[:12])
    plan = PlanFile(reports=(Order(notebook=str(notebook), per="rep", only=people),))
    run = run_batch(demo_book, plan, tmp_path / "out")
    assert len(run.failed) == 12 and all(HIDDEN in o.error for o in run.failed)
    secrets = {secret for _, secret in SHAPES.values()}
    assert scanner.scan(tmp_path / "out", secrets) == {}
    assert scanner.scan(tmp_path, secrets).keys() == {"leaky.ipynb"}  # the net holds


def test_the_command_blackens_what_it_says(tmp_path: Path) -> None:
    text, secret = SHAPES["password=" if sys.platform != "win32" else "bearer token"]
    notebook = write(tmp_path, f"raise ValueError({text!r})")
    done = subprocess.run(
        [sys.executable, "-c", "from salescoach.cli import main; main()", "report", str(notebook), "--book", "demo"],
        cwd=tmp_path,
        env={**os.environ, "CRM_PASSWORD": RANDOM},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3 and HIDDEN in done.stderr
    assert secret not in done.stdout + done.stderr


def test_a_published_page_holds_neither_cells_nor_parameters(demo_book: Any, tmp_path: Path) -> None:
    path, outcome = run_report(demo_book, str(write(tmp_path, '"made"')), tmp_path, rep="R01")
    assert outcome.status == "done", outcome.error
    page = path.read_text(encoding="utf-8")
    for hidden in ("injected-parameters", "papermill", "salescoach-slices-", "book =", "In [1]"):
        assert hidden not in page


SINKS = {  # how a cell that succeeds may come to show what it should not
    "print": "print(text)",
    "log": "import logging\nlogging.basicConfig(force=True)\nlogging.warning(text)",
    "repr": "{'given': text}",
    "table": "import pandas as pd\npd.DataFrame({'answer': [text]})",
    "HTML": "from IPython.display import HTML\nHTML('<p>' + text + '</p>')",
    "Markdown": "from IPython.display import Markdown\nMarkdown('Got ' + text)",
    "warning": "import warnings\nwarnings.warn(text)",
    "traceback": "import traceback\ntry:\n    raise ValueError(text)\nexcept ValueError:\n    traceback.print_exc()",
    "progress bar": "import sys\nprint('\\r50 %|' + text, end='', file=sys.stderr)",
    "widget": "import ipywidgets\nipywidgets.Dropdown(options=[text])",
}


def test_no_page_shows_one_whatever_the_cell_did(demo_book: Any, tmp_path: Path) -> None:
    """Twelve shapes by ten ways out, in one page that is made to its end; the same cells with a plain word show it."""
    first = "import os, pathlib\nfrom salescoach import open_report\n"
    cells = [
        (first if not number else "") + f"text = {text!r}\n{cell}"
        for number, (text, cell) in enumerate((text, cell) for text, _ in SHAPES.values() for cell in SINKS.values())
    ]
    cells += [f"text = 'kingfisher-{name.replace(' ', '-')}'\n{cell}" for name, cell in SINKS.items()]
    notebook = write(tmp_path, *cells)
    page, outcome = run_report(demo_book, str(notebook), tmp_path / "out", rep="R01")
    assert outcome.status == "done", outcome.error
    secrets = {secret for _, secret in SHAPES.values()}
    assert scanner.scan(tmp_path / "out", secrets) == {}
    shown = page.read_text(encoding="utf-8")
    assert shown.count(HIDDEN) >= 12 * 5
    for name in ("print", "repr", "table", "HTML", "widget"):
        assert f"kingfisher-{name}" in shown, name  # the net is where they come out
    for name in ("log", "warning", "traceback", "progress"):
        assert f"kingfisher-{name}" not in shown, name  # what goes to stderr is on no page
