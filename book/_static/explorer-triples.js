/* Pairs and triples modulo M: residues on a circle, the table of pairs, and the cut between Alice and Bob. */
(() => {
  "use strict";
  const {define, defaults, draw, words, line, box, dot, panel, number, grouped, raised, shape} = window.attentionLimits;

  // --- mathematics ---------------------------------------------------------------------------------------------------

  const modulo = (value, modulus) => (value % modulus + modulus) % modulus;
  /* 1, Alice's random residues, Bob's. */
  const residues = ({N, M, bob, seed}) =>
    [1, ...Array.from({length: N - 2}, (_, place) => Math.floor(draw(seed, 2 ** 21 + place + 1) * M / 2 ** 32)), bob];
  /* The pairs of places that complete a token's residue to a multiple of M, row by row; places count from 0. */
  const completing = (tokens, M, token) => tokens.flatMap((second, row) =>
    tokens.flatMap((third, column) => (tokens[token] + second + third) % M === 0 ? [[row, column]] : []));
  const paired = (tokens, M) => tokens.map(residue => tokens.includes(modulo(-residue, M)));
  /* W = 1 + Σ_{j ≤ N−2} C(⌊(M−2)/2⌋, j) 2^j, and the bits that tell so many rows apart. */
  const rows = (N, M) => {
    const pairs = Math.floor((M - 2) / 2);
    let [sum, term] = [1n, 1n];
    for (let held = 0; held <= Math.min(N - 2, pairs); held++) {
      sum += term;
      term = term * BigInt(pairs - held) * 2n / BigInt(held + 1);
    }
    return sum;
  };
  const leastBits = count => count <= 1n ? 0 : (count - 1n).toString(2).length;
  const needed = (N, M) => leastBits(rows(N, M));
  /* H (m ⌈log₂(G 2^p)⌉ + ⌈log₂(m G 8^p)⌉) with G = H. */
  const passed = (H, m, p) => H * (m * (p + leastBits(BigInt(H))) + 3 * p + leastBits(BigInt(m * H)));

  // --- panels --------------------------------------------------------------------------------------------------------

  const circlePanel = (width, tokens, M, token) => {
    const [height, radius, x, y] = [330, 108, width / 2, 162], own = tokens[token - 1], mirror = modulo(-own, M);
    const at = (residue, distance) => {
      const angle = 2 * Math.PI * residue / M;
      return [x + distance * Math.cos(angle), y - distance * Math.sin(angle)];
    };
    const shapes = [
      shape("circle", "ring-line", {cx: x, cy: y, r: radius}),
      line(x - radius - 30, y, x + radius + 30, y, "dashed"),
      words(width, y - 6, "mirror", "small", "end"),
    ];
    if (M <= 72) for (let one = 0; one < M; one++) shapes.push(line(...at(one, radius - 3), ...at(one, radius + 3), "tick"));
    const has = paired(tokens, M);
    const halves = new Set(tokens.filter((_, place) => has[place]).map(one => Math.min(one, modulo(-one, M))));
    for (const one of [...halves].sort((a, b) => a - b)) shapes.push(line(...at(one, radius), ...at(modulo(-one, M), radius), "pair"));
    shapes.push(line(...at(own, radius), ...at(mirror, radius), "chosen-pair"));
    const stacked = new Map();
    tokens.forEach((one, place) => {
      const level = stacked.has(one) ? stacked.get(one) + 1 : 0, kind = place === token - 1 ? "on" : "off";
      stacked.set(one, level);
      shapes.push(dot(...at(one, radius + 11 * level), kind === "on" ? 6 : 4.5, kind));
    });
    if (!tokens.includes(mirror)) shapes.push(dot(...at(mirror, radius), 6, "hollow"));
    for (const [one, label] of [[own, `x = ${own}`], [mirror, `−x = ${mirror}`]].slice(0, mirror === own ? 1 : 2)) {
      const aside = Math.abs(at(one, 1)[0] - x) > 0.75, [across, up] = at(one, radius + (aside ? -14 : 14));
      shapes.push(words(across, up + (2 * one <= M ? -3 : 11), label, "label halo", across > x === aside ? "end" : "start"));
    }
    const partner = tokens.indexOf(mirror) + 1;
    const answer = partner ? `token ${partner} holds ${mirror}: a pair` : `no token holds ${mirror}: no pair`;
    shapes.push(words(x, height - 6, answer, "label", "middle"));
    return panel("circle", width, height, "Pairs: one look at the mirror image",
      `${tokens.length} residues modulo ${M} on a circle, with the horizontal axis as mirror. Token ${token} holds ${own}; ${answer}.`,
      shapes);
  };

  const tablePanel = (width, tokens, token, cells) => {
    const [height, left, upper, n] = [330, 30, 48, tokens.length], side = Math.min(width - left - 6, 254), step = side / n;
    const shapes = [box(left, upper, side, side, "grid")];
    for (let place = 0; place <= n; place++)
      shapes.push(line(left + place * step, upper, left + place * step, upper + side, "rule"),
        line(left, upper + place * step, left + side, upper + place * step, "rule"));
    for (const [row, column] of cells)
      shapes.push(box(left + column * step + 1, upper + row * step + 1, step - 2, step - 2, "on"));
    tokens.forEach((residue, place) => {
      const middle = (place + 0.5) * step + 3.5, kind = place === token - 1 ? "tiny on-word" : "tiny";
      shapes.push(words(left - 4, upper + middle, String(residue), kind, "end"),
        words(left + middle, upper - 4, String(residue), kind, "start",
          {transform: `rotate(-90 ${number(left + middle)} ${number(upper - 4)})`}));
    });
    const answer = cells.length ? `${cells.length} of ${n * n} cells complete token ${token}`
      : `none of ${n * n} cells completes token ${token}`;
    shapes.push(words(left + side / 2, height - 6, answer, "label", "middle"));
    return panel("table", width, height, "Triples: a whole table to look through",
      `A table of ${n} by ${n} pairs of tokens. ${answer[0].toUpperCase()}${answer.slice(1)}, which holds ${tokens[token - 1]}.`, shapes);
  };

  const cutPanel = (width, tokens, M, first, passes, needs) => {
    const [height, upper, lower, alice, bob] = [330, 24, 176, 0.69 * width, 0.73 * width];
    const wanted = modulo(-1 - tokens.at(-1), M), fit = Math.floor((alice - 12) / 37);
    const shapes = [
      box(0, upper, alice, lower - upper, "alice", 6),
      box(bob, upper, width - bob, lower - upper, "bob", 6),
      line((alice + bob) / 2, upper - 4, (alice + bob) / 2, lower + 4, "cut"),
      words(8, upper + 18, `Alice: tokens 2 … ${tokens.length - 1}`, "label"),
      words(bob + 8, upper + 18, "Bob", "label"),
    ];
    tokens.slice(1, -1).forEach((residue, place) => {
      const across = 8 + place % fit * 37, down = upper + 27 + Math.floor(place / fit) * 24, on = residue === wanted ? " on" : "";
      shapes.push(box(across, down, 33, 20, `chip${on}`, 4), words(across + 16.5, down + 14.5, String(residue), `chip-word${on}`, "middle"));
    });
    shapes.push(
      box(bob + 8, upper + 27, 33, 20, "chip", 4), words(bob + 24.5, upper + 41.5, String(tokens.at(-1)), "chip-word", "middle"),
      words(bob + 8, upper + 82, "both know", "small"),
      box(bob + 8, upper + 89, 33, 20, "chip", 4), words(bob + 24.5, upper + 103.5, "1", "chip-word", "middle"));
    let answer = "token 1 is in no triple";
    if (first.length) {
      const [second, third] = first[0].map(place => tokens[place]);
      answer = `token 1 is in a triple: 1 + ${second} + ${third} = ${1 + second + third}`;
    }
    shapes.push(words(0, lower + 22, answer, "small"));
    const most = Math.max(passes, needs), enough = passes >= needs;
    for (const [y, bits, label, kind] of [
      [lower + 48, passes, `a layer passes at most ${passes} bits`, "off-part"],
      [lower + 90, needs, `${needs} bits are needed`, "on-part"],
    ]) shapes.push(words(0, y, label, "label"), box(0, y + 6, width * bits / most, 14, kind, 2));
    const verdict = enough ? "Enough: this bound rules nothing out." : "Too few: no such layer computes Match3.";
    shapes.push(words(0, height - 6, verdict, enough ? "label third-word" : "label bad"));
    return panel("cut", width, height, "The cut: what has to cross it",
      `Alice holds ${tokens.length - 2} residues and Bob one; both know the first. A layer passes at most ${passes} bits, and `
      + `${needs} are needed. ${verdict}`, shapes);
  };

  // --- the explorer --------------------------------------------------------------------------------------------------

  const fields = [
    {name: "N", label: "tokens N", min: 3, max: 24, initial: 12},
    {name: "M", label: "modulus M", min: 4, max: 600, initial: 60},
    {name: "token", label: "look at token", min: 1, max: 24, initial: 9, bound: state => state.N},
    {name: "bob", label: "Bob’s residue", min: 0, max: 599, initial: 10, bound: state => state.M - 1},
    {name: "seed", label: "seed of Alice’s", min: 0, max: 99, initial: 39},
    {name: "H", label: "heads H", min: 1, max: 16, initial: 1},
    {name: "m", label: "dimension m", min: 1, max: 32, initial: 2},
    {name: "p", label: "precision p", min: 1, max: 16, initial: 1},
  ];

  define("triples", {
    hint: "Turn M up towards N²: how many bits must cross the cut, and how large must a layer be to pass them?",
    columns: 2,
    fields,
    problem: ({N, M, token, bob}) => token > N ? `token ${token} > N = ${N}` : bob >= M ? `Bob’s residue ${bob} ≥ M = ${M}` : "",
    settle: state => {
      const token = Math.min(state.token, state.N), bob = state.bob % state.M, said = [];
      if (token !== state.token) said.push(`N = ${state.N} has no token ${state.token}: this is token ${token}.`);
      if (bob !== state.bob) said.push(`Bob’s residue is ${bob} now, which is ${state.bob} modulo ${state.M}.`);
      return [{...state, token, bob}, said.join(" ")];
    },
    buttons: [
      {label: () => "M = N + 1", act: ({N}) => ({M: N + 1})},
      {label: () => "M = N²", act: ({N}) => ({M: Math.max(4, N * N)})},
      {
        label: () => "let Bob complete a triple",
        act: state => ({token: 1, bob: modulo(-1 - residues(state)[1], state.M)}),
      },
    ],
    /* A click on the circle looks at the token there, one in the table at the token of its row. */
    click: (name, x, y, state, width) => {
      if (name === "table") {
        const row = Math.floor((y - 48) / (Math.min(width - 36, 254) / state.N));
        return row >= 0 && row < state.N ? {token: row + 1} : null;
      }
      if (name !== "circle") return null;
      const tokens = residues(state), turn = Math.atan2(162 - y, x - width / 2) / (2 * Math.PI);
      const away = residue => Math.abs(modulo(residue / state.M - turn + 0.5, 1) - 0.5);
      return {token: tokens.reduce((best, residue, place) => away(residue) < away(tokens[best]) ? place : best, 0) + 1};
    },
    picture: (state, width) => {
      const {N, M, token, H, m, p} = state, tokens = residues(state), cells = completing(tokens, M, token - 1), W = rows(N, M);
      const [passes, needs] = [passed(H, m, p), needed(N, M)];
      return {
        panels: [circlePanel(width, tokens, M, token), tablePanel(width, tokens, token, cells),
          cutPanel(width, tokens, M, completing(tokens, M, 0), passes, needs)],
        numbers: [
          [`token ${token} holds`, `${tokens[token - 1]} of 0…${M - 1}`],
          ["in a pair (Match2)", paired(tokens, M)[token - 1] ? "yes" : "no"],
          ["in a triple (Match3)", cells.length ? `yes, ${cells.length} of ${N * N} ways` : "no"],
          ["Alice’s different rows W", W < 10n ** 12n ? grouped(W) : `about ${raised(String(W).length - 1)}`],
          ["bits needed, ⌈log₂ W⌉", String(needs)],
          ["bits a layer passes, at most", String(passes)],
        ],
      };
    },
    completing, paired, needed, passed,
    rows: (N, M) => String(rows(N, M)),
  });
})();
