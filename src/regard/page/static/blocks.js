// A block of a matrix, rows a to b by columns c to d: which it is, what it holds in all, and edits of its edges.

import {asking, derivedBadge, digits, numberCell, plainButton} from "./controls.js";
import {element, fill} from "./dom.js";
import {editsWord} from "./edits.js";
import {mayLook, readVectors, scoreOf} from "./exact.js";
import {shownNumber} from "./numbers.js";

const BLOCK_WAIT = 150; // milliseconds that a block rests before it is summed
const BLOCK_ROWS = 16; // summed at once in a page by itself, which answers in between

/** "2-5,0-3" or "7,0-3", as it is typed and stands in the address -> {rows: [2, 5], columns: [0, 3]}, or null. */
export function blockOf(text, {n, m}) {
  const [, a, b = a, c, d = c] = /^(\d+)(?:-(\d+))?\s*[,; ]\s*(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  return +a <= +b && b < n && +c <= +d && d < m ? {rows: [+a, +b], columns: [+c, +d]} : null;
}

const blockRun = ([first, last]) => (first === last ? `${first}` : `${first}-${last}`);

/** The block between two cells {row, column}, whichever comes first, each drawn as `step` x `step`. */
export function blockBetween(one, other, step, {n, m}) {
  const start = (at) => at - (at % step);
  const run = (a, b, size) => blockRun([start(Math.min(a, b)), Math.min(size, start(Math.max(a, b)) + step) - 1]);
  return `${run(one.row, other.row, n)},${run(one.column, other.column, m)}`;
}

/** As a server sums it (looking/block.py), from a head's vectors. */
async function blockSums(vectors, [a, b], [c, d], signal) {
  const {valueNorms: norms, logsumexp} = vectors;
  const found = [() => 1, norms && ((j) => norms[j])].map((size) => size && {size, sum: 0, largest: -Infinity});
  let allowed = 0;
  for (let i = a; i <= b; i++) {
    if (i % BLOCK_ROWS === 0) await new Promise((rest) => setTimeout(rest));
    signal.throwIfAborted();
    for (let j = c; j <= d; j++) {
      if (!mayLook(vectors, i, j)) continue;
      const weight = Math.exp(scoreOf(vectors, i, j) - logsumexp[i]);
      allowed++;
      for (const one of found.filter(Boolean)) {
        one.sum += weight * one.size(j);
        one.largest = Math.max(one.largest, weight * one.size(j));
      }
    }
  }
  return {allowed, weights: found[0], contributions: found[1]};
}

function blockTable({allowed, ...found}, count) {
  const kinds = ["weights", "contributions"].filter((kind) => found[kind]);
  const lines = {sum: ({sum}) => sum, [`sum / ${count} row${count > 1 ? "s" : ""}`]: ({sum}) => sum / count,
    mean: ({sum}) => (allowed ? sum / allowed : null), largest: ({largest}) => (allowed ? largest : null)};
  const row = (words, cells) => element("tr", {}, element("th", {scope: "row"}, words), ...cells);
  return element("table", {class: "numbers small"},
    element("caption", {}, "Over the allowed cells ", derivedBadge()),
    element("thead", {}, row("", kinds.map((kind) => element("th", {scope: "col"}, kind)))),
    element("tbody", {}, ...Object.entries(lines).map(([words, of]) =>
      row(words, kinds.map((kind) => numberCell(of(found[kind])))))));
}

/** The sums of a block and edits of its edges; clear(): it is to be none. */
export function blockPanel(page, clear) {
  const {facts, state} = page, [title, notice, told] = [element("h3"), element("div"), element("div")];
  const head = element("div", {class: "row"}, title, plainButton("clear", clear));
  const node = element("div", {class: "matrix-sums small"}, head, notice, told);
  let shown = "", timer = 0, going = new AbortController(), ask = null;
  const asked = asking(page, told, notice, () => ask());

  async function sums(place, {rows, columns}) {
    const {signal} = (going = new AbortController());
    if (page.ask.live) return page.ask.json(`${page.key}/block/${place}/${[...rows, ...columns].join("/")}`, signal);
    return blockSums(readVectors(await page.ask.bytes(`${page.key}/vectors/${place}`)), rows, columns, signal);
  }

  function edits({layer, head}, {rows, columns}, disabled) {
    if (!facts.model || !page.ask.live) return ["Edits of its edges need the live page of a run with its model."];
    const button = (sign, words) => plainButton(words, () => {
      const word = editsWord(sign, {layer, head, row: blockRun(rows), column: blockRun(columns)});
      const list = new Set((state.get().edits ?? "").split(";").concat(word));
      state.set({edits: [...list].filter(Boolean).join(";"), view: "edits"});
    }, {disabled});
    return [element("div", {class: "row"}, button("m", "mask these edges"), button("c", "cut these edges")),
      "Mask: scores become minus infinity, rows still sum to 1. Cut: contributions become zero."];
  }

  function tell(now, block, found) {
    const [count, across] = [block.rows, block.columns].map(([first, last]) => last - first + 1), {weights} = found;
    const barred = `${count * across - found.allowed} of ${count * across} cells not allowed`;
    const lengths = found.contributions ? "Contributions are lengths |w v W_O|, cell by cell." : "";
    fill(told, element("p", {}, barred), blockTable(found, count),
      element("p", {class: "quiet"}, "A row's weights sum to 1: ",
      digits((100 * weights.sum) / count), ` % of its rows' mass lies in the block. ${lengths}`),
      ...edits(now, block, !found.allowed));
    page.say(`${title.textContent}: weights sum to ${shownNumber(weights.sum)}, ${barred}`);
  }

  /** now: site, layer, head; text: the block, or none. */
  function show(now, text) {
    const block = blockOf(text, facts), place = `${now.site}/${now.layer}/${now.head}`, as = `${place} ${text}`;
    if (as === shown) return;
    forget();
    shown = as;
    told.classList.add("stale"); // the last block's numbers, until this one's are there
    node.hidden = !block;
    if (!block) return;
    title.textContent = `Block: rows ${blockRun(block.rows)}, columns ${blockRun(block.columns)}`;
    ask = () => asked.ask(() => sums(place, block), (found) => tell(now, block, found));
    timer = setTimeout(ask, BLOCK_WAIT);
  }

  function forget() {
    clearTimeout(timer);
    asked.forget();
    going.abort();
  }
  return {node, show, forget};
}
