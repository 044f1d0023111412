// Part of Sphinx's search: a page whose title begins with what was asked for comes first, the package last unless a name
// in code was asked for; the rest as Sphinx counts.
var Scorer = {
  score: ([page, title, , , score]) => {
    const asked = new URLSearchParams(location.search).get("q")?.trim().toLowerCase();
    const begins = asked && title.toLowerCase().startsWith(asked) && !/\w/.test(title.charAt(asked.length));
    return begins ? score + 1000 : page.startsWith("book/api") && !/[_.]/.test(asked) ? score / 100 : score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
