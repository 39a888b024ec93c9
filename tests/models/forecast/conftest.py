"""Books with planted hazards and seasons, and the small ones of the metrics' tests."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salescoach.book import Book
from salescoach.kit import kit_path
from salescoach.process import read_process

_FILE = Path(__file__).resolve().parents[2] / "metrics" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("books_of_metrics", _FILE)
assert _SPEC is not None and _SPEC.loader is not None
_BOOKS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_BOOKS)

book_of, generated, busy = _BOOKS.book_of, _BOOKS.generated, _BOOKS.busy
plain, process, demo, trial = _BOOKS.plain, _BOOKS.process, _BOOKS.demo, _BOOKS.trial

STAGES = ["prospect", "qualified", "quote", "contract"]
ADVANCE = np.array([0.035, 0.05, 0.06, 0.09])  # a day, at the height of a stage
LOSE = np.array([0.035, 0.03, 0.02, 0.012])
START = pd.Timestamp("2024-07-01")


@cache
def planted_book(seed: int = 1, arrivals: float = 12.0, days: int = 730, season: float = 0.3, reps: int = 24) -> Book:
    """Deals that move by daily hazards: rising to the tenth day of a stage, falling after, higher at a quarter's end.

    arrivals   new deals a day; by `season` more in spring and fewer in autumn
    """
    chance = np.random.default_rng(seed)
    stage, entered, deal = (np.empty(0, dtype=np.int64) for _ in range(3))
    log: list[tuple[Any, Any, Any]] = []
    created, dates = [], pd.date_range(START, periods=days)
    late = ((dates.month - 1) % 3 == 2).astype(float)
    for day in range(days):
        rate = arrivals * (1 + season * np.sin(2 * np.pi * (dates[day].day_of_year - 20) / 365))
        new = int(chance.poisson(rate))
        fresh = np.arange(len(created), len(created) + new)
        created += [day] * new
        stage, entered = np.append(stage, np.zeros(new, dtype=np.int64)), np.append(entered, np.full(new, day))
        deal = np.append(deal, fresh)
        log.append((fresh, np.zeros(new, dtype=np.int64), np.full(new, day)))
        age = day - entered
        shape = np.where(age < 10, 0.3 + 0.07 * age, 1.0 / (1 + (age - 10) / 25))
        on, off = ADVANCE[stage] * shape * (0.85 + 0.5 * late[day]), LOSE[stage] * shape
        draw = chance.random(len(stage))
        gone, lost = draw < on, (draw >= on) & (draw < on + off)
        log.append((deal[gone], stage[gone] + 1, np.full(int(gone.sum()), day)))
        log.append((deal[lost], np.full(int(lost.sum()), 5), np.full(int(lost.sum()), day)))
        stage[gone], entered[gone] = stage[gone] + 1, day
        kept = ~lost & (stage < 4)
        stage, entered, deal = stage[kept], entered[kept], deal[kept]
    return _book(chance, np.array(created), [np.concatenate(c) for c in zip(*log, strict=True)], days, reps)


def _book(chance: np.random.Generator, created: Any, log: list[Any], days: int, reps: int) -> Book:
    names = np.array([*STAGES, "won", "lost"])
    order = np.lexsort((log[2], log[0]))
    deal, step, day = (c[order] for c in log)
    ids = pd.Series([f"D{i:06}" for i in range(len(created))], dtype="str")
    history = pd.DataFrame({"deal_id": ids.to_numpy()[deal], "entered_at": _instants(day), "stage": names[step]})
    history["evidence"] = "observed"
    last = pd.Series(names[step]).groupby(deal).last().to_numpy()
    ended = pd.Series(day).groupby(deal).last().to_numpy()
    share = chance.gamma(4, size=reps)
    owner = chance.choice(reps, len(created), p=share / share.sum())
    amount = np.round(np.exp(9 + 0.5 * chance.standard_normal(len(created))), 2)
    deals = pd.DataFrame({"deal_id": ids, "rep_id": [f"R{i:02}" for i in owner], "stage": last})
    deals["outcome"] = np.where(np.isin(last, ["won", "lost"]), last, "open")
    deals["created_at"] = _instants(created)
    deals["closed_at"] = _instants(ended).where(deals["outcome"] != "open")
    deals = deals.assign(amount=amount, amount_minor=pd.Series(np.round(amount * 100), dtype="Int64"), pipeline="new")
    people = pd.DataFrame({"rep_id": [f"R{i:02}" for i in range(reps)], "name": [f"Rep {i:02}" for i in range(reps)]})
    people["team"] = [f"Team {i % 4}" for i in range(reps)]
    tables = {"deals": deals, "stage_history": history, "reps": people}
    tables = {k: v.astype({c: "str" for c in v.columns if v[c].dtype.kind == "O"}) for k, v in tables.items()}
    end = (START + pd.Timedelta(days=days)).tz_localize("Asia/Shanghai").tz_convert("UTC") - pd.Timedelta("1us")
    return Book(tables, read_process(kit_path("templates/process") / "standard.toml"), end, "CNY")


def _instants(days: Any) -> pd.Series:
    local = pd.Series(START + pd.to_timedelta(days, unit="D") + pd.Timedelta(hours=10))
    return local.dt.tz_localize("Asia/Shanghai").dt.tz_convert("UTC").astype("datetime64[us, UTC]")


@pytest.fixture(scope="session")
def planted() -> Any:
    return planted_book
