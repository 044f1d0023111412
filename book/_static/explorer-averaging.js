/* Sparse averaging by one unit: scores under the minimum-norm certificate, weights, and the margin against k. */
(() => {
  "use strict";
  const {define, defaults, draw, words, line, box, dot, diamond, curve, panel, raised, decimal, percentage} = window.attentionLimits;
  const COORDINATES = 256, LARGEST_SUBSET = 8;

  // --- mathematics ---------------------------------------------------------------------------------------------------

  const drawSigns = (seed, tokens) => Array.from({length: tokens}, (_, token) =>
    Int8Array.from({length: COORDINATES}, (_, place) => draw(seed, COORDINATES * token + place) >>> 31 ? 1 : -1));
  const cache = {};
  const signs = (seed, tokens) => {
    if (cache.seed !== seed || cache.keys.length < tokens) Object.assign(cache, {seed, keys: drawSigns(seed, tokens)});
    return cache.keys.slice(0, tokens);
  };
  const randomSubset = (seed, tokens, size, round = 0) => Array.from({length: tokens}, (_, token) => token)
    .sort((a, b) => draw(seed, 2 ** 20 + 512 * round + a) - draw(seed, 2 ** 20 + 512 * round + b))
    .slice(0, size).sort((a, b) => a - b);

  /* x with matrix x = 1 by elimination; null if the matrix of integers is singular. */
  const solve = matrix => {
    const size = matrix.length, rows = matrix.map(row => [...row, 1]);
    for (let column = 0; column < size; column++) {
      let best = column;
      for (let row = column + 1; row < size; row++)
        if (Math.abs(rows[row][column]) > Math.abs(rows[best][column])) best = row;
      if (Math.abs(rows[best][column]) < 1e-9) return null;
      [rows[column], rows[best]] = [rows[best], rows[column]];
      for (let row = column + 1; row < size; row++) {
        const factor = rows[row][column] / rows[column][column];
        for (let place = column; place <= size; place++) rows[row][place] -= factor * rows[column][place];
      }
    }
    const solution = new Array(size).fill(0);
    for (let row = size - 1; row >= 0; row--) {
      let rest = rows[row][size];
      for (let place = row + 1; place < size; place++) rest -= rows[row][place] * solution[place];
      solution[row] = rest / rows[row][row];
    }
    return solution;
  };

  /* Scores of all tokens under the minimum-norm certificate of y, from their products with the keys of y; or null. */
  const scoresOf = (products, y) => {
    const coefficients = solve(y.map(token => products[token]));
    return coefficients && products.map(row => row.reduce((sum, product, place) => sum + product * coefficients[place], 0));
  };
  const marginOf = (scores, y) => scores
    ? 1 - scores.reduce((most, score, token) => y.includes(token) ? most : Math.max(most, score), -Infinity) : -Infinity;
  const productsWith = (keys, y, k) => keys.map(key => y.map(token => {
    let product = 0;
    for (let place = 0; place < k; place++) product += key[place] * keys[token][place];
    return product;
  }));

  /* One unit on one subset: keys of k signs, y, and the query's factor. */
  const compute = ({keys, y, alpha}) => {
    const scores = scoresOf(productsWith(keys, y, keys[0].length), y), margin = marginOf(scores, y);
    if (!scores) return {scores, margin, weights: null, outside: NaN, error: NaN, bound: NaN};
    const most = Math.max(...scores), powers = scores.map(score => Math.exp(alpha * (score - most)));
    const total = powers.reduce((sum, power) => sum + power, 0), weights = powers.map(power => power / total);
    const outside = weights.reduce((sum, weight, token) => y.includes(token) ? sum : sum + weight, 0);
    const error = weights.reduce((sum, weight, token) => sum + Math.abs(weight - (y.includes(token) ? 1 / y.length : 0)), 0);
    const bound = margin > 0 ? 2 / (1 + y.length / (keys.length - y.length) * Math.exp(alpha * margin)) : NaN;
    return {scores, margin, weights, outside, error, bound};
  };

  /* The margin with the first k signs of each key, for each k; and the least k from which on it is at least 1/2. */
  const margins = (keys, y) => {
    const products = keys.map(() => new Array(y.length).fill(0)), found = [];
    for (let place = 0; place < keys[0].length; place++) {
      keys.forEach((key, token) => y.forEach((one, column) => { products[token][column] += key[place] * keys[one][place]; }));
      found.push(marginOf(scoresOf(products, y), y));
    }
    const first = found.findLastIndex(margin => margin < 0.5) + 2;
    return {margins: found, needed: first <= found.length ? first : null};
  };

  /* For each token, the q others whose keys correlate most with its own. */
  const crowds = (keys, q) => keys.map((key, token) => {
    const products = keys.map(other => other.reduce((sum, sign, place) => sum + sign * key[place], 0));
    return keys.map((_, other) => other).filter(other => other !== token)
      .sort((a, b) => products[b] - products[a] || a - b).slice(0, q).sort((a, b) => a - b);
  });
  /* The one of these subsets with the least margin. */
  const hostile = (keys, q) => {
    let [worst, least] = [null, Infinity];
    for (const y of crowds(keys, q)) {
      const margin = marginOf(scoresOf(productsWith(keys, y, keys[0].length), y), y);
      if (margin > -Infinity && margin < least) [worst, least] = [y, margin];
    }
    return worst;
  };

  // --- panels --------------------------------------------------------------------------------------------------------

  const tokenAxis = (left, right, y, n) => [
    words(left, y, "1", "small"), words((left + right) / 2, y, "token", "small", "middle"), words(right, y, String(n), "small", "end"),
  ];
  const cursor = (token, x, upper, lower, right, text) => token ? [
    line(x, upper, x, lower, "here-line"),
    words(x > right / 2 ? x - 6 : x + 6, lower - 4, `token ${token}: ${text}`, "small halo", x > right / 2 ? "end" : "start"),
  ] : [];
  const none = (name, width, title, k) => panel(name, width, 250, title, `No certificate at k = ${k}.`, [
    words(0, 120, "No certificate: the keys asked for are", "label bad"),
    words(0, 138, `linearly dependent with k = ${k}.`, "label bad")]);

  const scoresPanel = (width, {scores, margin}, y, token) => {
    const [height, left, right, upper, lower] = [250, 30, width - 6, 34, 226], n = scores.length;
    const least = Math.min(-0.6, ...scores) - 0.1, most = Math.max(1, ...scores) + 0.25;
    const across = one => left + (one + 0.5) / n * (right - left);
    const up = score => lower - (score - least) / (most - least) * (lower - upper);
    let top = -1;
    scores.forEach((score, one) => { if (!y.includes(one) && (top < 0 || score > scores[top])) top = one; });
    const ends = [up(1), up(1 - margin)].sort((a, b) => a - b), holds = margin > 0;
    const radius = Math.max(1.4, Math.min(3.2, (right - left) / n / 1.6));
    const label = holds ? `margin ${decimal(margin, 2)}` : `no margin: token ${top + 1} scores ${decimal(1 - margin, 2)}`;
    const shapes = [
      box(left, ends[0], right - left, ends[1] - ends[0], holds ? "band" : "band bad"),
      line(left, up(0), right, up(0), "rule"),
      line(left, up(1), right, up(1), "on-line"),
      words(left - 5, up(0) + 4, "0", "small", "end"),
      words(left - 5, up(1) + 4, "1", "small", "end"),
      ...scores.map((score, one) => y.includes(one) ? diamond(across(one), up(score), 5.5, "on")
        : dot(across(one), up(score), radius, score < 1 ? "off" : "off leak")),
      dot(across(top), up(1 - margin), radius + 3, "ring"),
      words(left + 6, Math.min(Math.max((ends[0] + ends[1]) / 2 + 4, ends[0] + 12), lower), label, holds ? "label halo" : "label halo bad"),
      words(right, up(1) + (holds ? -9 : 18), "tokens asked for", "small on-word halo", "end"),
      ...tokenAxis(left, right, lower + 16, n),
      ...cursor(token, across(token - 1), upper, lower, right, token ? decimal(scores[token - 1], 2) : ""),
    ];
    return panel("scores", width, height, "Scores: the query against every key",
      `Scores of ${n} tokens. The ${y.length} tokens asked for score 1; the best of the others, token ${top + 1}, scores `
      + `${decimal(1 - margin, 2)}, a margin of ${decimal(margin, 2)}.`, shapes);
  };

  const weightsPanel = (width, {weights, outside}, y, token) => {
    const [height, left, right, upper, lower] = [250, 30, width - 6, 34, 172], n = weights.length, floor = -8;
    const across = one => left + (one + 0.5) / n * (right - left);
    const up = weight => lower - (Math.max(Math.log10(Math.max(weight, 1e-300)), floor) - floor) / -floor * (lower - upper);
    const radius = Math.max(1.4, Math.min(3.2, (right - left) / n / 1.6)), bar = 204;
    const shapes = [0, -2, -4, -6, -8].flatMap(exponent => [
      line(left, up(10 ** exponent), right, up(10 ** exponent), "rule"),
      words(left - 5, up(10 ** exponent) + 4, raised(exponent), "small", "end")]);
    weights.forEach((weight, one) => shapes.push(y.includes(one) ? diamond(across(one), up(weight), 5.5, "on")
      : dot(across(one), up(weight), radius, "off")));
    shapes.push(...tokenAxis(left, right, lower + 16, n));
    let start = left;
    for (const one of y) {
      const share = weights[one] * (right - left);
      shapes.push(box(start, bar, share, 16, "on-part"));
      start += share;
    }
    shapes.push(
      box(start, bar, Math.max(0, right - start), 16, "leak-part"),
      words(left, bar + 32, `asked for ${percentage(1 - outside)}`, "small on-word"),
      words(right, bar + 32, `outsiders ${percentage(outside)}`, "small leak-word", "end"),
      ...cursor(token, across(token - 1), upper, lower, right, token ? percentage(weights[token - 1]) : ""));
    return panel("weights", width, height, "Weights after the softmax",
      `Attention weights on a logarithmic scale; the tokens asked for together have ${percentage(1 - outside)}, all others `
      + `${percentage(outside)}.`, shapes);
  };

  const marginsPanel = (width, found, k, q) => {
    const [height, left, right, upper, lower] = [250, 30, width - 6, 34, 212], most = found.margins.length, {needed} = found;
    const across = one => left + one / most * (right - left);
    const up = margin => lower - (Math.min(Math.max(margin, -1), 1) + 1) / 2 * (lower - upper);
    const shapes = [[1, "1"], [0, "0"], [-1, "−1"]].flatMap(([level, label]) => [
      line(left, up(level), right, up(level), "rule"), words(left - 5, up(level) + 4, label, "small", "end")]);
    shapes.push(line(left, up(0.5), right, up(0.5), "dashed"), words(left - 5, up(0.5) + 4, "½", "small", "end"),
      curve(found.margins.map((margin, place) => [place + 1, margin]).filter(([, margin]) => Number.isFinite(margin))
        .map(([one, margin]) => [across(one), up(margin)]), "margin-line"));
    if (needed) {
      const x = across(needed), near = needed > 0.6 * most;
      shapes.push(line(x, upper, x, lower, "needed"),
        words(x + (near ? -6 : 6), up(-0.55), `½ for good from k = ${needed} on`, "small halo", near ? "end" : "start"));
    } else shapes.push(words(right, up(-0.55), `not ½ for good up to k = ${most}`, "small halo", "end"));
    const here = found.margins[k - 1], far = k > 0.7 * most;
    shapes.push(line(across(k), upper, across(k), lower, "here-line"),
      dot(across(k), up(Number.isFinite(here) ? here : -1), 5, "here"),
      words(across(k) + (far ? -8 : 8), up(-0.82), `here: k = ${k}`, "label halo", far ? "end" : "start"));
    for (const one of [0, most >> 2, most >> 1, 3 * most >> 2, most])
      shapes.push(words(one === most ? right : across(one), lower + 16, String(one), "small", one === most ? "end" : "middle"));
    shapes.push(words((left + right) / 2, lower + 32, "key coordinates k", "small", "middle"));
    return panel("margins", width, height, "How many coordinates does this take?",
      `The margin of these ${q} tokens against the number k of key coordinates; at k = ${k} it is `
      + `${Number.isFinite(here) ? decimal(here, 2) : "not defined"}, and `
      + (needed ? `from k = ${needed} on it stays at least one half.` : `it is not one half for good up to ${most}.`), shapes);
  };

  // --- the explorer --------------------------------------------------------------------------------------------------

  const cut = (keys, k) => keys.map(key => key.subarray(0, k));
  const fields = [
    {name: "N", label: "tokens N", min: 16, max: 512, initial: 64},
    {name: "q", label: "asked for, q", min: 1, max: LARGEST_SUBSET, initial: 4},
    {name: "k", label: "key coordinates k", min: 2, max: COORDINATES, initial: 40},
    {name: "alpha", label: "query’s factor α", min: 0, max: 60, initial: 12},
    {name: "seed", label: "seed of the keys", min: 0, max: 99, initial: 1},
    {name: "token", label: "look at token", min: 0, max: 512, initial: 0, bound: state => state.N, show: value => value ? String(value) : "none"},
  ];

  define("averaging", {
    hint: "Lower k until outsiders leak in. Then lengthen the query: does α still help once the margin is gone?",
    columns: 2,
    fields,
    initial: () => {
      const state = defaults({fields});
      return {...state, y: randomSubset(state.seed, state.N, state.q)};
    },
    problem: (state, given) => {
      if (!given.has("y")) state.y = randomSubset(state.seed, state.N, state.q);
      if (state.y.length !== state.q) return `${state.y.length} tokens are asked for where q = ${state.q}`;
      if (new Set(state.y).size !== state.q) return "a token is asked for twice";
      const outside = [...state.y, state.token - 1].find(one => one >= state.N);
      return outside === undefined ? "" : `token ${outside + 1} > N = ${state.N}`;
    },
    settle: (state, before) => {
      // A larger N brings back what a smaller one left outside.
      const wanted = state.y === replaced.by && state.q === replaced.wanted.length && state.seed === before.seed ? replaced.wanted : state.y;
      const kept = wanted.filter(one => one < state.N), lost = wanted.length - kept.length;
      const others = randomSubset(state.seed, state.N, state.N).sort((a, b) => draw(state.seed, 2 ** 20 + a) - draw(state.seed, 2 ** 20 + b))
        .filter(one => !kept.includes(one));
      const q = state.q, y = [...kept, ...others].slice(0, q).sort((a, b) => a - b);
      const token = Math.min(state.token, state.N);
      replaced = {by: y, wanted};
      return [{...state, y, token}, lost ? `N = ${state.N} leaves ${lost} of the tokens asked for outside: others took their place.` : ""];
    },
    buttons: [
      {
        label: state => state.y.includes(state.token - 1) ? `drop token ${state.token}` : `ask for token ${state.token || "…"}`,
        idle: state => !state.token || state.y.includes(state.token - 1) && state.q === 1
          || !state.y.includes(state.token - 1) && state.q === LARGEST_SUBSET,
        act: state => toggle(state, state.token - 1),
      },
      {label: () => "hostile subset", act: state => ({y: hostile(cut(signs(state.seed, state.N), state.k), state.q) ?? state.y})},
      {label: () => "random subset", act: state => ({y: randomSubset(state.seed, state.N, state.q, round = round % 99 + 1)})},
    ],
    /* A click on a token asks for it or drops it. */
    click: (name, x, _, state, width) => {
      if (name === "margins") return {k: Math.max(2, Math.min(COORDINATES, Math.round((x - 30) / (width - 36) * COORDINATES)))};
      const token = Math.max(0, Math.min(state.N - 1, Math.floor((x - 30) / (width - 36) * state.N)));
      return {...toggle(state, token), token: token + 1};
    },
    picture: ({N, q, k, alpha, seed, token, y}, width) => {
      const keys = signs(seed, N), unit = compute({keys: cut(keys, k), y, alpha}), found = margins(keys, y);
      const panels = unit.scores ? [scoresPanel(width, unit, y, token), weightsPanel(width, unit, y, token)]
        : [none("scores", width, "Scores: the query against every key", k), none("weights", width, "Weights after the softmax", k)];
      return {
        panels: [...panels, marginsPanel(width, found, k, q)],
        numbers: [
          ["margin γ", unit.scores ? decimal(unit.margin, 3) : "none"],
          ["outsiders’ mass", unit.scores ? percentage(unit.outside) : "–"],
          ["worst error ‖p − u‖₁", unit.scores ? decimal(unit.error, 4) : "–"],
          ["at most, by the margin", unit.margin > 0 ? decimal(unit.bound, 4) : "no bound"],
          ["k for margin ½", found.needed ? String(found.needed) : `over ${COORDINATES}`],
        ],
      };
    },
    compute, margins, crowds, hostile, signs,
  });

  let round = 0, replaced = {};
  function toggle(state, token) {
    if (state.y.includes(token)) {
      const y = state.y.filter(one => one !== token);
      return y.length ? {y, q: y.length} : {};
    }
    const y = [...state.y, token].slice(-LARGEST_SUBSET);
    return {y: y.sort((a, b) => a - b), q: y.length};
  }
})();
