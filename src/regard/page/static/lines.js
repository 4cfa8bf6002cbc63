// View 3, lines through the text from one token: in reading order, where does it look?

import {cellHatch, cellInk} from "./cells.js";
import {choiceOf, digits, formOf, plainButton, redrawing} from "./controls.js";
import {element, fill, themeColour, tokenName} from "./dom.js";
import {exactNumber, shortNumber} from "./numbers.js";
import {lineTable, lineTotal, lineWeights, ROWS_WHOLE} from "./rows.js";

const LINES_WINDOW = 256; // tokens in the picture
const LINES_HEADS = 7; // at most 7 x 256 lines: under 2000
const LINES_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]; // Okabe-Ito; the last is ink
const LINES_DASHES = [[], [9, 4], [2, 3], [10, 3, 2, 3], [5, 5], [16, 4], [1, 5]];

/** "0.1,2.3" -> [[0, 1], [2, 3]]: those that exist, each once, at most 7. */
function linesHeads({heads = "", layer, head}, facts) {
  const pairs = [...new Set(heads.split(","))].filter((text) => /^\d+\.\d+$/.test(text))
    .map((text) => text.split(".").map(Number)).filter(([l, h]) => l < facts.layers && h < facts.heads);
  return pairs.length ? pairs.slice(0, LINES_HEADS) : [[layer, head]];
}

/** A row or column in parts that are all drawn and add up: lines in the window, stubs for all else. */
function linesParts(weights, {by, from, least}) {
  const parts = {lines: [], drawn: 0, first: 0, before: 0, after: 0, others: 0, fewer: 0};
  weights.forEach((weight, at) => {
    if (Number.isNaN(weight)) return;
    if (at === 0 && !by) parts.first = weight;
    else if (at < from) parts.before += weight;
    else if (at >= from + LINES_WINDOW) parts.after += weight;
    else if (weight >= least) parts.lines.push([at, weight]);
    else {
      parts.others += weight;
      parts.fewer++;
    }
  });
  parts.drawn = lineTotal(parts.lines.map(([, weight]) => weight));
  parts.total = parts.drawn + parts.first + parts.before + parts.after + parts.others;
  return parts;
}

/** Percent with one decimal; what is not everything never reads 100 %. */
const linesPercent = (share) =>
  share < 1 - 1e-9 && share >= 0.9995 ? "over 99.9 %" : `${(100 * share).toFixed(1)} %`;

/** From one place to another: an arc within a line of text, a loop at a token itself, else down or up between lines. */
function linesCurve(pen, a, b) {
  pen.beginPath();
  if (a.x === b.x && a.top === b.top) {
    pen.moveTo(a.x - 6, a.top);
    pen.bezierCurveTo(a.x - 14, a.top - 22, a.x + 14, a.top - 22, a.x + 6, a.top);
  } else if (Math.abs(a.top - b.top) < 6) {
    pen.moveTo(a.x, a.top);
    const high = Math.min(a.top, b.top) - Math.min(44, 10 + Math.abs(a.x - b.x) / 8);
    pen.quadraticCurveTo((a.x + b.x) / 2, high, b.x, b.top);
  } else {
    const [above, below] = a.top < b.top ? [a, b] : [b, a];
    const bend = Math.max(14, (below.top - above.bottom) / 2);
    pen.moveTo(above.x, above.bottom);
    pen.bezierCurveTo(above.x, above.bottom + bend, below.x, below.top - bend, below.x, below.top);
  }
  pen.stroke();
}

export function linesView(place, page) {
  const {facts, state, facts: {n}} = page;
  const most = Math.max(0, n - LINES_WINDOW); // where the last window starts
  let now = null, shown = null, other = -1, laidOut = -1, seen = "", inkAs = "", round = 0, settle = 0, alive = true;
  const [byLabel, bySelect] = choiceOf("the chosen token", [["at", "looks at"], ["by", "is looked at by"]], (direction) =>
    state.set({direction, [direction === "by" ? "column" : "row"]: now.at}));
  const leasts = [["0.1", "0.1"], ["0.01", "0.01"], ["0.001", "0.001"], ["0", "0 (all)"]];
  const [leastLabel, leastSelect] = choiceOf("lines from a weight of", leasts, (least) => state.set({least}));
  const input = (name, placeholder) => element("input", {class: "small", size: 7, placeholder, "aria-label": name});
  const [chips, around] = [0, 0].map(() => element("div", {class: "row small"}));
  const [complaint, readout] = ["small", ""].map((kind) => element("p", {class: `lines-line ${kind}`}));
  const [masses, status, table] = [0, 0, 0].map(() => element("div"));
  const canvas = element("canvas", {class: "lines-canvas", "aria-hidden": "true"});
  const hear = {onclick: click, onkeydown: key, ondblclick: lookUp, onpointerleave: () => tellPair(-1),
    onpointerover: (event) => tellPair(tokenAt(event))};
  const text = element("div", {class: "lines-text", role: "listbox", "aria-label": "tokens in reading order", ...hear});
  const stubs = Object.fromEntries(["first", "before", "others", "after"].map((name) =>
    [name, element("span", {class: `lines-stub small lines-${name}`})]));
  const stage = element("div", {class: "lines-stage"}, canvas, element("div", {class: "lines-ends"}, stubs.first, stubs.before),
    text, element("div", {class: "lines-ends"}, stubs.others, stubs.after));
  fill(
    place, element("h2", {}, "In reading order, where does this token look?"),
    element("p", {class: "quiet"}, "Choose a token with a click or the arrow keys; with shift they read another token's " +
      "weight, Enter shows how the row came about. A line's width is 1 + 13 x weight in pixels, its opacity the weight " +
      "(at least 12 %). The strip under a token has the weight's colour on the page's scale; hatched: not allowed."),
    element("div", {class: "row"}, byLabel, leastLabel, formOf(input("head to add", "layer.head"), "add head", addHead),
      formOf(input("token's number", "token"), "jump", jump)),
    complaint, chips, around, stage, readout, masses, status, element("div", {class: "scroll"}, table),
  );
  const {soon, stop} = redrawing(stage, draw);
  const colour = (k) => LINES_COLOURS[k] ?? themeColour("--ink");
  const complain = (words) => page.say(fill(complaint, words).textContent);
  const headName = ([layer, head]) => `layer ${layer}, head ${head}`;

  function setHeads(pairs) {
    const one = pairs.length === 1 && {layer: pairs[0][0], head: pairs[0][1]}; // one alone follows the page's head
    state.set({...one, heads: one ? "" : pairs.map((pair) => pair.join(".")).join(",")});
  }

  function addHead(wanted) {
    const [layer, head] = /^\d+\.\d+$/.test(wanted) ? wanted.split(".").map(Number) : [];
    const known = now.heads.some(([l, h]) => l === layer && h === head);
    if (!(layer < facts.layers && head < facts.heads))
      return complain(`Write layer.head, such as 0.1: layers 0 to ${facts.layers - 1}, heads 0 to ${facts.heads - 1}.`);
    if (!known && now.heads.length >= LINES_HEADS) return complain("7 heads have 7 colours: remove one first.");
    complain("");
    if (!known) setHeads([...now.heads, [layer, head]]);
  }

  function jump(wanted) {
    if (!/^\d+$/.test(wanted) || Number(wanted) >= n) return complain(`Write a token's number, 0 to ${n - 1}.`);
    complain("");
    choose(Number(wanted));
    text.children[now.at - now.from]?.focus();
  }

  /** Another token; the window moves only if it is outside. */
  function choose(at, options = {}) {
    other = -1;
    const outside = at < now.from || at >= now.from + LINES_WINDOW;
    state.set({[now.by ? "column" : "row"]: at, ...(outside && {from: undefined})}, options);
  }

  /** Where the window starts: where the address says, else so that the chosen token is in it, the same for 128 tokens. */
  function windowOf(from, at, by) {
    return Math.max(0, Math.min(Number.isInteger(from) ? from : Math.floor(at / 128) * 128 - (by ? 0 : 128), most));
  }

  function layOut() {
    laidOut = now.from;
    canvas.width = 0; // lines of other places
    const last = Math.min(n, now.from + LINES_WINDOW) - 1;
    fill(text, ...Array.from({length: last + 1 - now.from}, (_, k) => {
      const node = tokenName(facts, now.from + k);
      node.classList.add("lines-token");
      node.setAttribute("role", "option");
      node.tabIndex = now.from + k === now.at ? 0 : -1;
      return node;
    }));
    const to = (from) => () => state.set({from: Math.max(0, Math.min(from, most))});
    fill(around, `Tokens ${now.from} to ${last} of ${n}.`,
      now.from > 0 ? plainButton("earlier", to(now.from - 128), {"aria-label": "earlier tokens"}) : null,
      last < n - 1 ? plainButton("later", to(now.from + 128), {"aria-label": "later tokens"}) : null);
  }

  function layChips() {
    inkAs = themeColour("--ink");
    fill(chips, ...now.heads.map((pair, k) => {
      const sample = element("canvas", {class: "lines-sample", width: 72, height: 12, "aria-hidden": "true"});
      const pen = sample.getContext("2d");
      Object.assign(pen, {strokeStyle: colour(k), lineWidth: 6});
      pen.setLineDash(LINES_DASHES[k].map((length) => 2 * length));
      pen.moveTo(0, 6);
      pen.lineTo(72, 6);
      pen.stroke();
      const rest = now.heads.filter((_, at) => at !== k);
      return element("span", {class: "lines-chip"}, sample, ` ${headName(pair)} `,
        rest.length ? plainButton("×", () => setHeads(rest), {"aria-label": `remove ${headName(pair)}`}) : null);
    }));
  }

  async function load() {
    const mine = ++round;
    const {site, heads, by, at, asks} = now;
    try {
      const rows = await Promise.all(heads.map(([layer, head]) =>
        lineWeights(page, {site, layer, head}, by ? "column" : "row", at)));
      if (!alive || mine !== round || asks !== now.asks) return;
      shown = {...now, weights: rows.map(({weights}) => weights)};
      fill(status);
      place.classList.remove("stale");
      tell();
    } catch (error) {
      if (alive && mine === round && asks === now.asks) page.refuse(status, error, load);
    }
  }

  /** Everything that is said of the chosen token: stubs, masses, the table; then the drawing. */
  function tell() {
    const {by, heads, at, weights} = shown;
    shown.parts = weights.map((row) => linesParts(row, now));
    const words = {first: "first token", before: "before these tokens", others: `others, under ${now.least}`,
      after: "after these tokens"};
    for (const [name, node] of Object.entries(stubs)) {
      node.hidden = !shown.parts.some((parts) => parts[name] > 0);
      const numbers = shown.parts.flatMap((parts, k) => [k ? " · " : " ", digits(parts[name], shortNumber)]);
      fill(node, words[name], ...numbers);
    }
    fill(masses, ...shown.parts.map(({lines, drawn, first, before, after, others, fewer, total}, k) => {
      const share = (drawn + first) / total;
      return element("p", {class: "lines-line small"}, `${headName(heads[k])}: drawn: `,
        element("span", {class: "number lines-drawn", "data-value": exactNumber(share)}, linesPercent(share)),
        by ? " of what the token receives: " : " of the row's mass: ", `${lines.length} lines `, digits(drawn),
        ...(by ? [] : [", first token ", digits(first)]), "; others ", digits(before + after + others),
        ` (${fewer} smaller ones here, and what is outside these tokens); together `, digits(total), ".");
    }));
    const columns = heads.map((pair, k) => ({name: headName(pair), values: weights[k], adds: true}));
    const caption = [`Token ${at} `, tokenName(facts, at), by ? " is looked at by" : " looks at"];
    fill(table, lineTable(facts, caption, columns, at));
    [...text.children].forEach((node, k) => {
      node.classList.toggle("chosen", now.from + k === at);
      node.setAttribute("aria-selected", now.from + k === at);
      node.tabIndex = now.from + k === at ? 0 : -1;
    });
    if (!text.children[at - now.from]) text.children[0].tabIndex = 0;
    tellPair(-1);
    soon();
  }

  /** The chosen token and another one: that under the pointer, else that of shift and arrows, else itself. */
  function tellPair(under, aloud = false) {
    if (!shown) return;
    const {by, at, heads, weights} = shown;
    const end = under >= 0 ? under : other >= 0 ? other : at;
    const [i, j] = by ? [end, at] : [at, end];
    fill(readout, `Row ${i} `, tokenName(facts, i), ` looks at column ${j} `, tokenName(facts, j), ": ",
      ...heads.flatMap((pair, k) => [k ? "; " : "", `${headName(pair)}: weight `, digits(weights[k][end])]), ".");
    if (aloud) page.say(readout.textContent);
  }

  function draw() {
    if (!alive || shown?.asks !== now?.asks || !shown) return;
    if (inkAs !== themeColour("--ink")) layChips();
    text.style.rowGap = text.style.paddingBottom = `${22 + 5 * shown.heads.length}px`; // room for strips and arcs
    const [wide, high, ratio] = [stage.clientWidth, stage.clientHeight, window.devicePixelRatio || 1];
    [canvas.width, canvas.height] = [wide, high].map((length) => Math.round(length * ratio));
    [canvas.style.width, canvas.style.height] = [`${wide}px`, `${high}px`];
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const spotOf = (node) => {
      const [left, top, width] = [node.offsetLeft, node.offsetTop, node.offsetWidth];
      return {left, width, x: left + width / 2, top, bottom: top + node.offsetHeight};
    };
    const spots = [...text.children].map(spotOf);
    const ends = Object.entries(stubs).filter(([, node]) => !node.hidden).map(([name, node]) => [name, spotOf(node)]);
    drawStrips(pen, spots);
    const edge = shown.at < now.from ? 0 : high; // from there come the lines of a token outside
    const start = spots[shown.at - now.from] ?? {x: edge && wide, top: edge, bottom: edge};
    shown.parts.forEach((parts, k) => {
      const aside = 3 * (k - (shown.heads.length - 1) / 2);
      const moved = (spot) => ({...spot, x: spot.x + aside});
      const line = (spot, weight) => {
        Object.assign(pen, {lineWidth: 1 + 13 * Math.min(1, weight), globalAlpha: Math.min(1, Math.max(0.12, weight))});
        linesCurve(pen, moved(start), moved(spot));
      };
      pen.strokeStyle = colour(k);
      pen.setLineDash(LINES_DASHES[k]);
      for (const [at, weight] of parts.lines) line(spots[at - now.from], weight);
      for (const [name, spot] of ends) if (parts[name] > 0) line(spot, parts[name]);
    });
  }

  /** Under each token a strip a head: its weight's colour. */
  function drawStrips(pen, spots) {
    const hatch = cellHatch(pen);
    shown.weights.forEach((row, k) => spots.forEach((spot, t) => {
      const index = page.colourOf(row[now.from + t]);
      pen.fillStyle = index < 0 ? hatch : cellInk(page.palette, index);
      pen.fillRect(spot.left, spot.bottom + 1 + 5 * k, spot.width, 4);
    }));
  }

  /** The token at an event, or -1. */
  function tokenAt(event) {
    const k = [...text.children].findIndex((node) => node.contains(event.target));
    return k < 0 ? -1 : now.from + k;
  }

  function click(event) {
    const at = tokenAt(event);
    if (at < 0) return;
    if (!event.shiftKey) return choose(at);
    other = at;
    tellPair(-1, true);
  }

  function lookUp() {
    const row = now.by ? other : now.at;
    if (row >= 0) state.set({row, column: now.by ? now.at : other, view: "lookup"});
    else complain("First choose, with shift and the arrow keys, the token that looks: the row to open.");
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -n, End: n}[event.key];
    if (!step && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    if (!step) return lookUp();
    const next = (at) => Math.min(n - 1, Math.max(0, at + step));
    if (event.shiftKey) {
      other = next(other < 0 ? now.at : other);
      tellPair(-1, true);
    } else {
      choose(next(now.at), {replace: true});
      text.children[now.at - now.from]?.focus();
    }
  }

  return {
    update(all) {
      const by = all.direction === "by";
      const wanted = by ? all.column : all.row;
      const at = wanted >= 0 && wanted < n ? wanted : n - 1;
      const least = leasts.some(([value]) => value === all.least) ? all.least : "0.01";
      const next = {site: all.site, heads: linesHeads(all, facts), by, at};
      const asks = JSON.stringify(next);
      Object.assign(next, {asks, least: Number(least), from: windowOf(all.from, at, by)});
      const sight = JSON.stringify([next, page.scale()]);
      if (sight === seen) return;
      seen = sight;
      const before = now;
      now = next;
      [bySelect.value, leastSelect.value] = [by ? "by" : "at", least];
      if (laidOut !== now.from) layOut();
      if (String(before?.heads) !== String(now.heads)) layChips();
      if (before?.asks === asks) return shown?.asks === asks ? tell() : undefined;
      clearTimeout(settle);
      if (shown) place.classList.add("stale");
      settle = setTimeout(load, n > ROWS_WHOLE ? 100 : 0); // of a long text, tokens that flash by are not asked for
    },
    destroy() {
      alive = false;
      clearTimeout(settle);
      stop();
    },
  };
}
