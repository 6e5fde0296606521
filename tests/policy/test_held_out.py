"""Points of a front, judged by images that had no say in them."""

import numpy as np
import pytest

from endoexit.policy.choice import choose
from endoexit.policy.document import Costs
from endoexit.policy.folds import LEAST_IMAGES, is_enough, splits, subset
from endoexit.policy.goal_options import make_goal
from endoexit.policy.held_out import accuracy_front, held_out_exits, safer_rules
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.rules.base import Candidate
from endoexit.policy.search import FINAL_EXIT, HELD_OUT, MOST_ACCURATE, UNPROVEN, find_policy
from endoexit.policy.table import ExitTable, outcome

COSTS = (10.0, 20.0, 30.0, 40.0)


def table_of(data):
    return ExitTable(data, (1.0,) * data.num_exits, COSTS)


@pytest.mark.parametrize("rule", ["max_probability", "margin", "linear_gate"])
def test_the_labels_of_an_image_do_not_decide_where_it_exits(golden, rule):
    data, options = golden("cal"), RuleOptions(rule=rule)
    front = accuracy_front(table_of(data), options)
    safer = safer_rules(table_of(data), options, front)
    before = held_out_exits(table_of(data), options, front, safer)
    _, looking = next(splits(data))
    labels = np.where(looking, (data.labels + 1) % data.num_classes, data.labels)
    other = LogitSet(data.name, data.logits, labels, data.groups)
    # A point is known by what it loses against the final exit, so that is kept.
    lost = [data.final_accuracy - point.score for point in front]
    moved = [
        Candidate(point.rule, point.cost, other.final_accuracy - loss)
        for point, loss in zip(front, lost, strict=True)
    ]
    after = held_out_exits(table_of(other), options, moved, safer)
    np.testing.assert_array_equal(after[:, looking], before[:, looking])
    assert (after[:, ~looking] != before[:, ~looking]).any()


def test_a_point_is_chosen_again_by_what_it_loses_and_a_safer_rule_by_its_place(golden):
    data, options = golden("cal"), RuleOptions(candidates=8)
    table = table_of(data)
    front = accuracy_front(table, options)
    safer = safer_rules(table, options, front)
    assert len(safer) > 1
    exits = held_out_exits(table, options, front, safer)
    for choosing, looking in splits(data):
        inside, outside = table_of(subset(data, choosing)), table_of(subset(data, looking))
        points = accuracy_front(inside, options)
        rungs = safer_rules(inside, options, points)
        for place in (0, len(front) // 2, len(front) - 1):
            most = data.final_accuracy - front[place].score
            losses = [inside.data.final_accuracy - point.score for point in points]
            meets = [i for i, loss in enumerate(losses) if loss <= most + 1e-9]
            expected = points[meets[0] if meets else -1].rule.exits(outside)
            np.testing.assert_array_equal(exits[place, looking], expected)
        np.testing.assert_array_equal(exits[len(front), looking], rungs[0].exits(outside))


def test_safer_rules_cost_more_than_the_front_and_rise(golden):
    table = table_of(golden("cal"))
    front = accuracy_front(table, RuleOptions())
    safer = safer_rules(table, RuleOptions(), front)
    costs = [table.outcome(rule.exits(table)).cost for rule in safer]
    assert front[-1].cost < costs[0]
    assert costs == sorted(costs)


def drop_and_cost(data, exits):
    seen = outcome(data, exits, COSTS)
    return data.final_accuracy - seen.accuracy, seen.cost


def test_a_goal_of_accuracy_is_kept_on_new_images_better_than_by_the_cheapest(make_data):
    """Of many simulated clinics, the mean loss on new images is at most what was asked for."""
    asked, goal = 0.01, make_goal(max_accuracy_drop=0.01)
    costs = Costs(values=COSTS, unit="ms", source="stopwatch")
    chosen, cheapest = [], []
    for seed in range(30):
        data, new = make_data(4, images=300, seed=seed), make_data(4, images=4000, seed=1000 + seed)
        result = find_policy(goal, calibrate=data, costs=costs, classes=("a", "b", "c", "d", "e")[
            : data.num_classes])  # fmt: skip
        chosen.append(drop_and_cost(new, result.policy.assign(new.logits)))
        front = result.policy.front
        rule = front[choose(goal, front, costs, data.final_accuracy)].rule
        cheapest.append(drop_and_cost(new, rule.assign(new.logits, result.policy.temperatures)))
    (loss, cost), (loss_before, cost_before) = np.mean(chosen, 0), np.mean(cheapest, 0)
    assert loss < loss_before
    assert abs(loss - asked) < abs(loss_before - asked)
    assert cost_before < cost < COSTS[-1]


def test_a_cohort_with_too_few_images_or_groups_is_not_divided(make_data):
    data = make_data(4, images=LEAST_IMAGES)
    assert is_enough(data)
    assert not is_enough(make_data(4, images=LEAST_IMAGES - 1))
    four = np.arange(LEAST_IMAGES) % 4
    assert not is_enough(LogitSet("calibrate", data.logits, data.labels, four))


@pytest.mark.parametrize(
    ("images", "goal", "rule", "note"),
    [
        (400, {"max_accuracy_drop": 0.02}, "max_probability", HELD_OUT),
        (400, {"mean_exit_cost": 0.6}, "max_probability", UNPROVEN),
        (LEAST_IMAGES - 1, {"max_accuracy_drop": 0.02}, "max_probability", UNPROVEN),
        # A gate is fitted on four fifths of what thresholds are chosen on.
        (400, {"max_accuracy_drop": 0.02}, "linear_gate", HELD_OUT),
        (LEAST_IMAGES, {"max_accuracy_drop": 0.02}, "linear_gate", UNPROVEN),
    ],
)
def test_the_note_says_what_judged(make_data, images, goal, rule, note):
    data = make_data(4, images=images)
    costs = Costs(values=COSTS, unit="ms", source="stopwatch")
    names = tuple(f"class {c}" for c in range(data.num_classes))
    result = find_policy(make_goal(**goal), calibrate=data, costs=costs, classes=names,
                         options=RuleOptions(rule=rule))  # fmt: skip
    assert result.policy.note == note


def searched(data, **goal):
    costs = Costs(values=COSTS, unit="ms", source="stopwatch")
    names = tuple(f"class {c}" for c in range(data.num_classes))
    return find_policy(make_goal(**goal), calibrate=data, costs=costs, classes=names,
                       options=RuleOptions(temperature_scaling=False))  # fmt: skip


def lucky(make_data):
    """Return images on which every exit guesses: only luck is better than the final exit."""
    data = make_data(4, images=60)
    return LogitSet("calibrate", data.logits, np.random.default_rng(9).permutation(data.labels))


def test_where_nothing_meets_a_drop_on_held_out_images_every_image_uses_the_final_exit(make_data):
    data = make_data(4, images=60, seed=2)
    logits = data.logits.copy()  # the early exits guess; some are luckier than the final exit
    logits[:3] = np.random.default_rng(2).normal(size=logits[:3].shape)
    result = searched(LogitSet("calibrate", logits, data.labels), max_accuracy_drop=0.0)
    assert result.policy.note == FINAL_EXIT
    assert result.expected.exit_shares == (0, 0, 0, 1)


def test_where_nothing_meets_an_accuracy_on_held_out_images_the_most_accurate_is_taken(make_data):
    data = lucky(make_data)
    front = accuracy_front(table_of(data), RuleOptions())
    result = searched(data, min_accuracy=front[-1].score)
    assert result.policy.rule == front[-1].rule
    assert result.policy.note == MOST_ACCURATE
