"""`salescoach init`: a kit of one's own, and drafts from an export that load right after; nothing is overwritten."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from salescoach.process import read_process
from salescoach.sources import read_source


def files(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_a_kit_folder_holds_what_a_company_edits(salescoach, tmp_path):
    done = salescoach("init", "kit")
    assert done.code == 0, done.err
    found = files(tmp_path / "kit")
    assert {"salescoach.toml", "templates/process/standard.toml", "templates/sources/generic.toml"} <= set(found)
    assert {"templates/plans/weekly.toml", "templates/report/style.css", "notebooks/rep_review.ipynb"} <= set(found)
    assert done.out.splitlines()[0] == f"kit: {len(found)} files written."
    settings = tomllib.loads(found["salescoach.toml"].decode())
    assert set(settings) == {"book", "source", "process", "language", "currency"}
    assert read_process(tmp_path / "kit" / settings["process"]).calendar.timezone == "Asia/Shanghai"


def test_a_copied_process_is_used(salescoach, tmp_path):
    salescoach("init")
    (tmp_path / "deals.csv").write_text("deal_id,stage,created_at\nD1,Talk,2025-01-01\n", encoding="utf-8")
    process = tmp_path / "templates/process/standard.toml"
    process.write_text(
        process.read_text(encoding="utf-8").replace('"Lead In",', '"Lead In", "Talk",'), encoding="utf-8"
    )
    assert salescoach("check", "deals.csv").code == 5
    assert salescoach("check", "deals.csv", "--process", process).code == 0


def test_nothing_is_overwritten_and_what_is_there_is_named(salescoach, tmp_path):
    own = tmp_path / "kit/templates/process/standard.toml"
    own.parent.mkdir(parents=True)
    own.write_text("mine", encoding="utf-8")
    done = salescoach("init", "kit")
    assert "Already there and left as they are: templates/process/standard.toml.\n" in done.out
    assert own.read_text(encoding="utf-8") == "mine"
    before = files(tmp_path / "kit")
    done = salescoach("init", "kit")
    assert done.out.startswith("kit: 0 files written.\n") and " and " in done.out
    assert files(tmp_path / "kit") == before


def test_a_file_in_the_way_is_one_message(salescoach, tmp_path):
    (tmp_path / "kit").write_text("mine", encoding="utf-8")
    done = salescoach("init", "kit")
    assert done.code == 74 and "kit is no folder" in done.err
    assert (tmp_path / "kit").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("init", "a", "b"), "Name one folder."),
        (("init", "--from-data"), "Say which export to draft from: salescoach init --from-data FILE… [DIR]."),
        (("init", "--source", "maven"), "--source and --process go with --from-data"),
    ],
)
def test_what_was_meant_is_asked(salescoach, words, message):
    done = salescoach(*words)
    assert done.code == 2 and message in done.err


# --- drafts ----------------------------------------------------------------------------------------

ENGLISH = (
    "Oppty Ref;Phase;Rep in charge;Company;Opened;Closing;Deal worth;Likelihood;State;Remarks\n"
    "X-1;Discovery;Ann;Acme;14.03.2025;;1.234,50 €;20;Open;call\n"
    "X-2;Pilot;Bo;Beta;15.03.2025;;99,00 €;50;Open;\n"
    "X-3;Closed - lost;Bo;Ceta;16.03.2025;21.06.2025;10,00 €;0;Lost;x\n"
    "X-4;Signed & won;Ann;Delta;17.03.2025;22.06.2025;-;100;Won;y\n"
)
STAGES = ("线索确认", "需求调研", "现场演示", "赢单", "丢单")
CHANCES = ("10%", "30%", "60%", "100%", "0%")
STATES = ("进行中", "进行中", "进行中", "已赢单", "已输单")


def chinese() -> str:
    rows = [
        f"XM{n:04d},{STAGES[k]},{('王伟', '李娜')[n % 2]},2025/{n % 9 + 1}/{n % 20 + 1},"
        f"{'2025/12/1' if k > 2 else ''},{n}.5,{STATES[k]},{CHANCES[k]}\r\n"
        for n in range(40)
        for k in [(n * 3 + 2) % 5]
    ]
    return "单号,推进环节,业务负责,登记时间,签约日期,报价金额（万元）,当前状态,成交概率\r\n" + "".join(rows)


@pytest.mark.parametrize(
    ("name", "content", "kept", "keys"),
    [
        ("oppties.csv", ENGLISH.encode(), "Remarks", ["discovery", "pilot", "won", "lost", "void"]),
        (
            "商机 2026-09.csv",
            chinese().encode("gbk"),
            None,
            ["xian_suo_que_ren", "xu_qiu_diao_yan", "xian_chang_yan_shi", "won", "lost", "void"],
        ),
    ],
)
def test_the_drafted_pair_loads_right_after(salescoach, tmp_path, name, content, kept, keys):
    (tmp_path / name).write_bytes(content)
    refused = salescoach("check", name)
    assert refused.code == 5
    done = salescoach(*shlex.split(refused.err.splitlines()[-1].partition("salescoach ")[2]))
    assert done.code == 0, done.err
    assert done.out.startswith("Wrote source.toml and process.toml.")
    assert "What the data do not say, or not for certain:\n" in done.out
    assert read_process(tmp_path / "process.toml").pipeline("new").keys == tuple(keys)
    last = done.out.splitlines()[-1]
    assert last == f"Next: {shlex.join(['salescoach', 'check', name, '--source', 'source.toml'])}"
    done = salescoach(*shlex.split(last)[2:])
    assert done.code == 0, done.err
    rows = content.count(b"\n") - 1
    assert f"{rows} rows used, 0 set aside" in done.out
    assert f"own names kept: {kept}" in done.out if kept else "own names kept" not in done.out
    there = re.search(r"Available: ([a-z_, \n]+)\nUnavailable", done.out)
    assert there and {"sales_cycle", "pipeline", "win_rate"} <= set(re.split(r"[, \n]+", there[1]))


def test_the_drafts_work_from_another_folder(salescoach, tmp_path):
    (tmp_path / "oppties.csv").write_text(ENGLISH, encoding="utf-8")
    assert salescoach("init", "--from-data", "oppties.csv", "kit").code == 0
    assert read_source(tmp_path / "kit/source.toml").process == str(tmp_path / "kit/process.toml")
    assert salescoach("check", "oppties.csv", "--source", "kit/source.toml").code == 0
    assert salescoach("load", "oppties.csv", "--source", "kit/source.toml", "--book", "b").code == 0


def test_drafts_replace_nothing(salescoach, tmp_path):
    (tmp_path / "oppties.csv").write_text(ENGLISH, encoding="utf-8")
    (tmp_path / "process.toml").write_text("mine", encoding="utf-8")
    done = salescoach("init", "--from-data", "oppties.csv")
    assert done.code == 2
    assert "process.toml is there already, and nothing was written." in done.err
    assert (tmp_path / "process.toml").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "source.toml").exists()


def test_the_last_word_is_the_folder_unless_it_is_data(salescoach, tmp_path):
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "oppties.csv").write_text(ENGLISH, encoding="utf-8")
    (tmp_path / "kit").mkdir()
    assert salescoach("init", "--from-data", "exports", "kit").code == 0
    assert (tmp_path / "kit/source.toml").is_file()
    assert salescoach("init", "--from-data", "exports").code == 0
    assert (tmp_path / "source.toml").is_file()


def test_without_a_column_that_could_be_the_stage_nothing_is_drafted(salescoach, tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n2,3\n", encoding="utf-8")
    done = salescoach("init", "--from-data", "x.csv")
    assert done.code == 5
    assert "x.csv: none of its columns (a, b) holds names of stages." in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_drafts_have_their_comments_in_the_language_of_the_command(salescoach, tmp_path):
    rows = "".join(f"D{n},Scoping,{n} 万元\n" for n in range(9))
    (tmp_path / "x.csv").write_text(f"deal_id,stage,Mood\n{rows}", encoding="utf-8")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert salescoach("--language", "zh", "init", "--from-data", "x.csv", "other.csv", "zh").code == 0
    assert salescoach("init", "--from-data", "x.csv", "other.csv", "en").code == 0
    for name in ("source.toml", "process.toml"):
        english, chinese = ((tmp_path / place / name).read_text(encoding="utf-8") for place in ("en", "zh"))
        assert tomllib.loads(english) == tomllib.loads(chinese)
        told = "\n".join(line.partition("#")[2] for line in chinese.splitlines())
        assert re.search("[一-鿿]", told)
        assert not re.search(r"\b(?:check|guess|deals?|the|is|your)\b", re.sub("`[^`]*`", "", told)), told
        assert "Drafted by" in english and not re.search("起草|请核对", english)


def test_the_settings_of_a_kit_are_explained_in_the_language_of_the_command(salescoach, tmp_path):
    assert salescoach("--language", "zh", "init", "kit").code == 0
    text = (tmp_path / "kit/salescoach.toml").read_text(encoding="utf-8")
    assert text.startswith("# 本文件夹的各项设置") and tomllib.loads(text)["language"] == "zh"
