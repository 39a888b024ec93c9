"""The planted parameters of a simulated book."""

from __future__ import annotations

from dataclasses import dataclass

from salescoach.errors import UsageError

STAGES = ("prospect", "qualified", "quote", "contract")
ENDINGS = ("won", "lost", "void")
ZONE = "Asia/Shanghai"
LAST_DAY = "2026-09-30"


@dataclass(frozen=True)
class Truth:
    """What a simulated book is made of; every field is a cause, none is a result.

    Effects are in logit: +.40 lifts a share of .50 to .60. Figures per stage
    stand in the order of `STAGES`.
    """

    conversion: tuple[float, float, float, float] = (0.70, 0.50, 0.65, 0.75)
    """Share of the deals in each stage that get further, 0..1 (marginal; intercepts are solved for it)."""

    exact_shares: bool = True
    """Whether `conversion` is met to the deal (systematic sampling), or left to independent draws."""

    median_days: tuple[float, float, float, float] = (8.0, 10.0, 2.3, 9.0)
    """Median stay of a deal that gets further, in calendar days."""

    quote_mean_days: float | None = 3.0
    """Mean calendar days from quote to the next stage; None leaves `median_days` as it is."""

    dwell_sigma: float = 0.70
    """Spread of a stay: standard deviation of its natural logarithm."""

    lost_stretch: float = 1.8
    """Factor on the last stay of a deal that will not get further."""

    festival_stretch: float = 1.6
    """Factor on a stay that begins within two weeks of Spring Festival."""

    skill_sd: float = 0.30
    """Standard deviation of reps' skill in each stage, in logit; clipped at two of them."""

    weak_stage: str = "quote"
    """Stage in which the weak rep is weak."""

    weak_logit: float = -1.2
    """Skill of the weak rep in `weak_stage`; 0 plants no weak rep."""

    strong_stage: str = "qualified"
    """Stage in which the strong rep is strong."""

    strong_logit: float = 0.9
    """Skill of the strong rep in `strong_stage`; 0 plants no strong rep."""

    response_logit: float = -0.30
    """Effect of each doubling of the first response time, in prospect."""

    contacts_logit: float = 0.40
    """Effect of knowing two contacts or more, in quote."""

    competitor_logit: float = -0.60
    """Effect of a competitor, in contract."""

    amount_logit: float = -0.25
    """Effect of each unit of the natural logarithm of the amount, in quote and contract."""

    season_logit: float = 0.15
    """Swing of the year around its mean, in prospect: best in March, worst in September."""

    coaching_logit: float = 0.60
    """Effect of coaching in quote, from `coaching_delay_days` on."""

    coaching_delay_days: int = 14
    """Days from a coaching session to its effect."""

    coaching_waves: int = 4
    """Quarters at whose start the worst of the last quarter are coached; 0 plants no coaching."""

    coached_per_wave: int = 2
    """Reps coached with effect in each wave."""

    placebo_per_wave: int = 1
    """Reps coached without effect in each wave, chosen in the same way."""

    back_rate: float = 0.08
    """Share of forward moves that are taken back for a while, 0..1."""

    skip_rate: float = 0.08
    """Share of passed stages that nobody recorded, 0..1."""

    reopen_rate: float = 0.03
    """Share of closed deals that had been marked lost before and were reopened, 0..1."""

    void_rate: float = 0.02
    """Share of deals that are void in the end (doubles, tests), 0..1."""

    zombie_rate: float = 0.03
    """Share of the losing deals that nobody ever closes, 0..1."""

    quarter_end_pull: float = 0.40
    """Share of wins near a quarter's end that are pulled into its last three workdays, 0..1."""

    growth: float = 1.5
    """Daily new deals at the end of the book, as a multiple of those at its beginning."""

    leads_per_deal: float = 1.875
    """Leads in the book for each deal in it."""

    leadless_rate: float = 0.13
    """Share of deals that began without a lead, 0..1."""

    response_median_hours: float = 2.0
    """Median time to a first response before nights and weekends are added, in hours."""

    unanswered_rate: float = 0.08
    """Share of leads that nobody ever answered, 0..1."""

    missed_quote_rate: float = 0.10
    """Share of deals in quote that were never sent a quote, 0..1."""

    forgotten_share: float = 0.04
    """Deals with a customer's contact left unanswered for over two weeks, as a share of all deals."""

    turnover: bool = True
    """Whether one rep leaves, one starts late and one is new (from twelve reps on)."""

    def __post_init__(self) -> None:
        if not all(0 < share < 1 for share in self.conversion):
            raise UsageError("Every conversion must lie between 0 and 1; got {conversion}.", conversion=self.conversion)
        for stage in (self.weak_stage, self.strong_stage):
            if stage not in STAGES:
                raise UsageError(
                    "Unknown stage {stage!r}; the sample has {stages}.", stage=stage, stages=", ".join(STAGES)
                )


DEMO_TRUTH = Truth()
