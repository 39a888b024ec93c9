"""Writes the bundled demo book: python -m salescoach.sample FOLDER."""

from __future__ import annotations

import sys

from salescoach.errors import SalescoachError
from salescoach.sample.write import write_demo


def main(arguments: list[str]) -> int:
    """Writes the demo book to the folder named, and says what was written."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m salescoach.sample FOLDER\n")
        return 2
    try:
        record = write_demo(arguments[0])
    except SalescoachError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    rows = ", ".join(f"{table} {count:,}" for table, count in record["dirt"]["rows_written"].items())
    sys.stdout.write(f"Wrote {arguments[0]}: {rows} rows.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
