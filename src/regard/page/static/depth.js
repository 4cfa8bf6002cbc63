// The norm of each token layer by layer, and which of them are odd: measured when it is wanted.

import {freshCanvas} from "./cells.js";
import {asking, digits, plainButton, redrawing} from "./controls.js";
import {element, fill, themeColour, tokenName} from "./dom.js";
import {shortNumber} from "./numbers.js";

const DEPTH_HIGH = 160;
const DEPTH_NAMED = 4; // odd tokens that are named, a layer

/** The address's norms=all shows it; show(now): whose vectors (of), the last layer, the chosen token (at). */
export function depthPanel(page) {
  const {facts, state} = page, canvas = element("canvas", {class: "depth", "aria-hidden": "true"});
  const stage = element("div", {}, canvas), about = element("p", {class: "small quiet"}), notice = element("div");
  const list = element("div", {class: "scroll"});
  const button = plainButton("norms layer by layer", () => state.set({norms: state.get().norms ? "" : "all"}));
  const body = element("div", {hidden: true}, stage, about, list);
  const node = element("div", {class: "stack"}, element("div", {}, button), notice, body);
  let now = null, all = null, drawn = "";
  const asked = asking(page, body, notice, () => {
    drawn = "";
    show(now);
  });

  function paint() {
    if (!all || body.hidden) return;
    const [pen, wide] = freshCanvas(canvas, DEPTH_HIGH), most = all.reduce((a, {norms}) => Math.max(a, ...norms), 0);
    const across = (wide - 20) / Math.max(1, all.length - 1), odd = new Set(all.flatMap((one) => one.odd));
    const line = (i, colour, thick) => {
      Object.assign(pen, {strokeStyle: themeColour(colour), lineWidth: thick});
      pen.beginPath();
      all.forEach(({norms}, layer) =>
        pen.lineTo(10 + layer * across, DEPTH_HIGH - 8 - (norms[i] / (most || 1)) * (DEPTH_HIGH - 16)));
      pen.stroke();
    };
    for (let i = 0; i < facts.n; i++) if (!odd.has(i)) line(i, "--faint", 1);
    for (const i of odd) line(i, "--ink", 1.5);
    if (now.at >= 0) line(now.at, "--accent", 3);
    fill(about, "A line is a token, from layer to layer; dark: beyond 5 robust deviations from a layer's median " +
      "somewhere; thick: the chosen one. Drawn from 0 to ", digits(most), ".");
  }

  function table() {
    const {at} = now, head = ["layer", "median", "beyond 5 robust deviations", ...(at < 0 ? [] : [`token ${at}`])];
    const rows = all.map(({norms, odd}, layer) => {
      const name = (i) => [` ${i} `, tokenName(facts, i), " ", digits(norms[i], shortNumber)];
      const names = odd.slice(0, DEPTH_NAMED).flatMap(name);
      const own = at < 0 ? [] : [element("td", {}, digits(norms[at]), odd.includes(at) ? " odd" : "")];
      const rest = odd.length > DEPTH_NAMED ? ` and ${odd.length - DEPTH_NAMED} more` : "";
      return element("tr", {}, element("td", {}, layer), element("td", {}, digits(depthMedian(norms))),
        element("td", {}, odd.length ? `${odd.length}:` : "none", ...names, rest), ...own);
    });
    fill(list, element("table", {class: "numbers small"}, element("thead", {}, element("tr", {},
      ...head.map((name) => element("th", {scope: "col"}, name)))), element("tbody", {}, ...rows)));
  }

  function draw() {
    paint();
    table();
  }

  function show(next) {
    now = next;
    const open = state.get().norms === "all", wanted = `${now.of} ${now.last}`;
    button.setAttribute("aria-pressed", open);
    body.hidden = !open;
    if (!open) return;
    if (wanted === drawn) return void (all && draw());
    drawn = wanted;
    const layers = Array.from({length: now.last + 1}, (_, layer) => layer), {of} = now;
    asked.ask(() => Promise.all(layers.map((layer) => page.ask.json(`${page.key}/space/${of}/${layer}/own/centred`))), (found) => {
      all = found;
      draw();
    }, "Measuring every layer …");
  }
  const {stop} = redrawing(stage, paint);
  return {node, show, destroy: () => {
    asked.forget();
    stop();
  }};
}

function depthMedian(values) {
  const sorted = [...values].sort((a, b) => a - b), half = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
