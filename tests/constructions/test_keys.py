"""Certificates against independent solvers: least squares, linear and quadratic programs."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from attention_limits.constructions import keys as keys_module
from attention_limits.constructions.keys import (
    MissingCertificateError,
    adversarial_subsets,
    certify,
    gram_matrix,
    maximum_margin_certificate,
    maximum_margin_certificates,
    minimum_norm_certificates,
    random_sign_keys,
)
from attention_limits.problems.sparse_averaging import SparseAveraging


def sign_keys(num_tokens: int, embed_dim: int, seed: int = 0) -> torch.Tensor:
    return random_sign_keys(num_tokens, embed_dim, generator=torch.Generator().manual_seed(seed))


def all_subsets(num_tokens: int, sparsity: int) -> torch.Tensor:
    return SparseAveraging(num_tokens, sparsity, 1).subsets()


def others(num_tokens: int, subset: np.ndarray) -> np.ndarray:
    return np.array([j for j in range(num_tokens) if j not in set(subset.tolist())])


def spread_and_margin(keys: np.ndarray, subset: np.ndarray, direction: np.ndarray) -> tuple[float, float]:
    """How far the inner products on the subset differ, and the least by which they pass the others; by loops."""
    products = [math.fsum(a * b for a, b in zip(key, direction, strict=True)) for key in keys]
    inside, outside = [products[j] for j in subset], [products[j] for j in others(len(keys), subset)]
    return max(inside) - min(inside), min(inside) - max(outside)


def is_face(keys: np.ndarray, subset: np.ndarray) -> bool:
    """Whether a linear program finds some w with ⟨key, w⟩ = c on the subset and ≤ c − 1 elsewhere."""
    first, outside = keys[subset[0]], others(len(keys), subset)
    equal = keys[subset[1:]] - first
    solved = linprog(
        np.zeros(keys.shape[1]),
        A_ub=keys[outside] - first,
        b_ub=-np.ones(len(outside)),
        A_eq=equal if len(equal) else None,
        b_eq=np.zeros(len(equal)) if len(equal) else None,
        bounds=(None, None),
    )
    assert solved.status in (0, 2), solved.message  # solved, or infeasible
    return solved.status == 0


def shortest_norm(keys: np.ndarray, subset: np.ndarray) -> float:
    """‖w‖ of the quadratic program, by sequential least-squares programming from a feasible start."""
    first, outside = keys[subset[0]], others(len(keys), subset)
    constraints = [{"type": "ineq", "fun": lambda w: -1 - (keys[outside] - first) @ w}]
    if len(subset) > 1:
        constraints.append({"type": "eq", "fun": lambda w: (keys[subset[1:]] - first) @ w})
    start = maximum_margin_certificate(keys, subset)
    assert start is not None
    jolt = np.random.default_rng(0).normal(size=start.shape)
    solved = minimize(
        lambda w: w @ w,
        2 * start + 0.1 * jolt,
        jac=lambda w: 2 * w,
        constraints=constraints,
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert solved.success, solved.message
    return float(np.linalg.norm(solved.x))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_sign_keys_are_signs_of_the_seed_in_float32(num_tokens: int, embed_dim: int, seed: int) -> None:
    keys = sign_keys(num_tokens, embed_dim, seed)
    assert keys.shape == (num_tokens, embed_dim)
    assert keys.dtype == torch.float32
    assert keys.abs().eq(1).all()
    assert keys.equal(sign_keys(num_tokens, embed_dim, seed))
    gram = gram_matrix(keys)
    assert gram.dtype == torch.float64
    assert gram.equal(torch.from_numpy(keys.numpy().astype(np.int64) @ keys.numpy().astype(np.int64).T).double())


def test_sign_keys_are_fair_and_independent() -> None:
    keys = sign_keys(500, 200)
    assert abs(keys.mean().item()) <= 4 / math.sqrt(keys.numel())
    coherence = gram_matrix(keys).fill_diagonal_(0) / math.sqrt(200)
    assert abs(coherence.square().mean().item() - 1) <= 0.02  # each entry is near a standard normal


@pytest.mark.parametrize(("sizes", "name"), [((0, 3), "num_tokens"), ((3, 0), "embed_dim")])
def test_keys_without_a_size_are_refused(sizes: tuple[int, int], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        sign_keys(*sizes)


@pytest.mark.parametrize(("num_tokens", "sparsity", "embed_dim"), [(12, 1, 30), (12, 3, 60), (10, 5, 12), (8, 7, 9)])
def test_minimum_norm_agrees_with_least_squares_one_by_one(num_tokens: int, sparsity: int, embed_dim: int) -> None:
    keys, subsets = sign_keys(num_tokens, embed_dim), all_subsets(num_tokens, sparsity)
    found = minimum_norm_certificates(gram_matrix(keys), subsets)
    table = keys.double().numpy()
    solvable = 0
    for subset, coefficients, outside in zip(subsets.numpy(), found.coefficients, found.outside.tolist(), strict=True):
        if np.linalg.matrix_rank(table[subset]) < sparsity:
            assert outside == math.inf
            continue
        solvable += 1
        # The least-squares solution of an underdetermined system is the shortest one.
        shortest, *_ = np.linalg.lstsq(table[subset], np.ones(sparsity), rcond=None)
        assert np.abs(coefficients.numpy() @ table[subset] - shortest).max() <= 1e-9
        expected = max(float(table[j] @ shortest) for j in others(num_tokens, subset))
        assert abs(outside - expected) <= 1e-9
    assert solvable > 0.9 * len(subsets)
    assert found.has_margin.equal(found.outside <= 0.5)


@pytest.mark.parametrize("seed", range(4))
def test_singular_systems_have_no_margin_and_do_not_disturb_their_batch(seed: int) -> None:
    keys = sign_keys(6, 40, seed)
    keys[3] = keys[1]  # the equations on {1, 3} are singular
    keys[5] = -keys[2]  # and those on {2, 5} contradict each other
    subsets = all_subsets(6, 2)
    found = minimum_norm_certificates(gram_matrix(keys), subsets)
    for subset, outside in zip(subsets.tolist(), found.outside.tolist(), strict=True):
        assert (outside == math.inf) == (subset in ([1, 3], [2, 5])), subset


def test_more_keys_than_coordinates_are_singular() -> None:
    found = minimum_norm_certificates(gram_matrix(sign_keys(6, 2)), all_subsets(6, 3))
    assert found.outside.eq(math.inf).all()
    assert not found.has_margin.any()


def test_a_batch_is_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    gram, subsets = gram_matrix(sign_keys(10, 50)), all_subsets(10, 3)
    whole = minimum_norm_certificates(gram, subsets)
    monkeypatch.setattr(keys_module, "TABLE_ENTRIES", 70)
    chunked = minimum_norm_certificates(gram, subsets)
    assert torch.allclose(whole.coefficients, chunked.coefficients, rtol=0, atol=1e-12)
    assert torch.allclose(whole.outside, chunked.outside, rtol=0, atol=1e-12)


def test_chunks_leave_room_for_the_square_systems_of_large_subsets(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    solve = torch.linalg.solve_ex

    def watched(system: torch.Tensor, right: torch.Tensor) -> object:
        sizes.append(system.numel())
        return solve(system, right)

    monkeypatch.setattr(torch.linalg, "solve_ex", watched)
    monkeypatch.setattr(keys_module, "TABLE_ENTRIES", 2000)
    minimum_norm_certificates(gram_matrix(sign_keys(20, 200)), torch.arange(20).roll(1).repeat(30, 1)[:, :18])
    assert max(sizes) <= 2000
    assert sum(sizes) == 30 * 18 * 18


@pytest.mark.parametrize(("num_tokens", "sparsity", "embed_dim"), [(8, 1, 12), (8, 2, 12), (7, 4, 12), (9, 8, 14)])
def test_the_maximum_margin_certificate_is_the_shortest_of_unit_margin(
    num_tokens: int, sparsity: int, embed_dim: int
) -> None:
    keys = sign_keys(num_tokens, embed_dim, seed=1).double().numpy()
    for subset in all_subsets(num_tokens, sparsity).numpy()[:20]:
        direction = maximum_margin_certificate(keys, subset)
        assert direction is not None
        spread, margin = spread_and_margin(keys, subset, direction)
        assert spread <= 1e-12
        assert abs(margin - 1) <= 1e-12
        assert np.linalg.norm(direction) == pytest.approx(shortest_norm(keys, subset), rel=1e-6)


@pytest.mark.parametrize("embed_dim", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["signs", "normals"])
def test_there_is_a_certificate_exactly_where_the_subset_is_a_face(embed_dim: int, kind: str) -> None:
    seen = set()
    for seed, sparsity in itertools.product(range(3), (1, 2, 3, 5)):
        if kind == "signs":  # duplicates and affine dependences are common
            keys = sign_keys(7, embed_dim, seed).double().numpy()
        else:
            keys = np.random.default_rng(seed).normal(size=(7, embed_dim))
        for subset in all_subsets(7, sparsity).numpy():
            direction = maximum_margin_certificate(keys, subset)
            face = is_face(keys, subset)
            assert (direction is not None) == face, (seed, subset)
            seen.add(face)
            if direction is not None:
                spread, margin = spread_and_margin(keys, subset, direction)
                assert spread <= 1e-9
                assert margin == pytest.approx(1, abs=1e-9)
    assert False in seen


def test_affinely_dependent_keys_have_the_shortest_certificate_too() -> None:
    # Four corners of a square in the first two coordinates are one face: of three dimensions' worth of directions
    # along it, only two exist.
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=2)))
    keys = np.vstack([np.hstack([corners, np.ones((4, 2))]), np.hstack([corners, -np.ones((4, 2))])])
    direction = maximum_margin_certificate(keys, np.arange(4))
    assert direction is not None
    assert np.abs(direction - [0, 0, 0.25, 0.25]).max() <= 1e-12


def test_a_key_inside_the_hull_of_the_others_has_no_certificate() -> None:
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    inside = np.vstack([corners, [[0.2, -0.1, 0.3]]])
    assert maximum_margin_certificate(inside, np.array([8])) is None
    for corner in range(8):
        assert maximum_margin_certificate(inside, np.array([corner])) is not None
    assert maximum_margin_certificate(inside, np.array([0, 7])) is None  # a diagonal runs through the inside
    assert maximum_margin_certificate(inside, np.array([0, 1])) is not None  # an edge


@pytest.mark.parametrize(
    ("num_tokens", "sparsity", "factor"), [(12, 1, 13), (12, 3, 4), (10, 5, 4), (9, 8, 13), (2, 1, 13)]
)
def test_certified_directions_have_unit_margin_for_every_subset(num_tokens: int, sparsity: int, factor: int) -> None:
    keys = sign_keys(num_tokens, math.ceil(factor * sparsity * math.log(num_tokens)), seed=2)
    subsets = all_subsets(num_tokens, sparsity)
    certificates = certify(keys, subsets)
    assert certificates.directions.dtype == torch.float64
    for subset, direction in zip(subsets.numpy(), certificates.directions.numpy(), strict=True):
        spread, margin = spread_and_margin(keys.double().numpy(), subset, direction)
        assert spread <= 1e-9
        assert margin == pytest.approx(1, abs=1e-9)


def test_the_fallback_is_used_and_flagged_exactly_where_minimum_norm_misses_its_margin() -> None:
    keys, subsets = sign_keys(12, 30, seed=3), all_subsets(12, 3)
    certificates = certify(keys, subsets)
    outside = minimum_norm_certificates(gram_matrix(keys), subsets).outside
    assert 0 < certificates.by_maximum_margin.sum() < len(subsets)
    assert certificates.by_maximum_margin.equal(outside > 0.5)
    table = keys.double().numpy()
    for index in range(0, len(subsets), 7):
        subset = subsets[index].numpy()
        if certificates.by_maximum_margin[index]:
            expected = maximum_margin_certificate(table, subset)
        else:
            expected = np.linalg.lstsq(table[subset], np.ones(3), rcond=None)[0] / (1 - outside[index].item())
        assert np.abs(certificates.directions[index].numpy() - expected).max() <= 1e-9


def test_maximum_margin_certificates_are_those_of_each_subset_and_nan_where_there_is_none() -> None:
    keys, subsets = sign_keys(9, 40, seed=1), all_subsets(9, 2)
    keys[8] = keys[3]  # token 8 can't be told from token 3
    found = maximum_margin_certificates(keys, subsets)
    assert found.directions.dtype == torch.float64
    assert found.exists.tolist() == [(3 in y) == (8 in y) for y in subsets.tolist()]
    for subset, direction, exists in zip(subsets.numpy(), found.directions.numpy(), found.exists.tolist(), strict=True):
        expected = maximum_margin_certificate(keys.double().numpy(), subset)
        assert (expected is not None) == exists
        assert np.array_equal(direction, np.full(40, np.nan) if expected is None else expected, equal_nan=True)
    none = maximum_margin_certificates(keys, subsets[:0])
    assert none.directions.shape == (0, 40)
    assert none.exists.shape == (0,)


def test_maximum_margin_certificates_lie_on_the_device_of_the_keys(device: torch.device) -> None:
    keys, subsets = sign_keys(9, 20, seed=1).to(device), all_subsets(9, 2)
    found = maximum_margin_certificates(keys, subsets.to(device))
    assert found.directions.device.type == device.type
    assert found.directions.cpu().equal(maximum_margin_certificates(keys.cpu(), subsets).directions)


def test_a_subset_without_a_certificate_is_an_error_that_names_it() -> None:
    keys = sign_keys(5, 60)
    keys[4] = keys[1]  # token 4 can't be told from token 1: no subset with one of them is a face
    good, bad = torch.tensor([[0, 2], [1, 4]]), torch.tensor([[0, 2], [3, 4], [0, 1]])
    assert certify(keys, good).by_maximum_margin.tolist() == [False, True]
    message = r"5 keys of 60 coordinates have no certificate for the subset \[3, 4\]: use a larger embed_dim"
    with pytest.raises(MissingCertificateError, match=message):
        certify(keys, bad)


@pytest.mark.parametrize("mistake", ["coefficient", "direction"])
def test_a_wrong_sign_in_a_certificate_is_caught(mistake: str) -> None:
    keys, subsets = sign_keys(10, 80), all_subsets(10, 3)
    directions = certify(keys, subsets).directions
    table = keys.double().numpy()
    broken = directions.clone()
    if mistake == "coefficient":  # one key of the subset enters with the wrong sign
        broken -= 2 * keys.double()[subsets[:, 0]] / 80
    else:  # in a coordinate where the keys of the subset differ
        signs = keys[subsets]
        coordinate = (signs != signs[:, :1]).any(dim=1).double().argmax(dim=1, keepdim=True)
        broken.scatter_(1, coordinate, -broken.gather(1, coordinate))
        assert broken.ne(directions).any(dim=1).all()
    for subset, whole, wrong in zip(subsets.numpy()[:30], directions.numpy(), broken.numpy(), strict=False):
        assert spread_and_margin(table, subset, whole)[0] <= 1e-9
        assert spread_and_margin(table, subset, wrong)[0] > 1e-3


def test_a_solver_that_does_not_converge_or_answers_wrongly_certifies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    keys, subset = sign_keys(8, 20).double().numpy(), np.array([1, 4])

    def gives_up(system: np.ndarray, target: np.ndarray, **options: object) -> None:
        raise RuntimeError("Maximum number of iterations reached.")

    def answers(weights: np.ndarray) -> object:
        return lambda system, target, **options: (weights, 0.0)

    monkeypatch.setattr(keys_module, "nnls", gives_up)
    assert maximum_margin_certificate(keys, subset) is None
    monkeypatch.setattr(keys_module, "nnls", answers(np.zeros(6)))
    assert maximum_margin_certificate(keys, subset) is None
    monkeypatch.setattr(keys_module, "nnls", answers(np.eye(6)[0]))  # only one of six outsiders is kept below
    direction = maximum_margin_certificate(keys, subset)
    if direction is not None:
        spread, margin = spread_and_margin(keys, subset, direction)
        assert spread <= 1e-9
        assert margin == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("num_tokens", "sparsity"), [(2, 1), (8, 3), (9, 8), (10, 4)])
def test_adversarial_subsets_correlate_most_with_their_outsider(num_tokens: int, sparsity: int) -> None:
    gram = gram_matrix(sign_keys(num_tokens, 41, seed=5))
    before = gram.clone()
    found = adversarial_subsets(gram, sparsity)
    assert gram.equal(before)
    for token, subset in enumerate(found.tolist()):
        assert len(set(subset)) == sparsity
        assert token not in subset
        assert subset == sorted(subset)
        sums = [
            sum(gram[token, j].item() for j in other)
            for other in itertools.combinations([j for j in range(num_tokens) if j != token], sparsity)
        ]
        assert sum(gram[token, j].item() for j in subset) == max(sums)


def test_adversarial_subsets_are_harder_for_minimum_norm_than_random_ones() -> None:
    gram = gram_matrix(sign_keys(64, math.ceil(13 * 4 * math.log(64))))
    generator = torch.Generator().manual_seed(0)
    random = torch.rand(500, 64, generator=generator).topk(4).indices
    hard = minimum_norm_certificates(gram, adversarial_subsets(gram, 4)).outside
    easy = minimum_norm_certificates(gram, random).outside
    assert hard.median() > easy.quantile(0.99)


@pytest.mark.parametrize("sparsity", [0, 6, 7])
def test_adversarial_subsets_need_an_outsider(sparsity: int) -> None:
    with pytest.raises(ValueError, match=f"sparsity q = {sparsity} needs an outsider: 1 ≤ q < N = 6"):
        adversarial_subsets(gram_matrix(sign_keys(6, 9)), sparsity)
