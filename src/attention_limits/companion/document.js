"use strict";
// As much of a browser's document as MathJax needs to turn TeX into SVG where there is no browser: a tree of nodes that
// can be written as HTML. Nothing has a size here; MathJax knows the sizes of its letters.
(() => {
  const escape = text =>
    String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");

  class Node {
    constructor(name) {
      this.nodeName = name;
      this.childNodes = [];
      this.parentNode = null;
    }
    get firstChild() { return this.childNodes[0] ?? null; }
    get lastChild() { return this.childNodes.at(-1) ?? null; }
    get nextSibling() { return this.beside(1); }
    get previousSibling() { return this.beside(-1); }
    beside(step) {
      const all = this.parentNode?.childNodes ?? [];
      return all[all.indexOf(this) + step] ?? null;
    }
    get textContent() { return this.childNodes.map(child => child.textContent).join(""); }
    set textContent(text) {
      this.childNodes = [];
      if (text) this.appendChild(new Text(text));
    }
    get innerHTML() { return this.childNodes.map(child => child.outerHTML).join(""); }
    set innerHTML(text) { this.childNodes = [new Raw(text)]; }
    remove() { this.parentNode?.removeChild(this); }
    appendChild(child) { return this.insertBefore(child, null); }
    insertBefore(child, next) {
      child.remove();
      this.childNodes.splice(next ? this.childNodes.indexOf(next) : this.childNodes.length, 0, child);
      child.parentNode = this;
      return child;
    }
    removeChild(child) {
      this.childNodes.splice(this.childNodes.indexOf(child), 1);
      child.parentNode = null;
      return child;
    }
    replaceChild(child, old) {
      this.insertBefore(child, old);
      return this.removeChild(old);
    }
    contains(other) { return other === this || (other?.parentNode ? this.contains(other.parentNode) : false); }
  }

  class Text extends Node {
    constructor(text) {
      super("#text");
      this.nodeType = 3;
      this.nodeValue = text;
    }
    get textContent() { return this.nodeValue; }
    get outerHTML() { return escape(this.nodeValue); }
    cloneNode() { return new Text(this.nodeValue); }
  }

  // HTML that nobody looks into.
  class Raw extends Node {
    constructor(text) {
      super("#raw");
      this.nodeType = 1;
      this.outerHTML = text;
    }
  }

  class Element extends Node {
    constructor(name) {
      super(name);
      this.nodeType = 1;
      this.given = new Map();
      this.sheet = { cssRules: [], insertRule() {} };
      this.style = new Proxy({}, {
        get: (_, name) => name === "cssText" ? this.getAttribute("style") ?? "" : "",
        set: (_, name, value) => {
          const kebab = name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
          const before = this.getAttribute("style");
          this.setAttribute("style", name === "cssText" ? value : `${before ? `${before} ` : ""}${kebab}: ${value};`);
          return true;
        },
      });
      this.classList = {
        add: name => this.setAttribute("class", `${this.getAttribute("class") ?? ""} ${name}`.trim()),
      };
    }
    get attributes() { return [...this.given].map(([name, value]) => ({ name, value })); }
    setAttribute(name, value) { this.given.set(name, String(value)); }
    setAttributeNS(_, name, value) { this.setAttribute(name, value); }
    getAttribute(name) { return this.given.get(name) ?? null; }
    hasAttribute(name) { return this.given.has(name); }
    removeAttribute(name) { this.given.delete(name); }
    set id(value) { this.setAttribute("id", value); }
    get outerHTML() {
      const attributes = [...this.given].map(([name, value]) => ` ${name}="${escape(value)}"`).join("");
      return `<${this.nodeName}${attributes}>${this.innerHTML}</${this.nodeName}>`;
    }
    cloneNode(deep) {
      const copy = new Element(this.nodeName);
      this.given.forEach((value, name) => copy.setAttribute(name, value));
      if (deep) this.childNodes.forEach(child => copy.appendChild(child.cloneNode(true)));
      return copy;
    }
    addEventListener() {}
  }

  class Document {
    constructor() {
      this.head = new Element("head");
      this.body = new Element("body");
      this.readyState = "complete";
    }
    createElement(name) { return new Element(name); }
    createElementNS(_, name) { return new Element(name); }
    createTextNode(text) { return new Text(text); }
    querySelector() { return null; }
    querySelectorAll() { return []; }
    getElementById() { return null; }
    getElementsByTagName(name) { return name === "head" ? [this.head] : []; }
    addEventListener() {}
  }

  Object.assign(globalThis, {
    window: globalThis,
    document: new Document(),
    navigator: { appVersion: "", userAgent: "", platform: "" },
    location: { protocol: "file:", host: "", pathname: "", search: "" },
    localStorage: { getItem: () => null },
    addEventListener() {},
    setTimeout: run => { Promise.resolve().then(run); },
    DOMParser: class {
      parseFromString(text) {
        const body = new Element("body");
        body.innerHTML = text;
        return { body };
      }
    },
    Document, HTMLElement: Element, HTMLCollection: Array, NodeList: Array, DocumentFragment: class {},
  });
})();
