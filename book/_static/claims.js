"use strict";
// The list of claims: find, narrow down, sort. Without this script the page is the same list, in the book's order.
addEventListener("DOMContentLoaded", () => {
  const tables = [...document.querySelectorAll(".bd-article table.claims")];
  const rows = tables.flatMap(table => [...table.tBodies[0].rows]);
  if (!rows.length) return;

  const make = (tag, settings, ...children) => {
    const element = Object.assign(document.createElement(tag), settings);
    element.append(...children);
    return element;
  };
  const select = (label, options) => {
    const control = make("select", {}, ...options.map(([value, text]) => make("option", { value }, text)));
    return [make("label", {}, `${label} `, control), control];
  };
  const words = make("input", { type: "search", placeholder: "margin, thm-4, bits …" });
  const [whose, mark] = select("Whose", [["", "all"], ["[P]", "[P] the paper's"], ["[P~]", "[P~] our constants"], ["[N]", "[N] ours"]]);
  const [how, kind] = select("Known", [["", "all"], ["proved", "proved"], ["observed", "observed"]]);
  const count = make("output", {});
  const bar = make("form", { className: "claims-bar" }, make("label", {}, "Find ", words), whose, how, count);
  bar.setAttribute("role", "search");
  bar.addEventListener("submit", event => event.preventDefault());

  const narrow = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach(row => {
      const page = row.closest("section").querySelector("h2").textContent;
      const text = `${page} ${row.textContent}`.toLowerCase(), source = row.cells[2].textContent;
      const fits = wanted.every(word => text.includes(word)) && source.includes(mark.value) && source.includes(kind.value);
      row.hidden = !fits;
      shown += fits;
    });
    tables.forEach(table => {
      table.closest("section").hidden = ![...table.tBodies[0].rows].some(row => !row.hidden);
    });
    count.textContent = `${shown} of ${rows.length} claims`;
  };
  bar.addEventListener("input", narrow);

  const number = row => parseFloat(row.cells[1].textContent.replace("−", "-"));
  tables.forEach(table => {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, place) => {
      const button = make("button", { type: "button", title: "Sort by this column" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        [...table.tHead.rows[0].cells].forEach(other => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const text = row => row.cells[place].textContent;
        const order = place === 1
          ? (one, two) => number(one) - number(two)
          : (one, two) => text(one).localeCompare(text(two), "en", { numeric: true });
        body.append(...[...body.rows].sort((one, two) => down ? order(two, one) : order(one, two)));
      });
    });
  });

  // An address in the page leads to its place, also if that is not among what is shown.
  addEventListener("hashchange", () => {
    const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!place?.closest("[hidden]")) return;
    bar.reset();
    narrow();
    place.scrollIntoView();
  });

  tables[0].closest("section").before(bar);
  narrow();
});
