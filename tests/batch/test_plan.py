"""Plans: everything is checked before anything runs."""

from __future__ import annotations

import pytest

from salescoach.batch import Order, PlanFile, make_jobs, read_plan, safe_slug
from salescoach.batch.inputs import keys_of
from salescoach.errors import InputError, UsageError


def plan(**order):
    return PlanFile(reports=(Order(**{"notebook": "rep_review", "per": "rep", **order}),))


def test_one_job_per_rep_including_those_without_a_deal(demo_book):
    jobs = make_jobs(demo_book, plan())
    assert len(jobs) == 24
    assert len({j.file for j in jobs}) == 24


def test_only_names_people_by_id_or_name(demo_book):
    jobs = make_jobs(demo_book, plan(only=("R01", "Tom Becker")))
    assert [(j.subject, j.name) for j in jobs] == [("R01", "Ana Souza"), ("R02", "Tom Becker")]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"only": ("Ana Suoza",)}, "no rep 'Ana Suoza'.*Did you mean 'Ana Souza'"),
        ({"notebook": "rep_revue"}, "no notebook 'rep_revue'.*Did you mean 'rep_review'"),
        ({"period": "2026Q5"}, "'2026Q5' is not a period"),
        ({"language": "de"}, "no language 'de'"),
        ({"notebook": "team_roster"}, "team_roster has no parameter 'rep'"),
        ({"per": "team", "notebook": "team_roster", "only": ("Harbor",)}, "no team 'Harbor'.*Did you mean 'Harbour'"),
    ],
)
def test_a_mistyped_name_is_an_error_before_anything_runs(demo_book, order, message):
    with pytest.raises(UsageError, match=message):
        make_jobs(demo_book, plan(**order))


def test_the_same_report_twice_is_refused(demo_book):
    twice = PlanFile(
        reports=(Order(notebook="rep_review", per="rep"), Order(notebook="rep_review", per="rep", period="2026"))
    )
    with pytest.raises(UsageError, match=r"makes reps/.*rep_review.html twice"):
        make_jobs(demo_book, twice)


def test_the_weekly_plan_that_travels_with_us_is_valid(demo_book):
    jobs = make_jobs(demo_book, read_plan("weekly"))
    company = {"funnel", "quota", "new_customers"}
    people = {"rep_review", "manager_sheet", "team_roster", "team_review", "forecast"}
    assert {j.notebook for j in jobs} == {*people, *company}


def test_what_is_about_a_rep_but_not_for_them_is_not_in_their_folder(demo_book):
    jobs = make_jobs(demo_book, read_plan("weekly"))
    sheets = [j for j in jobs if j.notebook == "manager_sheet"]
    own = {j.folder for j in jobs if j.notebook == "rep_review"}
    assert len(sheets) == 24 and all(j.folder.startswith("managers/") for j in sheets)
    assert not own & {j.folder for j in sheets}


def test_the_quarterly_plan_looks_back_for_each_team_and_rep(demo_book):
    jobs = make_jobs(demo_book, read_plan("quarterly"))
    assert {(j.notebook, j.per) for j in jobs} == {(n, p) for n in ("win_loss", "bottlenecks") for p in ("team", "rep")}
    assert len(jobs) == 2 * (4 + 24)


@pytest.mark.parametrize(("written", "used"), [(None, "last 365 days"), ("", ""), ("2026Q2", "2026Q2")])
def test_where_no_period_is_written_the_notebook_has_its_own(demo_book, written, used):
    for wanted in (plan(notebook="team_review", per="company", period=written), plan_of(written)):
        [job] = make_jobs(demo_book, wanted)
        assert job.period == used and job.parameters["period"] == used


def plan_of(period):
    return PlanFile(period=period, reports=(Order(notebook="team_review", per="company"),))


def test_a_changed_file_of_own_metrics_is_another_key(demo_book, tmp_path):
    own, jobs = tmp_path / "mine.py", make_jobs(demo_book, plan_of("2026Q2"))
    own.write_text("LIMIT = 1\n", encoding="utf-8")
    first = keys_of(demo_book, jobs, own, None)
    assert keys_of(demo_book, jobs, own, None) == first != keys_of(demo_book, jobs, None, None)
    own.write_text("LIMIT = 2\n", encoding="utf-8")
    assert keys_of(demo_book, jobs, own, None) != first


def test_a_wrong_key_in_a_plan_names_file_place_and_the_right_key(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('langauge = "en"\n[[reports]]\nnotebook = "funnel"\nper = "company"\n')
    with pytest.raises(InputError, match=r"mine.toml: langauge: no key of a plan. Did you mean 'language'"):
        read_plan(file)


def test_an_unknown_plan_names_the_nearest():
    with pytest.raises(UsageError, match=r"no plan 'weakly'\. Did you mean 'weekly'"):
        read_plan("weakly")


@pytest.mark.parametrize(
    "name", ["../escaped", "a/b\\c", "", "x" * 300, "..", "CON", "名字 / 王芳", "a\x00b", "-rf *", "<b>"]
)
def test_file_names_are_harmless(name):
    slug = safe_slug(name, name)
    assert slug not in ("", ".", "..")
    assert not set(slug) & set('/\\:*?"<>|\x00 ')
    assert len(slug.encode()) < 200
    assert not slug.startswith((".", "-"))


def test_two_people_of_one_name_have_different_files():
    assert safe_slug("Ana", "R01") != safe_slug("Ana", "R02")
