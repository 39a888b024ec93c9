"""Questions: the banks that travel with the kit, what is chosen of them, and what is refused in a company's own."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from salescoach.coaching.findings import MOVABLE
from salescoach.coaching.questions import FEWEST, MOST, TOPICS, Bank, choose_questions, read_bank
from salescoach.errors import InputError, UsageError

BANKS = ("grow", "oskar", "clear")
BLANKS = {"stage": "Quote", "deal": "Hazel", "win": "Oak"}
PAGE = {"stage_flow": {"stage": "Quote"}, "deal": {"deal": "Hazel"}, "strength": {"win": "Oak"}, "promise": {}}
SMALL = """
version = 1
name = { en = "Two steps" }
steps = [{ key = "a", label = { en = "A" } }, { key = "b", label = { en = "B" } }]
[[questions]]
step = "a"
text = { en = "a1?" }
[[questions]]
step = "a"
text = { en = "a2?" }
[[questions]]
step = "a"
when = ["deal"]
text = { en = "a {deal}?" }
[[questions]]
step = "b"
text = { en = "b1?" }
[[questions]]
step = "b"
when = ["deal", "promise"]
text = { en = "b promise?" }
[[questions]]
step = "b"
always = true
text = { en = "b always?" }
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    file = tmp_path / "small.toml"
    file.write_text(SMALL, encoding="utf-8")
    return str(file)


def texts(asked: list[tuple[str, str]]) -> list[str]:
    return [text for _, text in asked]


# --- choosing --------------------------------------------------------------------------------------


def test_by_hand(small: str) -> None:
    """Always: b always. Of a: about the deal. Of b: the deal is asked about, no promise stands there: the one for any
    page. Then nothing is left but to reach four: a second one of a (of b there are two already).
    """
    assert choose_questions({"deal": {"deal": "Hazel"}}, small) == [
        ("A", "a Hazel?"),
        ("A", "a1?"),
        ("B", "b1?"),
        ("B", "b always?"),
    ]


def test_a_topic_that_was_not_asked_about_comes_before_a_question_for_any_page(small: str) -> None:
    asked = texts(choose_questions({"deal": {"deal": "Hazel"}, "promise": {}}, small))
    assert asked[0] == "a Hazel?" and "b always?" in asked
    # `b promise?` is of the deal too, which comes first on the page and is asked about already
    assert "b promise?" not in asked
    assert "b promise?" in texts(choose_questions({"promise": {}}, small))


def test_a_question_whose_blank_cannot_be_filled_is_left_out(small: str) -> None:
    assert not any("{" in text or text.startswith("a H") for text in texts(choose_questions({"deal": {}}, small)))


def test_the_next_conversation_asks_the_next_one(small: str) -> None:
    """Of a1 and a2, which fit alike, one and then the other; which is first depends on the rep."""
    first = [texts(choose_questions({"promise": {}}, small, rep="R1", session=n))[0] for n in range(4)]
    assert first[0] != first[1] and first[:2] == first[2:] and set(first) == {"a1?", "a2?"}
    assert {texts(choose_questions({"promise": {}}, small, rep=f"R{n}"))[0] for n in range(9)} == {"a1?", "a2?"}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("bank", BANKS)
def test_four_to_six_in_the_order_of_the_steps_on_every_page(bank: str, language: str) -> None:
    """Every page with up to two topics, at three conversations: no text twice, every step, the same again."""
    read = read_bank(bank)
    steps = [step.label.in_language(language) for step in read.steps]
    for topics in [(), *((t,) for t in TOPICS), *combinations(TOPICS, 2)]:
        page = dict.fromkeys(topics, BLANKS)
        for session in (0, 1, 2) if len(topics) < 2 else (0,):
            asked = choose_questions(page, bank, language, rep="R1", session=session)
            assert FEWEST <= len(asked) <= MOST and len(set(texts(asked))) == len(asked)
            assert [steps.index(step) for step, _ in asked] == sorted(steps.index(step) for step, _ in asked)
            assert {step for step, _ in asked} == set(steps)
            assert all("{" not in text and text.strip() for text in texts(asked))
            assert asked == choose_questions(page, bank, language, rep="R1", session=session)


@pytest.mark.parametrize("bank", BANKS)
def test_what_the_manager_provides_is_always_asked(bank: str) -> None:
    always = [q.text.en for q in read_bank(bank).questions if q.always]
    assert len(always) == 1
    for page in ({}, PAGE, dict.fromkeys(TOPICS, BLANKS)):
        assert always[0] in texts(choose_questions(page, bank))


def test_what_stands_on_the_page_is_asked_about() -> None:
    """Each topic of the page has a question of its own, and each finding has one in GROW."""
    told = " ".join(texts(choose_questions(PAGE, "grow")))
    assert "Quote" in told and "Hazel" in told and "Oak" in told and "agreed last time" in told
    plain = set(texts(choose_questions({}, "grow")))
    for topic in MOVABLE:
        assert set(texts(choose_questions({topic: BLANKS}, "grow"))) - plain, topic


@pytest.mark.parametrize("bank", BANKS)
def test_every_question_is_in_both_languages_with_the_same_blanks(bank: str) -> None:
    for question in read_bank(bank).questions:
        assert question.text.en and question.text.zh and question.places("en") == question.places("zh")
        assert question.text.en.endswith(("?", ".")) and question.text.zh.endswith(("？", "。"))


def test_names_are_filled_in_as_they_are() -> None:
    """A deal's name with braces is no blank."""
    told = " ".join(texts(choose_questions({"deal": {"deal": "{stage} {0} 100 %"}}, "grow")))
    assert "{stage} {0} 100 %" in told


# --- a company's own bank --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('when = ["deal"]', 'wen = ["deal"]', "questions[3] (a).wen = [\"deal\"]: unknown key. Did you mean 'when'? "
         "The keys here are step, when, always, text."),
        ('when = ["deal"]', 'when = ["deals"]', "[3] (a).when: there is no topic 'deals'. Did you mean 'deal'?"),
        ('step = "b"\nalways', 'step = "bb"\nalways', "[6] (bb).step: there is no step 'bb'. Did you mean 'b'?"),
        ("a {deal}?", "a {deel}?", "questions[3] (a).text.en: there is no blank {deel}. Did you mean 'deal'? Blanks: "),
        ("a {deal}?", "a {deal?", "questions[3] (a).text.en: a brace is not closed; { } are for blanks"),
        ("a {deal}?", "a {deal.__class__}?", "questions[3] (a).text.en: there is no blank {deal.__class__}."),
        ("a {deal}?", "a {deal:>999999999}?", "write the blank as {deal}, without anything behind."),
        ('{ en = "a1?" }', '"a1?"', 'questions[1] (a).text = "a1?": '),
        ('{ en = "a1?" }', '{ de = "a1?" }', "questions[1] (a).text.de = \"a1?\": unknown key."),
        ("version = 1", "version = 2", "version = 2: "),
        ("version = 1", "", "version is missing; add it as in grow.toml."),
        ('key = "b"', 'key = "a"', "steps: the key 'a' is used twice; give each step a key of its own."),
        ('always = true', 'always = true\nwhen = ["deal"]', "questions[6] (b).always: a question for every page"),
        ('text = { en = "b1?" }', 'when = ["deal"]\ntext = { en = "b1?" }', ""),
        ("steps = [", "steps = [[", "is not valid TOML: "),
    ],
)  # fmt: skip
def test_a_fault_in_a_bank_is_named_with_its_place(small: str, old: str, new: str, message: str) -> None:
    assert old in SMALL
    Path(small).write_text(SMALL.replace(old, new, 1), encoding="utf-8")
    if not message:  # a step with a question for every page needs no other
        assert choose_questions({}, small)
        return
    with pytest.raises(InputError) as error:
        read_bank(small)
    assert message in str(error.value)
    assert str(error.value).startswith("small.toml") and "pydantic" not in str(error.value)


def test_every_fault_is_told_at_once(small: str) -> None:
    Path(small).write_text(
        SMALL.replace("always = true", "allways = true").replace('"promise"', '"promisse"'), encoding="utf-8"
    )
    with pytest.raises(InputError) as error:
        read_bank(small)
    assert "allways" in str(error.value)


def test_more_than_a_page_has_room_for(small: str) -> None:
    more = '[[questions]]\nstep = "a"\nalways = true\ntext = { en = "?" }\n' * 4
    Path(small).write_text(SMALL + more, encoding="utf-8")
    with pytest.raises(InputError, match="5 questions for every page and 2 steps are more than the 6 a page has room"):
        read_bank(small)


def test_a_step_without_a_question_for_any_page(small: str) -> None:
    Path(small).write_text(SMALL.replace('{ key = "b", label = { en = "B" } }', '{ key = "b", label = { en = "B" } }, '
                           '{ key = "c", label = { en = "C" } }'), encoding="utf-8")  # fmt: skip
    with pytest.raises(InputError, match="the step 'c' needs a question without `when` and blanks"):
        read_bank(small)


def test_a_bank_that_is_not_there() -> None:
    with pytest.raises(
        UsageError, match=r"no bank of questions 'grwo'. Did you mean 'grow'. Banks: clear, grow, oskar"
    ):
        read_bank("grwo")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_bytes("# 中文".encode("gb18030"))
    with pytest.raises(InputError, match=r"own.toml: byte 3 is not UTF-8. Save the file again"):
        read_bank(str(file))


def test_a_changed_file_is_read_again(small: str) -> None:
    assert isinstance(read_bank(small), Bank)
    Path(small).write_text(SMALL.replace("a1?", "other?"), encoding="utf-8")
    assert read_bank(small).questions[0].text.en == "other?"
