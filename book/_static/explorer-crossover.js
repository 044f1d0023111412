/* Sizes for sparse averaging against N, one resource at a time, and where attention falls below its rivals. */
(() => {
  "use strict";
  const {define, words, line, dot, curve, panel, number, grouped, raised} = window.attentionLimits;
  const LARGEST = 10 ** 6;

  // --- mathematics: ε = 2^−e ------------------------------------------------------------------------------------------

  const embedDim = (N, q) => Math.max(1, Math.ceil(4 * q * Math.log(N)));
  const precision = (N, q, e) => q === 1 && e <= 2 ? 4 : Math.ceil(Math.log2(q * 2 ** e * Math.log(N))) + 3;
  const attentionBits = (N, q, e, d) => (embedDim(N, q) + d) * precision(N, q, e);
  const binomial = (n, k) => {
    let found = 1n;
    for (let one = 1; one <= k; one++) found = found * BigInt(n - k + one) / BigInt(one);
    return k > n ? 0n : found;
  };
  /* The bits that tell the members of a packing of q-subsets apart. */
  const requiredBits = (N, q, e) => {
    let ball = 0n;
    for (let held = 0; held <= Math.min(Math.floor(q / 2 ** e), q); held++) ball += binomial(q, held) * binomial(N - q, held);
    const count = (binomial(N, q) + ball - 1n) / ball;
    return count <= 1n ? 0 : (count - 1n).toString(2).length;
  };
  /* The first N > q at which size is below rival, and the first from which it stays so; null if it is not at the largest
     N. Neither decreases, so that every N can be skipped at which the rival has not passed what the size is by then. */
  const overtaking = (size, rival, q) => {
    if (size(LARGEST) >= rival(LARGEST)) return null;
    const passing = (bound, from) => {
      let [low, high] = [from, LARGEST];
      while (low < high) {
        const middle = low + high >> 1;
        if (rival(middle) > bound) high = middle;
        else low = middle + 1;
      }
      return low;
    };
    let first = q + 1;
    while (size(first) >= rival(first)) first = passing(size(first), first + 1);
    let settled = passing(size(LARGEST), q + 1);
    while (settled > q + 1) {
      const last = settled - 1;
      if (size(last) >= rival(last)) break;
      settled = Math.min(last, passing(size(last), q + 1));
    }
    return [first, settled];
  };

  const recurrent = N => N - 1, stack = N => Math.floor(N / 2);
  /* What is drawn in a state: [label, size] of attention, its lower bound, its rivals. */
  const sizes = ({q, e, d, resource}) => resource === 0 ? {
    proved: q < 2 ** e,
    own: ["attention, built: (k + d′) p", N => attentionBits(N, q, e, d)],
    least: ["any attention, at least", N => requiredBits(N, q, e)],
    rivals: [["one recurrent layer: N − 1", recurrent], ["recurrent stack: ⌊N/2⌋", stack]],
  } : {
    proved: 2 * q - 1 < 2 ** e,
    own: ["attention, built: k + d′", N => embedDim(N, q) + d],
    least: null,
    rivals: [["feed-forward width: N d′", N => N * d]],
  };
  const place = n => Math.round(10 ** (n / 100));

  // --- the panel -----------------------------------------------------------------------------------------------------

  const crossoverPanel = (width, {q, e, d, resource}, labels, curves, here, values, marks) => {
    const [height, left, right, upper, lower] = [400, 36, width - 8, 44, 362], decades = Math.log10(LARGEST), bits = resource === 0;
    const across = N => left + Math.log10(N) / decades * (right - left);
    const up = size => lower - Math.min(Math.max(Math.log10(Math.max(size, 1)) / decades, 0), 1.06) * (lower - upper);
    const shapes = [];
    for (let exponent = 0; exponent <= 6; exponent++) {
      const [x, y] = [across(10 ** exponent), up(10 ** exponent)];
      shapes.push(line(x, upper, x, lower, "rule"), line(left, y, right, y, "rule"),
        words(left - 5, y + 4, raised(exponent), "small", "end"),
        words(x, lower + 16, raised(exponent), "small", exponent === 6 ? "end" : "middle"));
    }
    shapes.push(words((left + right) / 2, lower + 32, "tokens N", "small", "middle"), line(across(here), upper, across(here), lower, "here-line"));
    const kinds = bits ? ["own", "least", "rival", "rival second"] : ["own", "rival"];
    const steep = Math.atan2(lower - upper, right - left) * 180 / Math.PI;
    curves.forEach((points, one) => shapes.push(curve(points.map(([N, size]) => [across(N), up(size)]), `curve ${kinds[one]}`)));
    curves.forEach((points, one) => {
      const kind = kinds[one], label = width >= 500 ? labels[one] : labels[one].split(":")[0];
      if (kind === "own") {
        const until = Math.max(left + 7 * label.length, across(points[0][0]));
        const top = Math.min(...points.filter(([N]) => across(N) <= until).map(([, size]) => up(size)));
        shapes.push(words(left + 4, top - 8, label, "label own-word halo"));
      } else if (kind === "least") {
        const low = Math.max(...points.filter(([N]) => across(N) >= right - 7 * label.length).map(([, size]) => up(size)));
        const y = low + 20 < lower ? low + 16 : up(points.at(-1)[1]) - 8;
        shapes.push(words(right - 2, y, label, "label least-word halo", "end"));
      } else {
        const [N, size] = points.reduce((best, point) => Math.abs(point[0] - 10 ** 4.9) < Math.abs(best[0] - 10 ** 4.9) ? point : best);
        const [x, y] = [across(N), up(size) + (kind === "rival second" ? 15 : -7)];
        shapes.push(words(x, y, label, "label rival-word halo", "middle", {transform: `rotate(${number(-steep)} ${number(x)} ${number(y)})`}));
      }
    });
    shapes.push(...values.map(size => dot(across(here), up(size), 3.5, "here-dot")));
    const nearEnd = across(here) > 0.8 * right;
    shapes.push(words(across(here) + (nearEnd ? -5 : 5), lower - 6, `N = ${grouped(here)}`, "small halo", nearEnd ? "end" : "start"));
    marks.forEach(([N, size], one) => shapes.push(dot(across(N), up(size), 6, one ? "crossing second" : "crossing")));
    let found;
    if (marks.length) {
      const [N, size] = marks[0], text = `smaller from N = ${grouped(N)} on`;
      shapes.push(words(Math.min(across(N) + 12 + 7 * text.length, right), up(size) + 24, text, "label own-word halo", "end"));
      found = `Attention is smaller from N = ${grouped(N)} on.`;
    } else {
      found = `Nothing is proved for ${bits ? "recurrent" : "feed-forward"} networks at this ε.`;
      shapes.push(words((left + right) / 2, upper + 20, found, "label bad halo", "middle"));
    }
    const what = bits ? "Bits" : "Numbers";
    return panel("crossover", width, height, `${what} that are needed, q = ${q}, ε = 1/${2 ** e}, d′ = ${d}`,
      `${what} against N with logarithmic axes, for q = ${q}: ${labels.join("; ")}. ${found}`, shapes);
  };

  // --- the explorer --------------------------------------------------------------------------------------------------

  const drawnSizes = (state, {proved, own, least, rivals}) => [own, ...(least ? [least] : []), ...(proved ? rivals : [])];
  const curves = (state, tokens) => drawnSizes(state, sizes(state)).map(([, size]) => tokens.map(size));
  const crossings = state => {
    const {proved, own, rivals} = sizes(state);
    return proved ? rivals.map(([, rival]) => overtaking(own[1], rival, state.q)) : [];
  };

  define("crossover", {
    hint: "Ask for more tokens, or more exactly: how far to the right does the crossing move?",
    columns: 1,
    fields: [
      {name: "resource", label: "what is counted", min: 0, max: 1, initial: 0, options: ["bits: attention against recurrent", "numbers: attention against feed-forward"]},
      {name: "q", label: "asked for, q", min: 1, max: 32, initial: 4},
      {name: "e", label: "accuracy ε", min: 1, max: 12, initial: 4, show: value => `1/${2 ** value}`},
      {name: "d", label: "value dimension d′", min: 1, max: 64, initial: 1},
      {name: "n", label: "read off at N", min: 31, max: 600, initial: 300, show: value => grouped(place(value))},
    ],
    problem: ({q, n}) => q > place(n) ? `q = ${q} > N = ${place(n)}` : q === place(n) ? `q = ${q} leaves no other token at N = ${q}` : "",
    settle: state => {
      let n = state.n;
      while (place(n) <= state.q) n++;
      return [{...state, n}, n === state.n ? "" : `q = ${state.q} needs N > q: N is ${grouped(place(n))} now.`];
    },
    buttons: [
      {
        label: () => "ε = 1/(4q)",
        idle: ({q}) => !Number.isInteger(Math.log2(q)),
        act: ({q}) => ({e: Math.round(Math.log2(4 * q))}),
      },
    ],
    click: (_, x, y, state, width) => ({n: Math.max(31, Math.min(600, Math.round((x - 36) / (width - 44) * 600)))}),
    picture: (state, width) => {
      const {q, resource} = state, all = sizes(state), drawn = drawnSizes(state, all), here = place(state.n);
      const grid = [...new Set([q + 1, ...Array.from({length: 229}, (_, one) => Math.round(10 ** ((one + 12) / 40)))])]
        .filter(N => N > q).sort((a, b) => a - b);
      const found = crossings(state), values = drawn.map(([, size]) => size(here));
      const marks = found.flatMap((one, rival) => one ? [[one[1], all.rivals[rival][1](one[1])]] : []);
      return {
        panels: [crossoverPanel(width, state, drawn.map(([label]) => label), drawn.map(([, size]) => grid.map(N => [N, size(N)])), here, values, marks)],
        numbers: [
          [`at N = ${grouped(here)}`, resource === 0 ? "bits" : "numbers"],
          ...drawn.map(([label], one) => [label, grouped(values[one])]),
          ...all.rivals.map(([label], one) => all.proved
            ? [`attention below ${label.split(": ")[1]} from`, `N = ${grouped(found[one][1])}`] : [label, "not proved at this ε"]),
        ],
      };
    },
    curves, crossings,
  });
})();
