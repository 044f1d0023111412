"""Trials on pairs and triples: models of equal size, labels that are right, what each choice does, what is refused."""

import math
import re
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch

from attention_limits.constructions.frequencies import frequency_gap
from attention_limits.experiments.detectors import (
    PROBLEMS,
    READ_INS,
    SHORT_LABELS,
    SHORT_TOKENS,
    Detector,
    MatchingTrial,
    ThirdOrderLayer,
    pairwise_layer,
    residue_features,
    seed_frequencies,
)
from attention_limits.experiments.training import Batch
from attention_limits.experiments.trials import matched_size, num_parameters, run_trials
from attention_limits.models.attention import SelfAttentionUnit
from attention_limits.models.tensor_attention import tensor_attention
from attention_limits.problems.matching import Match2, Match3
from attention_limits.problems.tuples import rule_of_pairs

KINDS = [("pairwise",), ("pairwise", "pairwise"), ("third order",)]


def trial(**changes: Any) -> MatchingTrial:
    fields = {"architecture": "one layer", "problem": "match3", "num_tokens": 4, "modulus": 7, "size": 10}
    return MatchingTrial(**{**fields, "num_steps": 12, "batch_size": 4, "num_frequencies": 3, **changes})


def first_batches(one: MatchingTrial, count: int, seed: int = 0) -> list[Batch]:
    return list(islice(one.batches(torch.Generator().manual_seed(seed)), count))


@pytest.mark.parametrize("size", [24, 40, 64])
def test_architectures_are_matched_within_five_per_cent(size: int) -> None:
    widest = trial(architecture="third order", size=size)
    for architecture in MatchingTrial.known_architectures:
        alike = trial(architecture=architecture)
        alike = replace(alike, size=matched_size(alike, num_parameters(widest)))
        assert num_parameters(alike) == pytest.approx(num_parameters(widest), rel=0.05)
    assert matched_size(widest, num_parameters(widest)) == size
    assert matched_size(widest, 1) == 1


def test_a_fixed_read_in_has_no_parameters_and_a_network_the_most() -> None:
    fixed, linear, network = (num_parameters(trial(read=read)) for read in READ_INS)
    assert linear - fixed == (6 + 1) * 10
    assert network - fixed == (6 + 1) * 20 + (20 + 1) * 10


@pytest.mark.parametrize("problem", PROBLEMS)
def test_batches_are_the_features_of_residues_with_their_labels(problem: str) -> None:
    one = trial(problem=problem, num_frequencies=2)
    brute: Match2 | Match3 = PROBLEMS[problem](4, 7)
    shown = one.features(torch.arange(7).unsqueeze(0))[0]  # of each residue
    seen = set()
    for features, labels in first_batches(one, 20):  # more than are drawn at once
        assert features.shape == (4, 4, 4)
        assert labels.shape == (4, 4)
        distances = (features.unsqueeze(-2) - shown).norm(dim=-1)
        residues = distances.argmin(dim=-1)
        assert distances.min(dim=-1).values.max() < 1e-6
        assert labels.equal(brute.brute_force(residues).float())
        seen |= set(residues.flatten().tolist())
    assert seen == set(range(7))


def test_features_are_cosines_then_sines_and_know_no_more_than_the_residue() -> None:
    residues, frequencies = torch.tensor([[0, 1, 5]]), torch.tensor([1, 3])
    found = residue_features(residues, frequencies, 8)
    root = math.sqrt(0.5)
    expected = [[[1, 1, 0, 0], [root, -root, root, root], [-root, root, -root, -root]]]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=0)
    torch.testing.assert_close(residue_features(residues + 8, frequencies, 8), found)


def test_a_seed_takes_the_spread_frequencies_of_its_draws_and_no_draw_the_lowest_ones() -> None:
    assert seed_frequencies(196, 5, 0, 3) == (1, 2, 3, 4, 5)
    gaps = [
        [frequency_gap(torch.tensor(seed_frequencies(196, 5, draws, seed)), 196) for seed in range(10)]
        for draws in (0, 1, 20)
    ]
    assert len(set(gaps[0])) == 1
    assert len(set(gaps[1])) == 10
    # The first of 20 draws is the one of a single draw.
    assert all(low < one <= best for low, one, best in zip(*gaps, strict=True))
    seeds = [trial(modulus=196, seed=seed) for seed in (0, 0, 1)]
    assert seeds[0].frequencies.equal(seeds[1].frequencies)
    assert not seeds[0].frequencies.equal(seeds[2].frequencies)


def test_short_sequences_come_first_modulo_the_same_number() -> None:
    one = trial(num_tokens=12, modulus=101, num_steps=5, short_steps=2, num_frequencies=1)
    batches = first_batches(one, 5)
    short = (SHORT_LABELS // SHORT_TOKENS, SHORT_TOKENS)
    assert [batch.targets.shape for batch in batches] == [short, short, (4, 12), (4, 12), (4, 12)]
    frequency = one.frequencies.item()
    for features, labels in batches:
        cosine, sine = features.unbind(dim=-1)
        turned = (torch.atan2(sine, cosine) * 101 / (2 * math.pi)).round().long() % 101
        residues = turned * pow(int(frequency), -1, 101) % 101
        assert labels.equal(Match3(features.shape[1], 101).target(residues).float())
    assert [batch.targets.shape for batch in first_batches(replace(one, short_steps=0), 2)] == [(4, 12)] * 2


def test_a_third_order_layer_is_tensor_attention_of_its_projections() -> None:
    layer = ThirdOrderLayer(3, 0.25, generator=torch.Generator().manual_seed(0))
    tokens = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
    keys = (tokens @ layer.first_key, tokens @ layer.second_key)
    values = (tokens @ layer.first_value, tokens @ layer.second_value)
    torch.testing.assert_close(layer(tokens), tensor_attention(tokens @ layer.query, keys, values))


@pytest.mark.parametrize("score_scale", [0.25, 1.0, 8.0])
@pytest.mark.parametrize("kind", ["pairwise", "third order"])
def test_scores_start_with_the_standard_deviation_that_is_asked_for(kind: str, score_scale: float) -> None:
    width, tokens = 48, 10
    found = []
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        stream = torch.nn.functional.normalize(torch.randn(40, tokens, width, generator=generator), dim=-1)
        stream = stream * width**0.5  # tokens of length √w
        if kind == "third order":
            layer = ThirdOrderLayer(width, score_scale, generator=generator)
            vectors = (stream @ layer.query, stream @ layer.first_key, stream @ layer.second_key)
            found.append(torch.einsum("bir,bjr,bkr->bijk", *vectors).flatten())
        else:
            for head in pairwise_layer(width, score_scale, generator=generator).heads:
                assert isinstance(head, SelfAttentionUnit)
                found.append(head.scores(stream).flatten())
    assert torch.cat(found).std().item() == pytest.approx(score_scale, rel=0.1)


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("read", READ_INS)
def test_a_detector_knows_no_order_of_tokens_and_looks_at_others(kinds: tuple[str, ...], read: str) -> None:
    model = Detector(6, 8, kinds, read=read, score_scale=1.0, generator=torch.Generator().manual_seed(0))
    residues = torch.randint(0, 7, (3, 5), generator=torch.Generator().manual_seed(1))
    features = residue_features(residues, torch.tensor([1, 2, 3]), 7)
    order = torch.tensor([4, 2, 0, 1, 3])
    found = model(features)
    assert found.shape == (3, 5)
    torch.testing.assert_close(found[:, order], model(features[:, order]), rtol=1e-4, atol=1e-5)
    changed = features.clone()
    changed[:, 0] = residue_features((residues[:, 0] + 1) % 7, torch.tensor([1, 2, 3]), 7)
    assert (model(changed) - found)[:, 1:].abs().max() > 1e-4


def test_a_fixed_read_in_gives_tokens_of_length_root_w() -> None:
    """Without attention and networks the stream is the token: read from a model whose last map is the first entry."""
    model = Detector(6, 9, (), generator=torch.Generator().manual_seed(0))
    features = residue_features(torch.arange(7).unsqueeze(0), torch.tensor([1, 2, 3]), 7)
    lengths = torch.zeros(7)
    for entry in range(9):
        (linear,) = [part for part in model.logit.modules() if isinstance(part, torch.nn.Linear)]
        with torch.no_grad():
            linear.weight.copy_(torch.eye(9)[entry : entry + 1])
            linear.bias.zero_()
            lengths += model(features)[0].square()
    torch.testing.assert_close(lengths.sqrt(), torch.full((7,), 3.0))


@pytest.mark.parametrize("architecture", MatchingTrial.known_architectures)
def test_seeds_are_trained_together_as_they_are_alone(architecture: str) -> None:
    seeds = [trial(architecture=architecture, seed=seed, short_steps=2) for seed in range(3)]
    together = run_trials(seeds)
    assert [result["group"] for result in together] == [3] * 3
    for one, result in zip(seeds, together, strict=True):
        (alone,) = run_trials([one])
        assert result["loss"] == pytest.approx(alone["loss"], rel=1e-3)  # float32 sums in another order
        assert result["gap"] == alone["gap"]


def test_rates_are_trained_together_and_nothing_else_is() -> None:
    one = trial()
    assert replace(one, peak_rate=1e-2, seed=3).family == one.family
    others: list[dict[str, Any]] = [
        {"problem": "match2"},
        {"modulus": 11},
        {"num_frequencies": 2},
        {"num_draws": 0},
        {"read": "linear"},
        {"score_scale": 1.0},
        {"residual": False},
        {"short_steps": 1},
        {"num_steps": 11},
        {"size": 12},
    ]
    assert all(replace(one, **changes).family != one.family for changes in others)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_frequencies": 2},
        {"num_draws": 0},
        {"read": "linear"},
        {"read": "network"},
        {"score_scale": 2.0},
        {"residual": False},
        {"short_steps": 2},
        {"size": 12},
        {"modulus": 11},
        {"problem": "match2"},
        {"peak_rate": 1e-2},
        {"architecture": "two layers"},
        {"architecture": "third order"},
    ],
)
def test_every_field_changes_what_is_trained(changes: dict[str, Any]) -> None:
    first, second = run_trials([trial(modulus=23), trial(**{"modulus": 23, **changes})])
    assert first["curve"] != second["curve"]


def test_what_is_measured() -> None:
    (result,) = run_trials([trial(problem="match2", modulus=3, num_steps=400, batch_size=16, num_frequencies=1)])
    assert result["accuracy"] > 0.97  # three residues are soon learned
    assert result["loss"] < 0.2
    ones = float(Match2(4, 3).label_probability())
    assert result["constant"] == pytest.approx(max(ones, 1 - ones), abs=0.02)  # 8,000 labels, correlated in fours
    assert result["rule"] == 1
    assert result["gap"] == pytest.approx(1.5)  # 1 − cos 120°
    (untrained,) = run_trials([trial(num_steps=1, peak_rate=1e-9)])
    assert untrained["accuracy"] < 0.97
    assert math.isfinite(untrained["loss"])


def test_the_rule_of_pairs_is_measured_on_the_test_samples() -> None:
    one = trial(num_tokens=6, modulus=31)
    (result,) = run_trials([one])
    inputs = one.task.sample(3000, generator=torch.Generator().manual_seed(4))
    expected = (rule_of_pairs(inputs, 31) == one.task.target(inputs)).double().mean().item()
    assert result["rule"] == pytest.approx(expected, abs=0.02)
    assert result["constant"] < result["rule"] < 1


def test_third_order_learns_triples_but_not_from_saturated_scores_or_at_a_tiny_rate() -> None:
    """A few seconds of what the page on learning shows at larger N."""
    settings = {"architecture": "third order", "num_tokens": 4, "modulus": 14, "size": 24, "num_frequencies": 5}
    settings |= {"num_steps": 200, "batch_size": 64, "peak_rate": 1e-2}
    recipe, saturated, slow = run_trials(
        [trial(**settings), trial(**settings, score_scale=30.0), trial(**{**settings, "peak_rate": 1e-4})]
    )
    assert recipe["accuracy"] > recipe["rule"] + 0.03
    assert saturated["accuracy"] < recipe["rule"]
    assert slow["accuracy"] < recipe["rule"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"problem": "match4"}, "unknown problem 'match4': use match2 or match3"),
        ({"architecture": "lstm"}, "unknown architecture 'lstm': use one layer, two layers, third order"),
        ({"modulus": 1}, "modulus must be at least 2, got 1"),
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"num_frequencies": 0}, "num_frequencies must be at least 1, got 0"),
        ({"num_draws": -1}, "num_draws must be at least 0, got -1"),
        ({"short_steps": -1}, "short_steps must be at least 0, got -1"),
        ({"short_steps": 12}, "short_steps must be below num_steps = 12, got 12"),
        ({"read": "table"}, "unknown read-in 'table': use fixed, linear, network"),
        ({"score_scale": 0.0}, "score_scale must be positive and finite, got 0.0"),
        ({"score_scale": math.inf}, "score_scale must be positive and finite, got inf"),
    ],
)
def test_a_trial_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        trial(**changes)


def test_a_stream_that_is_too_narrow_for_its_features_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("a fixed read-in of 6 features needs w ≥ that, got 5")):
        run_trials([trial(size=5)])
    with pytest.raises(ValueError, match="unknown read-in 'table': use fixed, linear, network"):
        Detector(6, 8, ("pairwise",), read="table", generator=torch.Generator())
    run_trials([trial(size=5, read="linear", num_steps=2)])


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("part", ["attentions", "networks"])
def test_layers_add_to_the_stream_or_replace_it(part: str, residual: bool) -> None:
    model = Detector(4, 6, ("pairwise",), residual=residual, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in getattr(model, part).parameters():
            parameter.zero_()  # this part then finds nothing
    features = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1))
    answers = model(features)
    other = model(features + 1)
    assert answers.equal(other) != residual
