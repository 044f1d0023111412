"""The contests' ways agree, on small sizes and with each contest's own tolerance; and a wrong one is noticed."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from attention_limits.models.strassen_attention import by_products, pair_scores
from attention_limits.performance import attention
from attention_limits.performance.attention import (
    one_pass,
    third_order_contests,
    third_order_inputs,
    thread_contests,
    unit_contests,
)
from attention_limits.performance.batches import (
    certificate_contest,
    ensemble_contests,
    exhaustive_contest,
    unit_contest,
)
from attention_limits.performance.contests import Contest, DisagreementError
from attention_limits.performance.strassen import Inputs, strassen_contests
from attention_limits.performance.structure import evaluation_contests, long_contest, oracle_contests

SMALL = [
    *third_order_contests([1, 9, 33], 0, compiled=False),
    *thread_contests([33, 130], 0),
    *unit_contests([1, 16, 2000], 0),
    *oracle_contests([1, 40], [1, 15], 0),
    *evaluation_contests([1, 20], 0),
    long_contest(20_000, 80_000, 2, 0),
    *strassen_contests([1, 2, 33], 0),
    *ensemble_contests([(6, 4, 3)], 6),
    certificate_contest(32, 3, 20, 0),
    unit_contest(16, 2, 3, 0),
    exhaustive_contest(3, 4),
]


@pytest.mark.parametrize("contest", SMALL, ids=lambda contest: contest.title)
def test_all_ways_of_a_contest_agree(contest: Contest) -> None:
    assert set(contest.deviations(contest.draw())) == set(contest.ways)


@pytest.mark.parametrize("contest", third_order_contests([64], 0, compiled=False), ids=lambda contest: contest.title)
def test_scores_that_are_one_percent_too_large_are_refused(contest: Contest) -> None:
    passes = str(contest.sizes["passes"])
    wrong = one_pass(lambda query, key, value: attention.plain(1.01 * query, key, value), passes)
    with pytest.raises(DisagreementError, match="'wrong' deviates from 'plain einsum'"):
        replace(contest, ways={**contest.ways, "wrong": wrong}).deviations(contest.draw())


@pytest.mark.parametrize("passes", ["forward", "both"])
def test_third_order_ways_that_forget_the_second_key_are_refused(passes: str) -> None:
    contest = next(c for c in third_order_contests([9], 0, compiled=False) if c.sizes["passes"] == passes)
    wrong = one_pass(lambda query, key, value: torch.softmax(query @ key.T, dim=-1) @ value**2, passes)
    with pytest.raises(DisagreementError, match="'streamed' deviates from 'plain einsum'"):
        replace(contest, ways={**contest.ways, "streamed": wrong}).deviations(contest.draw())


@pytest.mark.parametrize("cores", [1, 3])
def test_contests_of_threads_use_them_and_say_where_there_is_one_core(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def form(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        used.append(torch.get_num_threads())
        return query + 0 * (key + value)

    monkeypatch.setattr(attention, "cpu_count", lambda: cores)
    monkeypatch.setitem(attention.FORMS, "streamed", form)
    contest = next(c for c in thread_contests([4], 0) if c.sizes["form"] == "streamed" and c.sizes["m"] == c.sizes["d"])
    before = torch.get_num_threads()
    for way in contest.ways.values():
        way(contest.draw())
    assert torch.get_num_threads() == before
    assert used == ([1] if cores == 1 else [1, 3])
    assert list(contest.ways) == (["1 thread"] if cores == 1 else ["1 thread", "3 threads"])
    assert contest.missing == ({"2 threads": "this machine has one core"} if cores == 1 else {})


def test_labels_that_differ_in_one_token_are_refused() -> None:
    contest = oracle_contests([], [12], 0)[0]

    def wrong(inputs: torch.Tensor) -> torch.Tensor:
        labels = contest.ways["convolution"](inputs)
        assert isinstance(labels, torch.Tensor)
        labels[0, 5] ^= True
        return labels

    with pytest.raises(DisagreementError, match="'convolution' deviates"):
        replace(contest, ways={**contest.ways, "convolution": wrong}).deviations(contest.draw())


def test_a_strassen_way_that_forgets_a_pair_of_keys_is_refused() -> None:
    contest = strassen_contests([9], 0)[0]

    def wrong(inputs: Inputs) -> torch.Tensor:
        scores = pair_scores(*inputs[:3])
        return by_products(scores._replace(beta=0 * scores.beta), *inputs[3:])

    with pytest.raises(DisagreementError, match="'matrix products' deviates from 'all pairs'"):
        replace(contest, ways={**contest.ways, "matrix products": wrong}).deviations(contest.draw())


def test_the_same_seed_draws_the_same_inputs() -> None:
    first, again, other = (third_order_inputs(5, 3, 2, seed) for seed in (1, 1, 2))
    assert torch.equal(first.query, again.query)
    assert not torch.equal(first.query, other.query)


def test_ways_that_cannot_run_are_listed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(attention.importlib.util, "find_spec", lambda name: None)
    for contest in third_order_contests([4], 0, compiled=True):
        assert "the extra `bench`" in contest.missing["simplicial-attention"]
        assert contest.missing["torch.compile"] == "it needs a C++ compiler, and there is no no-such-compiler"
        assert not contest.missing.keys() & contest.ways.keys()


@pytest.mark.parametrize("form", attention.FORMS.values(), ids=attention.FORMS)
def test_forms_scale_no_scores(form: Callable[..., torch.Tensor]) -> None:
    # One query, two keys: scores are q k_j k_l; weights of the pairs by hand.
    query, key, value = torch.tensor([[1.0]]), torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [3.0]])
    pairs = torch.tensor([0.0, 0.0, 0.0, 4.0]).softmax(dim=0)
    expected = (pairs * torch.tensor([1.0, 3.0, 3.0, 9.0])).sum()
    torch.testing.assert_close(form(query, key, value)[0, 0], expected)
