/* What the explorers share: drawing, draws, controls, the state in the address, the download. Each explorer defines
   itself in a file of its own by attentionLimits.define(name, explorer), and replaces the printed picture in the figure
   with data-explorer=name. A panel is the text of an SVG of a given width; companion/explorers.py draws the same. */
(() => {
  "use strict";

  // --- drawing -------------------------------------------------------------------------------------------------------

  const number = value => value.toFixed(2).replace(/\.?0+$/, "");
  const escape = text => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
  const shape = (name, kind, attributes, content = "") => {
    const written = Object.entries(attributes).map(([key, value]) =>
      ` ${key}="${typeof value === "string" ? escape(value) : number(value)}"`);
    return `<${name} class="${kind}"${written.join("")}>${escape(content)}</${name}>`;
  };
  const words = (x, y, content, kind = "word", anchor = "start", more = {}) =>
    shape("text", kind, {x, y, "text-anchor": anchor, ...more}, content);
  const line = (x1, y1, x2, y2, kind) => shape("line", kind, {x1, y1, x2, y2});
  const box = (x, y, width, height, kind, rx = 0) => shape("rect", kind, {x, y, width, height, rx});
  const dot = (cx, cy, r, kind) => shape("circle", kind, {cx, cy, r});
  const diamond = (x, y, r, kind) => {
    const corners = [[x, y - r], [x + r, y], [x, y + r], [x - r, y]];
    return shape("path", kind, {d: `M${corners.map(corner => corner.map(number).join(" ")).join("L")}Z`});
  };
  const curve = (points, kind) =>
    shape("polyline", kind, {points: points.map(point => point.map(number).join(",")).join(" ")});
  const panel = (name, width, height, title, says, shapes) =>
    `<svg class="explorer-panel" data-panel="${name}" xmlns="http://www.w3.org/2000/svg" width="${number(width)}" `
    + `height="${number(height)}" viewBox="0 0 ${number(width)} ${number(height)}" role="img" `
    + `aria-label="${escape(says)}">${words(0, 15, title, "title")}${shapes.join("")}</svg>`;

  const grouped = value => String(value).replace(/\B(?=(\d{3})+$)/g, ",");
  const raised = exponent => exponent === 0 ? "1" : exponent === 1 ? "10"
    : "10" + [...String(exponent)].map(digit => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(digit)]).join("");
  const decimal = (value, places) => {
    const written = Math.abs(value).toFixed(places);
    return value < 0 && Number(written) ? `−${written}` : written;
  };
  const percentage = share => share >= 5e-5 ? `${(100 * share).toFixed(2)} %`
    : share >= 1e-12 ? `about ${raised(Math.round(Math.log10(share)))}` : `under ${raised(-12)}`;

  // --- draws ---------------------------------------------------------------------------------------------------------

  /* The number at a place of a stream, below 2³²: mulberry32 of a counter. */
  const draw = (seed, index) => {
    const state = Math.imul(seed + 1, 0x9E3779B1) + Math.imul(index + 1, 0x6D2B79F5) | 0;
    let word = Math.imul(state ^ state >>> 15, state | 1);
    word ^= word + Math.imul(word ^ word >>> 7, word | 61);
    return (word ^ word >>> 14) >>> 0;
  };

  // --- the state and its address -------------------------------------------------------------------------------------

  const defaults = explorer => Object.fromEntries(explorer.fields.map(field => [field.name, field.initial]));

  /* What an address says: {state}, {problem} if it can't be a state of this explorer, null if it speaks of none. */
  const read = (name, explorer, address) => {
    if (!address.startsWith(`#explorer-${name}?`)) return null;
    const given = new URLSearchParams(address.slice(address.indexOf("?") + 1)), state = {...explorer.initial()};
    for (const [key, text] of given) {
      const field = explorer.fields.find(one => one.name === key);
      if (!field && !(key in state)) return {problem: `“${key}” is no part of it`};
      const numbers = text.split(".");
      if (!numbers.every(one => /^\d{1,9}$/.test(one)) || field && numbers.length !== 1)
        return {problem: `${key} = “${text}” is no number`};
      const value = field ? Number(text) : numbers.map(Number);
      if (field && !(field.min <= value && value <= field.max))
        return {problem: `${key} = ${value} does not lie in ${field.min}…${field.max}`};
      state[key] = value;
    }
    const problem = explorer.problem(state, given);
    return problem ? {problem} : {state};
  };
  const write = (name, state) =>
    `#explorer-${name}?` + Object.entries(state).map(([key, value]) => `${key}=${[value].flat().join(".")}`).join("&");

  // --- the download --------------------------------------------------------------------------------------------------

  const STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "paint-order",
    "opacity", "font-family", "font-size", "font-weight"];

  /* All panels as one file that needs no style sheet. */
  const standalone = (figure, title) => {
    const panels = [...figure.querySelectorAll("svg.explorer-panel")], frame = figure.querySelector(".explorer-panels");
    const origin = frame.getBoundingClientRect(), pad = 12;
    const whole = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    let [width, height] = [0, 0], content = "";
    for (const one of panels) {
      const place = one.getBoundingClientRect(), copy = one.cloneNode(true), copies = copy.querySelectorAll("*");
      one.querySelectorAll("*").forEach((element, index) => {
        const look = getComputedStyle(element);
        for (const name of STYLES) if (look.getPropertyValue(name)) copies[index].setAttribute(name, look.getPropertyValue(name));
        copies[index].removeAttribute("class");
      });
      copy.setAttribute("x", number(place.left - origin.left + pad));
      copy.setAttribute("y", number(place.top - origin.top + pad));
      width = Math.max(width, place.right - origin.left + 2 * pad);
      height = Math.max(height, place.bottom - origin.top + 2 * pad);
      whole.append(copy);
    }
    const background = document.createElementNS(whole.namespaceURI, "rect");
    Object.entries({width: "100%", height: "100%", fill: getComputedStyle(document.body).backgroundColor})
      .forEach(([key, value]) => background.setAttribute(key, value));
    const name = document.createElementNS(whole.namespaceURI, "title");
    name.textContent = title;
    whole.prepend(name, background);
    Object.entries({width: number(width), height: number(height), viewBox: `0 0 ${number(width)} ${number(height)}`})
      .forEach(([key, value]) => whole.setAttribute(key, value));
    return new XMLSerializer().serializeToString(whole);
  };

  // --- a figure that answers -----------------------------------------------------------------------------------------

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  /* Put the controls and panels of an explorer in the place of its printed picture. */
  const start = (figure, name, explorer) => {
    const printed = figure.querySelector(".explorer-panels"), inputs = {};
    const controls = element("div", {className: "explorer-controls"});
    for (const field of explorer.fields) {
      const id = `explorer-${name}-${field.name}`;
      if (field.options) {
        const group = element("fieldset", {className: "explorer-choice"}, element("legend", {textContent: field.label}));
        field.options.forEach((option, value) => {
          const button = element("input", {type: "radio", name: id, id: `${id}-${value}`, value});
          button.addEventListener("change", () => change({[field.name]: value}));
          group.append(element("label", {htmlFor: `${id}-${value}`}, button, element("span", {textContent: option})));
        });
        inputs[field.name] = group;
        controls.append(group);
        continue;
      }
      const output = element("output", {htmlFor: id});
      const input = element("input", {type: "range", id, min: field.min, max: field.max, step: 1});
      input.addEventListener("input", () => change({[field.name]: Number(input.value)}));
      inputs[field.name] = input;
      controls.append(element("div", {className: "explorer-control"},
        element("label", {htmlFor: id}, element("span", {textContent: field.label}), output), input));
    }
    const note = element("p", {className: "explorer-note"});
    note.setAttribute("role", "status");
    const frame = element("div", {className: "explorer-panels"});
    const buttons = element("div", {className: "explorer-buttons"});
    const offered = explorer.buttons.map(one => {
      const button = element("button", {type: "button"});
      button.addEventListener("click", () => change(one.act(state)));
      buttons.append(button);
      return [button, one];
    });
    const reset = element("button", {type: "button", textContent: "back to the start"});
    reset.addEventListener("click", () => change(explorer.initial()));
    const save = element("button", {type: "button", textContent: "download SVG"});
    save.addEventListener("click", () => {
      const file = new Blob([standalone(figure, write(name, state))], {type: "image/svg+xml"});
      const link = element("a", {href: URL.createObjectURL(file), download: `attention-limits-${name}.svg`});
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    buttons.append(reset, save);

    let state = explorer.initial(), width = 0, waiting = 0;
    /* Browsers take some hundred addresses in half a minute, and a slider that is drawn makes more. */
    const remember = () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => history.replaceState(null, "", write(name, state)), 150);
    };
    const show = message => {
      const {panels, numbers} = explorer.picture(state, width);
      const listed = numbers.map(([label, value]) => `<div><dt>${escape(label)}</dt><dd>${escape(value)}</dd></div>`);
      frame.innerHTML = `${panels.join("")}<dl class="explorer-numbers">${listed.join("")}</dl>`;
      for (const field of explorer.fields) {
        const input = inputs[field.name];
        if (field.options) {
          input.querySelectorAll("input").forEach((button, value) => { button.checked = value === state[field.name]; });
          continue;
        }
        if (field.bound) input.max = field.bound(state);
        const text = field.show ? field.show(state[field.name]) : String(state[field.name]);
        input.value = state[field.name];
        input.setAttribute("aria-valuetext", text);
        input.previousElementSibling.querySelector("output").textContent = text;
      }
      for (const [button, one] of offered) {
        button.textContent = one.label(state);
        button.disabled = Boolean(one.idle && one.idle(state));
      }
      note.textContent = message;
    };
    const change = changed => {
      let message;
      [state, message] = explorer.settle({...state, ...changed}, state);
      remember();
      show(message);
    };
    const open = () => {
      clearTimeout(waiting);
      const found = read(name, explorer, location.hash);
      if (found) {
        state = found.state ?? explorer.initial();
        figure.scrollIntoView();
      }
      show(found?.problem ? `The address holds no state of this explorer: ${found.problem}. This is the start.` : "");
    };
    const measure = () => {
      const whole = frame.clientWidth, columns = Math.min(explorer.columns, Math.max(1, Math.floor((whole + 20) / 320)));
      const now = Math.max(280, Math.floor((whole - 20 * (columns - 1)) / columns));
      if (now === width) return false;
      frame.style.setProperty("--explorer-panel-width", `${now}px`);
      width = now;
      return true;
    };

    printed.replaceWith(element("p", {className: "explorer-hint", textContent: explorer.hint}), controls, buttons, note, frame);
    frame.addEventListener("click", event => {
      const on = event.target.closest("svg.explorer-panel");
      if (!on || !explorer.click) return;
      const place = on.getBoundingClientRect();
      const changed = explorer.click(on.dataset.panel, event.clientX - place.left, event.clientY - place.top, state, width);
      if (changed) change(changed);
    });
    measure();
    open();
    new ResizeObserver(() => measure() && show(note.textContent)).observe(frame);
    addEventListener("hashchange", open);
    figure.classList.add("explorer-live");
  };

  const define = (name, explorer) => {
    window.attentionLimits[name] = explorer;
    explorer.initial ??= () => defaults(explorer);
    document.querySelectorAll(`[data-explorer="${name}"]`).forEach(figure => start(figure, name, explorer));
  };

  window.attentionLimits = {
    define, defaults, draw, words, line, box, dot, diamond, curve, panel, grouped, raised, decimal, percentage, number, shape,
  };
})();
