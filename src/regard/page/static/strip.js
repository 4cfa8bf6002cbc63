// The text as the model reads it: each token in its place, the chosen ones marked; a click chooses a row.

import {digits} from "./controls.js";
import {element, fill, tokenName} from "./dom.js";
import {shortNumber} from "./numbers.js";

const STRIP_WINDOW = 256;

/** Chooses the query token (row). Beyond 256 tokens a window around the row is drawn, and how many are left out is said. */
export function tokenStrip(place, page) {
  const {facts, state, facts: {generated}} = page;
  const list = element("div", {class: "strip-tokens", role: "listbox", "aria-label": "Tokens: choose the one that looks", tabindex: "0"});
  const found = element("input", {class: "page-find small", type: "search", placeholder: "find a token", "aria-label": "find a token"});
  let start = -1;

  function draw(row) {
    const from = facts.n <= STRIP_WINDOW ? 0 : Math.min(Math.max(row - STRIP_WINDOW / 2, 0), facts.n - STRIP_WINDOW);
    if (from === start) return;
    start = from;
    const end = Math.min(facts.n, from + STRIP_WINDOW);
    const boxes = [];
    for (let at = from; at < end; at++) {
      const box = tokenName(facts, at);
      box.classList.add("strip-token");
      const said = generated && at >= generated.start, title = `token ${at}` + (said ? ", said by the model" : "");
      for (const [name, value] of [["role", "option"], ["data-at", at], ["title", title]]) box.setAttribute(name, value);
      box.classList.toggle("strip-said", Boolean(said));
      if (at === generated?.start) boxes.push(element("span", {class: "strip-turn quiet small"}, "the model goes on:"));
      boxes.push(box);
    }
    fill(list, from > 0 ? element("span", {class: "quiet small"}, `${from} before `) : null, ...boxes,
      end < facts.n ? element("span", {class: "quiet small"}, ` ${facts.n - end} after`) : null);
  }

  const choose = (at) => {
    const there = Math.min(Math.max(at, 0), facts.n - 1);
    state.set({row: there, position: there});
  };
  list.addEventListener("click", (event) => {
    const box = event.target.closest("[data-at]");
    if (box) choose(Number(box.dataset.at));
  });
  list.addEventListener("keydown", (event) => {
    const by = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -facts.n, End: facts.n}[event.key];
    if (by === undefined) return;
    event.preventDefault();
    choose(Math.max(state.get().row, 0) + by);
  });
  found.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !found.value) return;
    const labels = facts.tokens.labels;
    for (let step = 1; step <= labels.length; step++) {
      const at = (Math.max(state.get().row, -1) + step) % labels.length;
      if (labels[at].toLowerCase().includes(found.value.toLowerCase())) return choose(at);
    }
    page.say("no token has that");
  });
  fill(place, list, facts.n > 24 ? found : null, generated && element("p", {class: `strip-forced small ${generated.agrees ? "quiet" : "failed"}`},
    `${generated.about} `, digits(generated.difference, shortNumber), " nats."));
  return {
    update(now) {
      draw(Math.max(now.row, 0));
      for (const box of list.querySelectorAll("[data-at]")) {
        const at = Number(box.dataset.at);
        box.setAttribute("aria-selected", String(at === now.row));
        box.classList.toggle("looks", at === now.row);
        box.classList.toggle("seen", at === now.column);
      }
    },
  };
}
