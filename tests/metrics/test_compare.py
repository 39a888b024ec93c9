"""Like for like, and what may be shown of the others."""

from __future__ import annotations

import numpy as np

from salescoach.metrics.compare import discoveries
from salescoach.metrics.peers import peer_table


def test_benjamini_hochberg_as_published():
    # Benjamini & Hochberg 1995: 15 p-values, 4 rejected at .05 (Bonferroni: 3)
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    ]
    assert discoveries(p, 0.05).tolist() == [True] * 4 + [False] * 11


def test_no_p_values_no_discoveries():
    assert discoveries([], 0.1).tolist() == []


def test_peers_are_rounded_and_carry_no_counts(demo_book):
    table = peer_table(demo_book)
    shares = table[table["metric"].isin(["win_rate", "lead_conversion", "stage_flow"])]["value"]
    assert np.allclose(shares * 20, (shares * 20).round()), "shares in steps of 5 points"
    assert "n" not in table and not table["hidden"].any()


def test_peers_are_hidden_where_fewer_than_five_others_stand_behind_them(demo_book):
    team = demo_book.for_team("Harbour")
    assert team.people["rep_id"].nunique() == 6
    five = demo_book.for_team("Harbour")._slice(set(team.people["rep_id"][:5]))
    table = peer_table(five)
    assert table["hidden"].all() and table["value"].isna().all() and (table["reps"] == 0).all()


def test_peers_are_hidden_where_one_rep_holds_more_than_half(demo_book):
    from dataclasses import replace

    deals = demo_book.deals
    most = deals["rep_id"].mask(deals.index % 10 < 6, "R01")
    book = replace(demo_book, tables={"deals": deals.assign(rep_id=most), "reps": demo_book.tables["reps"]})
    assert peer_table(book).set_index("metric")["hidden"]["win_rate"]
