"""The front door: lazy, sorted, complete, and every name behind it documented."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import salescoach

HEAVY = ("pandas", "numpy", "seaborn", "statsmodels", "matplotlib", "pyarrow", "papermill", "pydantic")
PACKAGES = ("batch", "book", "charts", "metrics", "models", "process", "reports", "sample", "sources")


def test_import_salescoach_loads_nothing_heavy():
    code = f"import sys, salescoach; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_the_door_lists_its_names_sorted_and_about_25_of_them():
    assert salescoach.__all__ == sorted(salescoach.__all__)
    assert 15 <= len(salescoach.__all__) <= 30
    assert dir(salescoach) == salescoach.__all__


@pytest.mark.parametrize("name", salescoach.__all__)
def test_every_name_opens(name):
    found = getattr(salescoach, name)
    assert name in ("__version__", "METRICS") or found.__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'win_rates'"):
        _ = salescoach.win_rates


@pytest.mark.parametrize("package", PACKAGES)
def test_package_lists_are_complete_and_real(package):
    module = importlib.import_module(f"salescoach.{package}")
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert hasattr(module, name)


def test_public_functions_say_what_they_return():
    from salescoach.metrics import METRICS

    for name, metric in METRICS.items():
        assert "Returns one row per" in (metric.compute.__doc__ or ""), name
        assert metric.definition and metric.basis and metric.interval, name
