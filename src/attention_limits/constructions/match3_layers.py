"""Four explicit layers that compute Match3, all of them large: the upper bounds beside Theorem 7 of the paper (ours).

| layer | heads H | m | what it reads |
| --- | --- | --- | --- |
| `slot_layer` | 1 | N | every token, in a slot of its position |
| `shift_layer` | N | 2 | head h reads the token h places further on |
| `histogram_layer` | 1 | M | how often each residue occurs |
| `threshold_layer` | 2M | 3 | for each residue h, whether h occurs, and whether −x_i − h does |

A fifth, `pairs_layer`, computes what pairs tell about Match3, with two heads of m = 3.

None needs a residual connection: the output of token i itself tells x_i, or does without it. Heads are summed
(Definition 2), so that each writes into coordinates of its own: d' is N, N, M and 2M.

Letters: N = num_tokens, M = modulus, m = embed_dim, H heads, d = model_dim, d' = value_dim, c = sharpness.
"""

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from attention_limits.models.attention import MultiHeadAttention, SelfAttentionUnit, Transformer
from attention_limits.problems.matching import Match3

#: How far any coordinate of a layer's output may be off, on top of rounding in float64, and the label is still right.
OUTPUT_TOLERANCE = 0.375


class Match3Layer(nn.Module):
    """One layer between two token-wise maps: (x_i, i) ↦ a row of a table, and the layer's output ↦ a label.

    Args:
        problem: N and M.
        table: what residue r becomes at position j, (places, modulus, model_dim), in float64. Places beyond N hold
            blank tokens: all their rows are equal.
        layer: the heads.
        decide: outputs (…, value_dim) ↦ labels (…), the same ones within `OUTPUT_TOLERANCE` in each coordinate.
    """

    def __init__(
        self,
        problem: Match3,
        table: Float[Tensor, "places modulus model_dim"],
        layer: MultiHeadAttention,
        decide: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.problem, self.table, self.layer, self.decide = problem, table, layer, decide
        self.network = Transformer([layer], [self._embed, lambda outputs: decide(outputs).double().unsqueeze(-1)])

    @property
    def heads(self) -> list[SelfAttentionUnit]:
        """The units."""
        return [cast(SelfAttentionUnit, head) for head in self.layer.heads]

    @property
    def num_heads(self) -> int:
        """H."""
        return len(self.layer.heads)

    @property
    def embed_dim(self) -> int:
        """m, the columns of Q and K."""
        return self.heads[0].embed_dim

    def with_heads(self, heads: Sequence[SelfAttentionUnit]) -> "Match3Layer":
        """The same maps around other heads."""
        return Match3Layer(self.problem, self.table, MultiHeadAttention(heads), self.decide)

    def tokens(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch places model_dim"]:
        """What enters the layer, blank tokens at the end."""
        return self._embed(self._places(inputs))

    def outputs(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens value_dim"]:
        """What leaves the layer, without the blank's."""
        return self.layer(self.tokens(inputs))[:, : self.problem.num_tokens]

    def forward(self, inputs: Int[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens"]:
        """The labels."""
        labels = self.network(self._places(inputs))
        return labels[:, : self.problem.num_tokens, 0] > 0.5

    def _places(self, inputs: Tensor) -> Tensor:
        """The pairs (x_i, i), with residue 0 for the blank."""
        self.problem.check(inputs)
        residues = nn.functional.pad(inputs, (0, len(self.table) - self.problem.num_tokens))
        return torch.stack([residues, torch.arange(len(self.table)).expand_as(residues)], dim=-1).double()

    def _embed(self, places: Tensor) -> Tensor:
        residues, positions = places.long().unbind(dim=-1)
        return self.table[positions, residues]


def slot_layer(problem: Match3) -> Match3Layer:
    """One head with m = d' = N: token j puts (N + 1)(M + x_j) into slot j, and the asking token weighs double.

    It scores ln 2 with itself and 0 with the others, so that it weighs 2/(N + 1) and they weigh 1/(N + 1) each. Slot j
    then holds M + x_j < 2M, and the own slot 2(M + x_i) ≥ 2M, the largest. All are integers: errors below 1/2 are
    harmless.
    """
    size, modulus = problem.num_tokens, problem.modulus
    places = torch.eye(size, dtype=torch.float64).unsqueeze(1).expand(-1, modulus, -1)
    residues = torch.arange(modulus, dtype=torch.float64).view(1, -1, 1)
    table = torch.cat([places, places * (size + 1) * (modulus + residues)], dim=2)
    block, none = torch.eye(size, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64)
    place, slot = torch.cat([block, none]), torch.cat([none, block])
    head = SelfAttentionUnit.from_matrices(query=math.log(2) * place, key=place, value=slot)

    def decide(outputs: Tensor) -> Tensor:
        slots = outputs.round().long()
        own = slots.argmax(dim=-1, keepdim=True)
        slots = slots.scatter(-1, own, slots.gather(-1, own) // 2) % modulus
        return completes(_presence(slots, modulus), slots.gather(-1, own))

    return Match3Layer(problem, table, MultiHeadAttention([head]), decide)


def shift_layer(problem: Match3) -> Match3Layer:
    """N heads with m = 2: head h turns the position's point on the circle by h steps, and coordinate h gets x_{i+h}.

    Its score is c cos(2π(i + h − j)/N). The other positions score less by at least cδ, δ = 2 sin²(π/N), and with
    c = ln(8NM)/δ they weigh less than 1/(8M) together, so that each coordinate is within 1/8 of an integer.
    """
    size, modulus = problem.num_tokens, problem.modulus
    angles = (2 * math.pi / size) * torch.arange(size, dtype=torch.float64)
    points = torch.stack([angles.cos(), angles.sin()], dim=1).unsqueeze(1).expand(-1, modulus, -1)
    residues = torch.arange(modulus, dtype=torch.float64).view(1, -1, 1).expand(size, -1, -1)
    table = torch.cat([points, residues], dim=2)
    sharpness = math.log(8 * size * modulus) / (2 * math.sin(math.pi / size) ** 2) if size > 1 else 0.0
    key = torch.eye(3, 2, dtype=torch.float64)
    heads = []
    for shift, angle in enumerate(angles.tolist()):
        turn = torch.tensor(
            [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], dtype=torch.float64
        )
        value = torch.zeros(3, size, dtype=torch.float64)
        value[2, shift] = 1
        heads.append(SelfAttentionUnit.from_matrices(query=sharpness * key @ turn, key=key, value=value))

    def decide(outputs: Tensor) -> Tensor:
        found = outputs.round().long() % modulus
        return completes(_presence(found, modulus), found[..., :1])

    return Match3Layer(problem, table, MultiHeadAttention(heads), decide)


def histogram_layer(problem: Match3) -> Match3Layer:
    """One head with m = d' = M: each token votes for its residue, and equals of the asking token count N times.

    With n_r tokens of residue r and Z = N − n_{x_i} + N n_{x_i}, coordinate r is (N² − N + 1) n_r / Z, times N for
    r = x_i. It is 0 where r doesn't occur and at least 1 where it does, as Z ≤ N² − N + 1 unless only x_i occurs. The
    own coordinate is the largest, by at least (N² − N + 1)/(2N − 1) ≥ 1.
    """
    size, modulus = problem.num_tokens, problem.modulus
    block = torch.eye(modulus, dtype=torch.float64)
    head = SelfAttentionUnit.from_matrices(query=math.log(size) * block, key=block, value=(size**2 - size + 1) * block)

    def decide(outputs: Tensor) -> Tensor:
        return completes(outputs > 0.5, outputs.argmax(dim=-1, keepdim=True))

    return Match3Layer(problem, block.expand(size, -1, -1), MultiHeadAttention([head]), decide)


def threshold_layer(problem: Match3) -> Match3Layer:
    """2M heads with m = 3, each the unit of Theorem 6: is the residue h there, is −x_i − h there? With a blank token.

    The score of residue r against the target t is c cos(2π(r − t)/M), the blank's c(1 − δ/2) + (ln N)/2 with
    δ = 2 sin²(π/M) and c = (ln N + 2g)/δ. If t occurs, the tokens weigh at least σ(g) together, else at most σ(−g);
    g = 2 leaves σ(2) − 1/2 > 0.38 of margin.
    """
    size, modulus, step = problem.num_tokens, problem.modulus, 2 * math.pi / problem.modulus
    sharpness, blank_score, angles = _circle(problem, gap=2.0)
    # A token is (cos, sin, 1, 0), the blank (0, 0, 0, 1).
    letters = torch.stack([angles.cos(), angles.sin(), torch.ones_like(angles), torch.zeros_like(angles)], dim=1)
    blank = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64).expand(1, modulus, -1)
    table = torch.cat([letters.expand(size, -1, -1), blank])
    key = torch.eye(4, dtype=torch.float64)[:, [0, 1, 3]]
    heads = []
    for coordinate in range(2 * modulus):
        residue, about_partner = divmod(coordinate, 2)
        cosine, sine = math.cos(step * residue), math.sin(step * residue)
        query = torch.zeros(4, 3, dtype=torch.float64)
        query[2, 2] = blank_score
        if about_partner:  # target −x_i − h: (cos(x + h), −sin(x + h)), linear in (cos x, sin x)
            query[:2, :2] = sharpness * torch.tensor([[cosine, -sine], [-sine, -cosine]], dtype=torch.float64)
        else:  # target h, from the constant coordinate
            query[2, :2] = sharpness * torch.tensor([cosine, sine], dtype=torch.float64)
        value = torch.zeros(4, 2 * modulus, dtype=torch.float64)
        value[2, coordinate] = 1
        heads.append(SelfAttentionUnit.from_matrices(query=query, key=key, value=value))

    def decide(outputs: Tensor) -> Tensor:
        return (outputs.unflatten(-1, (modulus, 2)) > 0.5).all(dim=-1).any(dim=-1)

    return Match3Layer(problem, table, MultiHeadAttention(heads), decide)


def pairs_layer(problem: Match3) -> Match3Layer:
    """Two heads with m = 3 for the rule of pairs (`problems.tuples.rule_of_pairs`): 2x_i + x_j ≡ 0, and x_i + 2x_j ≡ 0.

    With θ = 2π/M the first head scores c cos θ(2x_i + x_j), the second c cos θ(x_i + 2x_j): the doubled angles stand in
    the query of the one and in the keys of the other, so that one head finds both x_j with 2x_j ≡ −x_i if M is even.
    Blank and c are those of `threshold_layer`. Its labels are the rule's, not Match3's.
    """
    size = problem.num_tokens
    sharpness, blank_score, angles = _circle(problem, gap=2.0)
    # A token is (cos θx, sin θx, cos 2θx, sin 2θx, 1, 0), the blank (0, 0, 0, 0, 0, 1).
    letters = torch.stack([angles.cos(), angles.sin(), (2 * angles).cos(), (2 * angles).sin()], dim=1)
    letters = nn.functional.pad(nn.functional.pad(letters, (0, 1), value=1.0), (0, 1))
    unit = torch.eye(6, dtype=torch.float64)
    table = torch.cat([letters.expand(size, -1, -1), unit[5].expand(1, problem.modulus, -1)])
    mirror = torch.diag(torch.tensor([sharpness, -sharpness, blank_score], dtype=torch.float64))
    heads = []
    for coordinate, (asks, answers) in enumerate((([2, 3, 4], [0, 1, 5]), ([0, 1, 4], [2, 3, 5]))):
        value = torch.zeros(6, 2, dtype=torch.float64)
        value[4, coordinate] = 1
        heads.append(SelfAttentionUnit.from_matrices(query=unit[:, asks] @ mirror, key=unit[:, answers], value=value))
    return Match3Layer(problem, table, MultiHeadAttention(heads), lambda outputs: (outputs > 0.5).any(dim=-1))


#: The four that compute Match3, by name.
LAYERS: dict[str, Callable[[Match3], Match3Layer]] = {
    "slots": slot_layer,
    "shifts": shift_layer,
    "histogram": histogram_layer,
    "thresholds": threshold_layer,
}


def completes(present: Bool[Tensor, "*batch modulus"], own: Int[Tensor, "*batch 1"]) -> Bool[Tensor, "*batch"]:
    """Whether two residues that are present add up to −x, x the own one."""
    residues = torch.arange(present.shape[-1])
    partners = (-own - residues) % present.shape[-1]
    return (present & present.gather(-1, partners)).any(dim=-1)


def _circle(problem: Match3, gap: float) -> tuple[float, float, Float[Tensor, " modulus"]]:
    """c and the blank's score of Theorem 6's unit, and the residues' angles."""
    log_tokens, delta = math.log(problem.num_tokens), 2 * math.sin(math.pi / problem.modulus) ** 2
    sharpness = (log_tokens + 2 * gap) / delta
    angles = (2 * math.pi / problem.modulus) * torch.arange(problem.modulus, dtype=torch.float64)
    return sharpness, sharpness * (1 - delta / 2) + log_tokens / 2, angles


def _presence(residues: Int[Tensor, "*batch tokens"], modulus: int) -> Bool[Tensor, "*batch modulus"]:
    empty = torch.zeros(*residues.shape[:-1], modulus, dtype=torch.bool)
    return empty.scatter(-1, residues, True)
