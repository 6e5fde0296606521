"""Pairs of a rule and a threshold of referral: what they do on calibrate, and their order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from endoexit.errors import PolicyError
from endoexit.policy.goals import Guarantee
from endoexit.policy.guarantee import risk_score
from endoexit.policy.options import RuleOptions
from endoexit.policy.referral import AnyUnlike, Referral, sureness, within_share
from endoexit.policy.risks import LossTable
from endoexit.policy.rules.base import Rule
from endoexit.policy.rules.catalog import RULES
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.screening import pareto_front
from endoexit.policy.table import ExitTable

# What one referred image weighs, in images that go through the whole network: a human's minute is
# dearer than a processor's second, but half the cost for one more image in a hundred is worth it.
REFERRAL_COST = 50.0
# Shares of referral at which a pair is tested, from the share allowed to none.
REFERRAL_STEPS = 16
# Thresholds tried at the final exit, from "no image is unsure" to the largest share allowed.
LEVELS = 40


@dataclass(frozen=True, eq=False)
class Cohort:
    """A cohort with what referral needs of it.

    Attributes:
        table: Logits with temperatures and costs.
        unlike: Referral of images that look unlike; None for none.
        sure: Sureness (N,) of the final exit.
        first: First exit (N,) that finds an image unlike; M + 1 where none does.
    """

    table: ExitTable
    unlike: AnyUnlike | None
    sure: NDArray[np.float64]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, table: ExitTable, unlike: AnyUnlike | None) -> Self:
        """Return a cohort with the sureness and the energies of its images."""
        data = table.data
        sure = sureness(data.logits[-1], data.predictions[:-1].T, table.temperatures[-1])
        if unlike is None:
            first = np.full(len(sure), table.data.num_exits + 1, dtype=np.int64)
        else:
            first = Referral(unlike=unlike).first_unlike(data.logits, data.features)
        return cls(table, unlike, sure, first)

    def exits(self, rule: Rule) -> NDArray[np.int64]:
        """Return the exit (N,) of each image, also of those that are referred there."""
        return np.minimum(rule.exits(self.table), self.first)

    def decide(
        self, rule: Rule, threshold: float | None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the exit (N,) of each image, and which images (N,) are answered there."""
        exits = self.exits(rule)
        return exits, self.answered(exits, threshold)

    def answered(self, exits: NDArray[np.int64], threshold: float | None) -> NDArray[np.bool_]:
        """Return which images (N,) are answered; None refers no image as unsure."""
        mask = exits < self.first
        if threshold is not None:
            mask &= (exits < self.table.data.num_exits) | (self.sure >= threshold)
        return np.asarray(mask)


@dataclass(frozen=True)
class Pair:
    """A rule with a threshold at the final exit, and what they do on calibrate.

    Attributes:
        rule: Rule of the early exits.
        exits: Exit (N,) of each image of calibrate; see `Candidate.exits`.
        threshold: Sureness at the final exit under which images are referred; None for none.
        cost: Mean cost of an image.
        referred: Share of the images that are referred.
        score: Least evidence over the risks that a risk is under its tolerance; see `_evidence`.
        no_worse: Whether no risk sees more wrong answers than with the final exit alone and the
            same threshold.
    """

    rule: Rule
    exits: NDArray[np.int64] = field(compare=False, repr=False)
    threshold: float | None
    cost: float
    referred: float
    score: float
    no_worse: bool


def pairs_of(
    here: Cohort,
    known: Sequence[LossTable],
    goal: Guarantee,
    options: RuleOptions,
) -> list[Pair]:
    """Return every rule that is tried with every threshold that refers at most the share allowed.

    A rule with early exits gets no credit for fewer wrong answers than the final exit with the
    same threshold: the best of many rules was lucky on calibrate.

    Args:
        here: The calibrate cohort.
        known: Losses (R) of each risk on it.
        goal: Guarantee with the largest share.
        options: Which rules are tried.

    Raises:
        PolicyError: More images look unlike than may be referred.
    """
    most = goal.max_referral or 0.0
    costs, final = np.asarray(here.table.costs), here.table.data.num_exits
    limits = np.array([[table.risk.tolerance] for table in known])
    counted = np.stack([table.counted for table in known]).astype(np.float64)
    thresholds = _thresholds(here, most)
    unsure = np.array([here.sure < (threshold or 0.0) for threshold in thresholds])  # (T, N)
    least: NDArray[np.float64] = np.zeros((len(known), len(thresholds)))
    pairs: list[Pair] = []
    for rule, exits in _rules(here, known, thresholds, most, options).items():
        answered = ((exits < here.first) & ~((exits == final) & unsure)).astype(np.float64)
        images = counted @ answered.T  # (R, T)
        losses = [table.losses[exits - 1, np.arange(len(exits))] for table in known]
        wrong = np.stack(losses) @ answered.T
        if not pairs:  # the final exit comes first
            least = wrong
        scores = _evidence(np.maximum(wrong, least), images, limits).min(axis=0)
        no_worse = np.all(wrong <= least, axis=0)
        referred = 1.0 - answered.mean(axis=1)
        allowed = answered.sum(axis=1) >= len(exits) - within_share(most, len(exits))
        cost = float(costs[exits - 1].mean())
        pairs += [
            Pair(rule, exits, threshold, cost, share, score, as_good)
            for threshold, share, score, as_good, is_allowed in zip(
                thresholds,
                referred.tolist(),
                scores.tolist(),
                no_worse.tolist(),
                allowed.tolist(),
                strict=True,
            )
            if is_allowed
        ]
    if not pairs:
        raise PolicyError(
            f"more than {most:g} of the calibrate images look unlike the training images, so none "
            "may be referred as unsure: raise --max-referral, or refer fewer as unlike."
        )
    return pairs


def _thresholds(here: Cohort, share: float) -> tuple[float | None, ...]:
    """Return thresholds of the final exit: None, then those that refer more and more images.

    Most refer at most the share of all images. Some refer more, for rules under which so many
    images exit early that few are asked at the final exit.
    """
    sure = np.sort(here.sure)
    most = round(share * len(sure), 9)  # 0.29 of 100 is 29
    fine = np.linspace(1, most, LEVELS)
    coarse = np.linspace(most, len(sure) - 1, LEVELS // 2)
    places = np.unique(np.concatenate([fine, coarse]).astype(int))
    values = {float(sure[place]) for place in places if place < len(sure)}
    return (None, *sorted(value for value in values if value > sure[0]))


def _rules(
    here: Cohort,
    known: Sequence[LossTable],
    thresholds: Sequence[float | None],
    share: float,
    options: RuleOptions,
) -> dict[Rule, NDArray[np.int64]]:
    """Return the rules that are tried: the final exit, and fronts at three shares of referral.

    With each is the exit (N,) of every image of calibrate; see `Candidate.exits`.

    An image that is referred at the final exit loses nothing there. So which rules are on the
    front depends on how many are referred.
    """
    kind, final = RULES[options.rule], FixedRule(exit=here.table.data.num_exits)
    rules: dict[Rule, NDArray[np.int64]] = {final: here.exits(final)}
    within = [each for each in thresholds if each and (here.sure < each).mean() <= share]
    for threshold in dict.fromkeys([None, *within[len(within) // 2 :: max(1, len(within) // 2)]]):
        values, score = risk_score(known)
        if threshold is not None:
            values[:, -1, here.sure < threshold] = 0.0
        for candidate in kind.front(here.table, options, values, score):
            rules[candidate.rule] = np.minimum(candidate.exits(here.table), here.first)
    return rules


def _evidence(
    wrong: NDArray[np.float64], images: NDArray[np.float64], limits: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the signed root of the likelihood ratio of "the risk is ε", larger for safer.

    It is about the number of standard errors that the share of wrong answers is below ε, and
    counts that a larger number of images shows more.
    """
    # Half an image more: none wrong of few images shows less than none of many.
    wrong, images = wrong + 0.5, images + 1.0
    share = wrong / images
    gain = xlogy(wrong, share / limits) + xlogy(images - wrong, (1.0 - share) / (1.0 - limits))
    return np.asarray(np.sign(limits - share) * np.sqrt(2.0 * np.maximum(gain, 0.0)))


def in_order(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs to test, most referred first, and those of the front, fewest referred first.

    Calibrate is small, so whether more referral makes the front's pairs safer is often left to a
    few images. That it does is known beforehand: between them, and before them up to the share
    allowed, come others that are no worse than the final exit.
    """
    full = max(pair.cost for pair in pairs)
    spent = np.array([REFERRAL_COST * pair.referred + pair.cost / full for pair in pairs])
    scores = np.array([pair.score for pair in pairs])
    front: list[int] = pareto_front(spent, scores).tolist()
    tried: set[int] = {*front, *_rungs(pairs)}
    sequence = sorted(tried, key=lambda index: float(-spent[index]))
    return [pairs[index] for index in sequence], [pairs[index] for index in front]


def _rungs(pairs: Sequence[Pair]) -> Iterator[int]:
    """Yield the places of pairs at ever smaller shares of referral, the cheapest at each."""
    sound = [place for place, pair in enumerate(pairs) if pair.no_worse]
    shares = np.array([pairs[place].referred for place in sound])
    costs = np.array([pairs[place].cost for place in sound])
    step = shares.max() / REFERRAL_STEPS
    for most in np.linspace(shares.max(), 0.0, REFERRAL_STEPS, endpoint=False):
        within = np.flatnonzero((shares <= most) & (shares > most - step))
        if len(within):
            within = within[shares[within] >= shares[within].max() - step / 2]
            yield sound[within[np.lexsort((-shares[within], costs[within]))[0]]]
