// Several tokens at once: drawn around with the mouse, or written as ranges of positions; and the list of them.

import {formOf, keepFocus, numberCell, plainButton, rovingKeys} from "./controls.js";
import {element, fill, tokenName} from "./dom.js";

const LASSO_LISTED = 30;

/** "3-5,9" -> [3, 4, 5, 9]: those that exist, each once, in order; null where it is written otherwise. */
export function rangesOf(text = "", n) {
  const found = new Set();
  for (const part of text.split(",").map((one) => one.trim()).filter(Boolean)) {
    const [, from, to = from] = /^(\d+)(?:\s*-\s*(\d+))?$/.exec(part) ?? [];
    if (from === undefined) return null;
    for (let i = Number(from); i <= Math.min(n - 1, Number(to)); i++) found.add(i);
  }
  return [...found].sort((a, b) => a - b);
}

/** The other way round. */
export function rangesText(list) {
  const parts = [];
  for (const i of list) {
    const last = parts.at(-1);
    if (last && last[1] === i - 1) last[1] = i;
    else parts.push([i, i]);
  }
  return parts.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(",");
}

/** Whether a point lies inside a line that was drawn around (and closes itself). */
export function lassoHolds(line, [x, y]) {
  let inside = false;
  line.forEach(([ax, ay], k) => {
    const [bx, by] = line[(k + 1) % line.length];
    if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) inside = !inside;
  });
  return inside;
}

/** The list of what was drawn around, and where to write it: draw({among, norms, odd}). */
export function lassoPanel(page, choose) {
  const {facts, state} = page, pick = (list) => state.set({among: rangesText(list)});
  const ranges = element("input", {class: "small", size: 12, placeholder: "3-5,9", "aria-label": "positions to list"});
  const title = element("div", {class: "row small"}), table = element("div", {class: "scroll lasso-list"});
  const use = (text) => {
    const list = rangesOf(text, facts.n);
    if (list) pick(list);
    else page.say(fill(title, "Write positions such as 3-5,9.").textContent);
  };
  const heading = element("h3", {}, "Several tokens");
  const node = element("div", {class: "lasso"}, heading, formOf(ranges, "list", use), title, table);
  return {node, pick, draw({among, norms, odd}) {
    const listed = among.slice(0, LASSO_LISTED), more = among.length - listed.length;
    if (ranges !== node.getRootNode().activeElement) ranges.value = rangesText(among);
    fill(title, ...(among.length ? [`${among.length} of ${facts.n} tokens, squares in the picture`,
      plainButton("none", () => pick([]))] : ["Draw around points, or write positions."]));
    const key = (i, at) => element("button", {type: "button", class: "plain space-near", "data-key": `among ${i}`,
      tabindex: at ? -1 : 0, onclick: () => choose(i)}, `${i} `, tokenName(facts, i));
    const rows = listed.map((i, at) => element("tr", {}, element("td", {}, key(i, at)), numberCell(norms[i]),
      element("td", {}, odd.includes(i) ? "odd norm" : "")));
    const onkeydown = (event) => rovingKeys(event, ".space-near", "ArrowUp", "ArrowDown");
    const head = ["token", "norm", ""].map((name) => element("th", {scope: "col"}, name));
    keepFocus(table, () => fill(table, rows.length ? element("table", {class: "numbers small", onkeydown},
      element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)) : null,
    more > 0 ? element("p", {class: "small quiet"}, `and ${more} more`) : null));
  }};
}
