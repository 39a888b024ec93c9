"""The log of sessions as a file: read as it is, refused with the line where it cannot be."""

from __future__ import annotations

import pytest

from salescoach.coaching.ledger import open_ledger
from salescoach.coaching.sessions import read_sessions
from salescoach.errors import InputError, UsageError


def test_the_demo_log() -> None:
    table = read_sessions("demo")
    assert table.columns.tolist() == ["rep_id", "on", "stage"] and len(table) == 12
    assert table["stage"].unique().tolist() == ["quote"] and str(table["on"].min().date()) == "2025-07-01"


def test_the_ledger(tmp_path) -> None:
    ledger = open_ledger(tmp_path / "coaching.db")
    ledger.add_session("R2", "2026-02-01", "M", stage="quote")
    ledger.add_session("R1", "2026-01-05", "M")
    table = read_sessions(tmp_path / "coaching.db")
    assert table["rep_id"].tolist() == ["R1", "R2"] and table["stage"].isna().tolist() == [True, False]
    assert table["on"].dt.strftime("%Y-%m-%d").tolist() == ["2026-01-05", "2026-02-01"]


def test_a_log_without_stages(tmp_path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("on,rep_id\n2026-01-05,R1\n2026-02-05T10:30,李伟\n", encoding="utf-8-sig")
    table = read_sessions(file)
    assert table["rep_id"].tolist() == ["R1", "李伟"] and table["stage"].isna().all()
    assert table["on"].dt.strftime("%Y-%m-%d").tolist() == ["2026-01-05", "2026-02-05"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rep,on\nR1,2026-01-05\n", "log.csv has no column 'rep_id'. Did you mean 'rep'?"),
        ("rep_id,on\nR1,2026-01-05\n ,2026-01-06\n", "log.csv, line 3: rep_id is blank."),
        ("rep_id,on\nR1,5 May\n", "log.csv, line 2: '5 May' is not a day. Write it as 2026-07-01."),
        ("", "log.csv has no column 'rep_id'."),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, text: str, message: str) -> None:
    file = tmp_path / "log.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_sessions(file)
    assert message in str(error.value)


def test_a_file_that_is_not_there(tmp_path) -> None:
    for name in ("nothing.csv", "nothing.db"):
        with pytest.raises(UsageError, match="does not exist"):
            read_sessions(tmp_path / name)
        assert not list(tmp_path.iterdir())  # a ledger is not made by asking for one
