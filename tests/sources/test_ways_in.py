"""Ways in: folders, patterns, URLs and Parquet in parts; the same five deals are the same book by each of them."""

from __future__ import annotations

import datetime as dt
import functools
import http.server
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from salescoach.book import Book
from salescoach.errors import FileRejected, UsageError
from salescoach.sources import load_book
from salescoach.sources.place import Remote, as_place, data_files, name_of, partitions, title

HEADER = ["deal_id", "rep_id", "stage", "created_at", "closed_at", "amount", "name"]
ROWS = [
    ["D1", "Ann", "Won", "2025-01-01", "2025-01-11", "100.10", "Alpha"],
    ["D2", "Ann", "Lost", "2025-01-02", "2025-01-12", "200.00", "Beta"],
    ["D3", "Bob", "Quote", "2025-01-03", "", "300.00", "Gamma"],
    ["D4", "Bob", "Won", "2025-02-04", "2025-02-14", "400.00", "Delta"],
    ["D5", "Cy", "Contract", "2025-02-05", "", "500.00", "丹尼"],
]
AS_OF = "2025-06-30"
SECRET = "c4n4ry-signature"


def csv_of(rows: list[list[str]]) -> bytes:
    return "".join(",".join(r) + "\n" for r in [HEADER, *rows]).encode()


def text_table(rows: list[list[str]], header: list[str] = HEADER) -> pa.Table:
    return pa.table({h: [r[i] or None for r in rows] for i, h in enumerate(header)})


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Book:
    file = tmp_path_factory.mktemp("five") / "deals.csv"
    file.write_bytes(csv_of(ROWS))
    return load_book(file, as_of=AS_OF)


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """January and February in one file each, and a note that is no data."""
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "2025-01.csv").write_bytes(csv_of(ROWS[:3]))
    (folder / "2025-02.csv").write_bytes(csv_of(ROWS[3:]))
    (folder / "readme.md").write_text("deals of 2025\n")
    return folder


def mapped(head: str) -> str:
    return head + "\n[deals.columns]\n" + "".join(f'{c} = "{c}"\n' for c in HEADER)


# --- folders and patterns --------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["", "*.csv", "*", "2025-0?.csv", "../exports/2025-0[12].csv", "../**/2025-*.csv"])
def test_a_folder_and_every_pattern_give_the_same_book(exports: Path, five: Book, given: str) -> None:
    assert load_book(exports / given if given else exports, as_of=AS_OF).content_hash == five.content_hash


def test_a_pattern_is_filled_in_in_order_and_takes_only_data(exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exports)
    assert [str(f) for f in data_files([Path("*")])] == ["2025-01.csv", "2025-02.csv"]
    assert data_files([Path("2025-01.csv"), Path("2025-*.csv")]) == [Path("2025-01.csv"), Path("2025-02.csv")]


def test_a_pattern_without_hits_is_named(exports: Path) -> None:
    with pytest.raises(FileRejected, match=r"No CSV, Excel or Parquet file fits .*2024-\*\.csv\. Check the pattern"):
        load_book(exports / "2024-*.csv")
    with pytest.raises(FileRejected, match=r"No CSV, Excel or Parquet file fits .*\*\.md"):
        load_book(exports / "*.md")


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path, five: Book) -> None:
    file = tmp_path / "deals [final].csv"
    file.write_bytes(csv_of(ROWS))
    assert load_book(file, as_of=AS_OF).content_hash == five.content_hash


@pytest.mark.parametrize("named", ["exports/", "exports", "exports/*.csv", "**/2025-*.csv"])
def test_from_names_a_folder_or_a_pattern(exports: Path, five: Book, named: str) -> None:
    source = exports.parent / "my.toml"
    source.write_text(mapped(f'[deals]\nfrom = "{named}"'))
    assert load_book(source=str(source), as_of=AS_OF).content_hash == five.content_hash
    assert (
        load_book(exports, source=str(source), as_of=AS_OF).content_hash == five.content_hash if "*" in named else True
    )


# --- Parquet ---------------------------------------------------------------------------------------


def write_parts(folder: Path) -> Path:
    """deals/month=2025-01/part-0.parquet and so on, as Spark leaves them, with an empty part and its log files."""
    for month, rows in (("2025-01", ROWS[:3]), ("2025-02", ROWS[3:]), ("2025-03", [])):
        part = folder / f"month={month}"
        part.mkdir(parents=True)
        pq.write_table(text_table(rows), part / "part-0.snappy.parquet")
        (part / ".part-0.snappy.parquet.crc").write_bytes(b"x")
    (folder / "_SUCCESS").touch()
    (folder / "_temporary").mkdir()
    pq.write_table(text_table(ROWS), folder / "_temporary" / "part-9.parquet")
    return folder


def test_a_partitioned_parquet_folder_is_one_table(tmp_path: Path, five: Book) -> None:
    folder = write_parts(tmp_path / "deals")
    book = load_book(folder, as_of=AS_OF)
    assert book.deals["month"].tolist() == ["2025-01"] * 3 + ["2025-02"] * 2
    pd.testing.assert_frame_equal(book.deals.drop(columns="month"), five.deals)
    assert [f["file"] for f in book.origin["files"]] == [
        "month=2025-01/part-0.snappy.parquet",
        "month=2025-02/part-0.snappy.parquet",
    ]


@pytest.mark.parametrize("named", ["deals/", "deals", "deals/*/*.parquet", "deals/month=*"])
def test_from_names_a_partitioned_folder(tmp_path: Path, named: str) -> None:
    write_parts(tmp_path / "deals")
    source = tmp_path / "my.toml"
    source.write_text(mapped(f'[deals]\nfrom = "{named}"').replace('name = "name"', 'name = "name"\nsegment = "month"'))
    deals = load_book(source=str(source), as_of=AS_OF).deals
    assert dict(zip(deals["deal_id"], deals["segment"], strict=True)) == {
        "D1": "2025-01", "D2": "2025-01", "D3": "2025-01", "D4": "2025-02", "D5": "2025-02",
    }  # fmt: skip


def test_a_parquet_folder_beside_other_exports_is_read_with_them(tmp_path: Path) -> None:
    folder = tmp_path / "deals.parquet"
    folder.mkdir()
    pq.write_table(text_table(ROWS), folder / "part-00000.parquet")
    (tmp_path / "reps.csv").write_text("rep_id,name\nAnn,Ann Li\n")
    book = load_book(tmp_path, as_of=AS_OF)
    assert (len(book.deals), len(book.table("reps"))) == (5, 1)
    assert book.origin["files"][0]["file"] == "deals.parquet/part-00000.parquet"


def test_partition_values_stay_text() -> None:
    place = Path("out/deals/region=North%20East/month=01/k=__HIVE_DEFAULT_PARTITION__/p.parquet")
    assert partitions(place) == {"region": "North East", "month": "01", "k": ""}
    assert (name_of(place), title(place)) == (
        "region=North%20East/month=01/k=__HIVE_DEFAULT_PARTITION__/p.parquet",
        "deals",
    )
    assert partitions(Path("a=b/deals.csv")) == {}


@pytest.mark.parametrize("log", ["_delta_log", ".hoodie"])
def test_a_table_whose_files_may_hold_deleted_rows_is_refused(tmp_path: Path, log: str) -> None:
    pq.write_table(text_table(ROWS), tmp_path / "part-0.parquet")
    (tmp_path / log).mkdir()
    with pytest.raises(FileRejected, match=r"rows that were deleted since\. Export it as Parquet, or read it"):
        load_book(tmp_path)


def test_typed_columns_are_read_exactly(tmp_path: Path) -> None:
    """Each value as a CSV file would hold it; integers beyond 2**53 and decimals keep every digit."""
    day, zone = dt.date(2025, 1, 11), dt.timezone(dt.timedelta(hours=8))
    table = pa.table(
        {
            "deal_id": pa.array([9007199254740993, 2, 3], pa.int64()),
            "stage": pa.array(["Won", "Won", "Quote"]).dictionary_encode(),
            "created_at": pa.array([dt.datetime(2025, 1, 1, 9, 0, 0, 250000)] * 3, pa.timestamp("ns")),
            "closed_at": pa.array([day, None, None], pa.date32()),
            "amount": pa.array([Decimal("900719925474099.07"), None, Decimal("0.10")], pa.decimal128(20, 2)),
            "updated_at": pa.array([dt.datetime(2025, 2, 1, tzinfo=zone)] * 3, pa.timestamp("us", "Asia/Shanghai")),
            "probability": pa.array([0.1, None, 1.0], pa.float32()),
            "name": pa.array([b"Alpha", None, "丹尼".encode()], pa.binary()),
            "tags": pa.array([["a", "b"], None, []], pa.list_(pa.string())),
            "paid": pa.array([True, False, None]),
        }
    )
    file = tmp_path / "deals.parquet"
    pq.write_table(table, file)
    deals = load_book(file, as_of=AS_OF).deals.set_index("deal_id")
    first = deals.loc["9007199254740993"]
    assert first["amount_minor"] == 90_071_992_547_409_907
    assert (deals["amount_minor"]["3"], deals["amount_minor"]["2"] is pd.NA) == (10, True)
    assert str(first["created_at"]) == "2025-01-01 01:00:00.250000+00:00"
    assert str(first["closed_at"]) == "2025-01-10 16:00:00+00:00"
    assert str(first["updated_at"]) == "2025-01-31 16:00:00+00:00"
    assert first["probability"] == 0.1  # not 0.10000000149011612
    assert (first["name"], first["tags"], first["paid"]) == ("Alpha", '["a", "b"]', "true")
    assert pd.isna(deals["name"]["2"]) and pd.isna(deals["tags"]["2"])


# --- URLs ------------------------------------------------------------------------------------------


@pytest.fixture
def memory() -> Iterator[Any]:
    """The store of fsspec that is in memory, with the two months in a bucket."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.pipe({"/bucket/exports/2025-01.csv": csv_of(ROWS[:3]), "/bucket/exports/2025-02.csv": csv_of(ROWS[3:])})
    yield store
    store.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    "given",
    ["memory://bucket/exports", "memory://bucket/exports/", "memory://bucket/exports/*.csv", "memory://bucket/**/2*"],
)
def test_a_url_of_a_folder_or_pattern(memory: Any, five: Book, given: str) -> None:
    assert load_book(given, as_of=AS_OF).content_hash == five.content_hash


def test_a_url_that_a_path_has_shortened_is_still_one(memory: Any, five: Book) -> None:
    paths = [Path("memory://bucket/exports/2025-01.csv"), Path("memory://bucket/exports/2025-02.csv")]
    assert str(paths[0]) == "memory:/bucket/exports/2025-01.csv"
    assert load_book(paths, as_of=AS_OF).content_hash == five.content_hash


@pytest.mark.parametrize("named", ["memory://bucket/exports/*.csv", "memory://bucket/exports/"])
def test_from_may_be_a_url(memory: Any, five: Book, tmp_path: Path, named: str) -> None:
    (tmp_path / "my.toml").write_text(mapped(f'[deals]\nfrom = "{named}"'))
    assert load_book(source=str(tmp_path / "my.toml"), as_of=AS_OF).content_hash == five.content_hash


def test_a_partitioned_folder_and_a_workbook_behind_a_url(memory: Any, tmp_path: Path, five: Book) -> None:
    for file in (f for f in write_parts(tmp_path / "deals").rglob("*") if f.is_file()):
        memory.pipe(f"/bucket/deals/{file.relative_to(tmp_path / 'deals')}", file.read_bytes())
    book = load_book("memory://bucket/deals", as_of=AS_OF)
    assert book.deals["month"].tolist() == ["2025-01"] * 3 + ["2025-02"] * 2
    pd.DataFrame(ROWS, columns=HEADER).to_excel(tmp_path / "deals.xlsx", index=False)
    memory.pipe("/bucket/x/deals.xlsx", (tmp_path / "deals.xlsx").read_bytes())
    assert load_book("memory://bucket/x/deals.xlsx", as_of=AS_OF).content_hash == five.content_hash


def test_what_is_not_there_is_named(memory: Any) -> None:
    with pytest.raises(FileRejected, match=r"memory://bucket/gone\.csv does not exist. Check the URL"):
        load_book("memory://bucket/gone.csv")
    with pytest.raises(FileRejected, match=r"No CSV, Excel or Parquet file fits memory://bucket/\*\.pq"):
        load_book("memory://bucket/*.pq")


@pytest.fixture
def web(exports: Path) -> Iterator[str]:
    """A web server of our own that lists its folders, and asks for a signature where the path says so."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if "/private/" in self.path and f"sig={SECRET}" not in self.path:
                return self.send_error(403)
            self.path = self.path.replace("/private/", "/")
            return super().do_GET()

        def do_HEAD(self) -> None:
            self.path = self.path.replace("/private/", "/")
            super().do_HEAD()

    (exports / "deals.csv").write_bytes(csv_of(ROWS))
    pq.write_table(text_table(ROWS), exports / "deals.parquet")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(exports)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("given", ["deals.csv", "deals.parquet", "2025-0*.csv"])
def test_a_file_on_the_web(web: str, five: Book, given: str) -> None:
    pytest.importorskip("aiohttp")
    assert load_book(f"{web}/{given}", as_of=AS_OF).content_hash == five.content_hash


def test_a_signed_link_is_read_and_its_key_shown_nowhere(web: str, five: Book) -> None:
    pytest.importorskip("aiohttp")
    book = load_book(f"{web}/private/deals.csv?sig={SECRET}", as_of=AS_OF)
    assert (book.content_hash, book.origin["files"][0]["file"]) == (five.content_hash, "deals.csv")
    assert SECRET not in repr(book) + str(book.origin) + str(book.quality)
    for bad, words in (
        (f"gone.csv?sig={SECRET}", "does not exist"),
        (f"private/deals.csv?sig=x{SECRET}", "cannot be read"),
    ):
        with pytest.raises(FileRejected, match=words) as raised:
            load_book(f"{web}/{bad}")
        assert SECRET not in str(raised.value) + repr(raised.value.__context__) + repr(raised.value.__cause__)


def test_a_server_that_does_not_answer_is_named() -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(FileRejected, match=r"http://127\.0\.0\.1:9/deals\.csv cannot be read .*Check the URL and your"):
        load_book(f"http://127.0.0.1:9/deals.csv?sig={SECRET}")


def test_a_password_in_a_url_is_refused_unseen() -> None:
    with pytest.raises(
        UsageError, match=r"https://example\.com/d\.csv: a URL with a password in it is not read"
    ) as raised:
        load_book(f"https://ann:{SECRET}@example.com/d.csv")
    assert SECRET not in str(raised.value)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"no store is known by nowhere://"):
        load_book("nowhere://x/deals.csv")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UsageError, match=r"s3://bucket/deals\.csv cannot be opened: a library is missing"):
        load_book("s3://bucket/deals.csv")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match=r'reading URLs needs fsspec: pip install "salescoach\[cloud\]"'):
        load_book("s3://bucket/deals.csv")


def test_local_paths_need_no_library(exports: Path, five: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert load_book(exports, as_of=AS_OF).content_hash == five.content_hash
    assert load_book((exports / "2025-01.csv").as_uri(), as_of=AS_OF).deals["deal_id"].tolist() == ["D1", "D2", "D3"]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("deals.csv", Path("deals.csv")),
        ("C:/exports/deals.csv", Path("C:/exports/deals.csv")),
        ("file:///data/my%20deals.csv", Path("/data/my deals.csv")),
        ("s3:/bucket/deals.csv", Remote("s3://bucket/deals.csv")),
    ],
)
def test_what_is_a_path_and_what_a_url(given: str, place: object) -> None:
    assert as_place(given) == place


def test_a_remote_file_prints_without_its_query() -> None:
    place = Remote(f"https://ann@h/x/my%20deals.csv?X-Amz-Signature={SECRET}")
    assert (str(place), repr(place)) == ("https://h/x/my%20deals.csv", "Remote('https://h/x/my%20deals.csv')")
    assert (place.name, place.stem, place.suffix, place.parent.name) == ("my deals.csv", "my deals", ".csv", "x")
