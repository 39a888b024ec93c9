"""Runners by name, that make reports elsewhere: a Dask cluster, and what other packages bring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager

from salescoach.errors import InputError, SalescoachError, UsageError, commas, suggestion
from salescoach.plugins import RUNNERS, load_plugin, plugins, unusable

CONNECT = 20

Factory = Callable[[str], AbstractContextManager[Executor]]


@contextmanager
def runner(wanted: str) -> Iterator[Executor]:
    """The executor of `NAME` or `NAME=ADDRESS`, ended afterwards. Raises UsageError where it cannot be had."""
    name, _, address = wanted.partition("=")
    with _started(name, address) as executor:
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)


def _started(name: str, address: str) -> AbstractContextManager[Executor]:
    brought = plugins(RUNNERS)
    for taken in brought.keys() & BUILT_IN.keys():
        raise unusable(brought[taken], "salescoach has a runner of that name itself")
    if name in BUILT_IN:
        return BUILT_IN[name](address)
    if name not in brought:
        known = sorted((*BUILT_IN, *brought))
        raise UsageError(
            "There is no runner {name!r}.{hint} Runners: {known}.",
            name=name,
            hint=suggestion(name, known),
            known=commas(known),
        )
    entry = brought[name]
    factory = load_plugin(entry)
    try:
        started: AbstractContextManager[Executor] = factory(address)
    except SalescoachError:
        raise
    except Exception as error:  # a stranger's function may raise anything
        raise unusable(entry, f"{type(error).__name__}: {error}") from error
    if not hasattr(started, "__enter__"):
        raise unusable(entry, f"it gives {type(started).__name__}, no concurrent.futures.Executor")
    return started


@contextmanager
def dask(address: str) -> Iterator[Executor]:
    """The executor of a Dask cluster. A worker that is lost is no fault of a report: others make it, twice at most."""
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError("--dask needs the extra: pip install 'salescoach[dask]'.") from error
    try:
        client = Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            "No Dask scheduler answers at {address}. Check the address, as tcp://HOST:8786.", address=address
        ) from error
    with client:
        yield client.get_executor(pure=False, retries=2)


BUILT_IN: dict[str, Factory] = {"dask": dask}
