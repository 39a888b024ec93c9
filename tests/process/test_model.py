"""What names mean, which rules a process keeps, and what an unknown name is told."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest

from salescoach.errors import ProcessError, UsageError
from salescoach.process import Process, fold_name, parse_process, read_process

STANDARD = Path(__file__).parents[2] / "templates" / "process" / "standard.toml"

SMALL = """
version = 1
name = { en = "Small", zh = "小" }
[calendar]
timezone = "Asia/Shanghai"
[pipelines.new]
label = { en = "New" }
[[pipelines.new.stages]]
key = "qualified"
label = { en = "Qualified", zh = "合格" }
names = ["合格", { name = "Needs Analysis", until = 2025-03-31 }, { name = "Demo", retired = true }]
[[pipelines.new.stages]]
key = "quote"
label = { en = "Quote" }
names = ["方案/报价", { name = "Scoping", until = 2025-03-31 }]
[[pipelines.new.stages]]
key = "contract"
label = { zh = "合同" }
names = ["合同", { name = "Scoping", since = 2025-04-01 },
  { name = "Legal Review", retired = true, until = 2020-01-01 }]
[[pipelines.new.stages]]
key = "won"
outcome = "won"
label = { en = "Won" }
names = ["Closed Won"]
[[pipelines.new.stages]]
key = "lost"
outcome = "lost"
label = { en = "Lost" }
"""


@pytest.fixture(scope="module")
def small() -> Process:
    return parse_process(SMALL, "small.toml")


@pytest.fixture(scope="module")
def standard() -> Process:
    return read_process(STANDARD)


def refused(text: str) -> str:
    with pytest.raises(ProcessError) as caught:
        parse_process(text, "small.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("  CLOSED  won", "closed won"),
        ("方案／报价", "方案/报价"),
        ("Ｃｌｏｓｅｄ　Ｗｏｎ", "closed won"),
        ("Closed\u00a0Won\n", "closed won"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
    ],
)
def test_names_are_folded(written: str, folded: str) -> None:
    assert fold_name(written) == folded
    assert fold_name(folded) == folded


@pytest.mark.parametrize(
    ("name", "on", "stage"),
    [
        ("  CLOSED  won", None, "won"),
        ("方案／报价", None, "quote"),
        ("Needs Analysis", date(2025, 1, 1), "qualified"),
        ("Needs Analysis", date(2025, 3, 31), "qualified"),  # until is included
        ("Needs Analysis", date(2025, 4, 1), None),
        ("Needs Analysis", date(2025, 6, 1), None),
        ("Needs Analysis", None, "qualified"),
        ("Scoping", date(2025, 3, 31), "quote"),
        ("Scoping", date(2025, 4, 1), "contract"),  # since is included
        ("Scoping", None, "contract"),  # without a date, what it meant last
        ("legal review", date(2026, 1, 1), "contract"),  # retired resolves whatever dates it has
        ("Demo", date(1999, 1, 1), "qualified"),
        ("QUALIFIED", date(2025, 1, 1), "qualified"),  # the key itself
        ("Security review", None, None),
        ("", None, None),
    ],
)
def test_names_resolve(small: Process, name: str, on: date | None, stage: str | None) -> None:
    assert small.pipelines["new"].resolve(name, on) == stage


def test_stamps_and_missing_stamps_are_read_as_their_date(small: Process) -> None:
    pipeline = small.pipelines["new"]
    assert pipeline.resolve("Needs Analysis", datetime(2025, 3, 31, 23, 59)) == "qualified"
    assert pipeline.resolve("Needs Analysis", pd.Timestamp("2025-04-01")) is None
    assert pipeline.resolve("Needs Analysis", pd.NaT) == "qualified"  # type: ignore[arg-type]


def test_meanings_give_the_windows(small: Process) -> None:
    first, second = small.pipelines["new"].meanings("SCOPING")
    assert first == ("quote", None, date(2025, 3, 31))
    assert second == ("contract", date(2025, 4, 1), None)


def test_stages_by_kind(small: Process, standard: Process) -> None:
    pipeline = small.pipelines["new"]
    assert [stage.key for stage in pipeline.working] == ["qualified", "quote", "contract"]
    assert pipeline.won.key == "won"
    assert [stage.key for stage in pipeline.lost] == ["lost"]
    assert pipeline.void is None
    assert standard.pipelines["new"].void is not None
    assert pipeline.keys == ("qualified", "quote", "contract", "won", "lost")
    assert pipeline.order("contract") == 2


def test_unknown_stage_and_pipeline_keys_name_the_nearest(small: Process) -> None:
    with pytest.raises(UsageError, match=r"no stage 'quotes'\. Did you mean 'quote'\? Its stages are qualified, "):
        small.pipelines["new"].order("quotes")
    with pytest.raises(UsageError, match=r"no pipeline 'now'\. Did you mean 'new'\? Its pipelines are new\."):
        small.pipeline("now")


def test_outcomes(small: Process, standard: Process) -> None:
    assert [small.outcome_of("new", key) for key in ("quote", "won", "lost")] == ["open", "won", "lost"]
    assert standard.outcome_of("new", "void") == "void"


def test_labels_fall_back_to_the_other_language(small: Process) -> None:
    assert small.stage_label("new", "qualified", "zh") == "合格"
    assert small.stage_label("new", "qualified", "zh_CN") == "合格"
    assert small.stage_label("new", "qualified", "en") == "Qualified"
    assert small.stage_label("new", "quote", "zh") == "Quote"
    assert small.stage_label("new", "contract", "en") == "合同"


def test_known_names_are_as_written(small: Process) -> None:
    assert small.known_names("new") == (
        "合格", "Needs Analysis", "Demo", "方案/报价", "Scoping", "合同", "Scoping",
        "Legal Review", "Closed Won",
    )  # fmt: skip


def test_models_cannot_be_changed(small: Process) -> None:
    with pytest.raises(ValueError, match="frozen"):
        small.calendar.timezone = "Europe/Berlin"  # type: ignore[misc]


# -- pipelines ---------------------------------------------------------------------------


def with_renewal(match_new: str, match_renewal: str) -> str:
    renewal = SMALL[SMALL.index("[pipelines.new]") :].replace("pipelines.new", "pipelines.renewal")
    renewal = renewal.replace('label = { en = "New" }', 'label = { en = "Renewal" }\n' + match_renewal)
    return SMALL.replace('label = { en = "New" }', 'label = { en = "New" }\n' + match_new) + renewal


def test_the_only_pipeline_takes_everything(small: Process) -> None:
    assert [small.pipeline_of(raw) for raw in (None, "default", "12366")] == ["new"] * 3


def test_pipelines_match_their_raw_names() -> None:
    process = parse_process(
        with_renewal('match = { pipeline = ["default", "12366"] }', 'match = { pipeline = ["续约"] }'),
        "two.toml",
    )
    raws = ("DEFAULT ", "12366", "续约", "renewal", "other", None)
    assert [process.pipeline_of(raw) for raw in raws] == ["new", "new", "renewal", "renewal", None, None]


def test_one_pipeline_with_match_takes_only_what_matches() -> None:
    text = SMALL.replace('label = { en = "New" }', 'label = { en = "New" }\nmatch = { pipeline = ["default"] }')
    process = parse_process(text, "one.toml")
    assert [process.pipeline_of(raw) for raw in ("default", "other", None)] == ["new", None, None]


def test_two_pipelines_may_not_match_the_same_name() -> None:
    message = refused(with_renewal('match = { pipeline = ["default"] }', 'match = { pipeline = ["Default"] }'))
    assert message == (
        "small.toml: pipelines.renewal.match: the pipelines 'new' and 'renewal' both match 'Default';"
        " name it in one of them only."
    )


# -- rules -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"方案/报价"',
            '"方案/报价", "合同"',
            "the name '合同' maps to both 'quote' and 'contract'; remove it",
        ),
        ('"方案/报价"', '"Contract"', "the name 'Contract' maps to both 'quote' and 'contract'"),
        (
            "since = 2025-04-01",
            "since = 2025-03-31",
            "the name 'Scoping' maps to both 'quote' and 'contract'",
        ),
        ('"Scoping", until = 2025-03-31', '"Demo"', "the name 'Demo' maps to both 'qualified' and 'quote'"),
        ('outcome = "won"', "", "a pipeline needs exactly one won stage and at least one lost stage"),
        (
            'outcome = "lost"',
            'outcome = "won"',
            "a pipeline needs exactly one won stage and at least one lost stage",
        ),
        (
            'outcome = "lost"',
            'outcome = "void"',
            "a pipeline needs exactly one won stage and at least one lost stage",
        ),
        ('key = "contract"', 'key = "contract"\noutcome = "void"\n', None),
        (
            'key = "quote"',
            'key = "quote"\noutcome = "void"\n',
            "outcome stages come after all working stages; move",
        ),
        ('key = "contract"', 'key = "quote"', "the key 'quote' is used by several stages; give each"),
    ],
)
def test_rules_of_a_pipeline(old: str, new: str, says: str | None) -> None:
    text = SMALL.replace(old, new, 1)
    assert text != SMALL
    if says is None:
        parse_process(text, "small.toml")
        return
    message = refused(text)
    assert "pipelines.new.stages: " in message
    assert says in message


def test_a_pipeline_of_outcomes_alone_is_refused() -> None:
    start, won = SMALL.index("[[pipelines"), SMALL.index('[[pipelines.new.stages]]\nkey = "won"')
    assert "at least one working stage" in refused(SMALL[:start] + SMALL[won:])


def test_two_void_stages_are_refused() -> None:
    void = '[[pipelines.new.stages]]\nkey = "{}"\noutcome = "void"\nlabel = {{ en = "Void" }}\n'
    parse_process(SMALL + void.format("void"), "small.toml")
    assert "at most one void stage" in refused(SMALL + void.format("void") + void.format("test"))


def test_several_broken_rules_are_listed_together() -> None:
    text = SMALL.replace('"方案/报价"', '"合同", "合格"').replace('outcome = "won"', "")
    message = refused(text)
    assert message.startswith("small.toml has 3 faults:\n  - pipelines.new.stages: ")
    assert "'合同' maps to both" in message
    assert "'合格' maps to both" in message
    assert "exactly one won stage" in message


# -- the line to paste -------------------------------------------------------------------


def pasted(text: str, line: str, after: str) -> Process:
    position = text.index("names = [", text.index(f'key = "{after}"')) + len("names = [")
    return parse_process(f"{text[:position]}\n{line}\n{text[position:]}", "pasted.toml")


def test_paste_line_names_the_nearest_stage_and_works(small: Process) -> None:
    line = small.paste_line("合同谈判", "new")
    assert line == (
        '"合同谈判",   # paste on a line of its own, right after `names = [` of key = "contract" in [pipelines.new]'
    )
    assert pasted(SMALL, line, "contract").pipelines["new"].resolve("合同谈判") == "contract"


def test_paste_line_lists_the_stages_when_none_is_near(small: Process) -> None:
    line = small.paste_line("Zzz", "new")
    assert "of the stage it belongs to (qualified, quote, contract, won, lost) in [pipelines.new]" in line


def test_paste_line_writes_the_list_where_there_is_none(small: Process) -> None:
    line = small.paste_line("Lost!", "new")
    assert line == 'names = ["Lost!"]   # paste below key = "lost" in [pipelines.new]'
    text = SMALL.replace('key = "lost"', 'key = "lost"\n' + line)
    assert parse_process(text, "pasted.toml").pipelines["new"].resolve("lost!") == "lost"


@pytest.mark.parametrize("name", ['5" screen', "C:\\deals", "two\nlines", "bell\x07", "del\x7f", "emoji 🎯", "# hash"])
def test_paste_line_survives_any_name(name: str, standard: Process) -> None:
    line = standard.paste_line(name, "new")
    assert "\n" not in line
    assert tomllib.loads(f"names = [\n{line}\n]") == {"names": [name]}
    process = pasted(STANDARD.read_text("utf-8"), line, "contract")
    assert process.pipelines["new"].resolve(name) == "contract"


# -- the standard process ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "names"),
    [
        (
            "prospect",
            [
                "Prospecting",
                "验证客户",
                "初期沟通",
                "初步接洽",
                "寻找客户",
                "appointmentscheduled",
                "Qualify",
            ],
        ),
        (
            "qualified",
            [
                "Qualification",
                "合格",
                "Demo",
                "需求分析",
                "立项跟踪",
                "需求确定",
                "qualifiedtobuy",
                "Develop",
            ],
        ),
        ("quote", ["Proposal", "Proposal/Price Quote", "方案/报价", "方案／报价", "呈报方案", "Propose"]),
        (
            "contract",
            [
                "Negotiation",
                "Negotiation/Review",
                "合同",
                "商务谈判",
                "Legal review",
                "contractsent",
                "Close",
            ],
        ),
        ("won", ["Closed Won", "closedwon", "赢单", "赢", "成交"]),
        ("lost", ["Closed Lost", "closedlost", "输单", "输", "丢单", "丢失"]),
        ("void", ["无效", "Duplicate", "Test"]),
    ],
)
def test_the_standard_process_knows_stock_names(standard: Process, stage: str, names: list[str]) -> None:
    pipeline = standard.pipelines["new"]
    assert {name: pipeline.resolve(name, date(2026, 6, 1)) for name in names} == dict.fromkeys(names, stage)


def test_the_standard_process_says_what_is_expected(standard: Process) -> None:
    assert [stage.key for stage in standard.pipelines["new"].working] == [
        "prospect",
        "qualified",
        "quote",
        "contract",
    ]
    for stage in standard.pipelines["new"].working:
        assert stage.expect_days and stage.touch_every_days and stage.exit
        assert stage.coach and stage.coach.en and stage.coach.zh
    assert standard.pipelines["new"].stage("prospect").first_response_hours == 4
    assert all(stage.label.en and stage.label.zh for stage in standard.pipelines["new"].stages)
    assert (standard.calendar.timezone, standard.calendar.holidays) == ("Asia/Shanghai", "CN")
