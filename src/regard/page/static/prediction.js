// Prediction strip: what the model expected at every place, and what a lens reading of each layer says of it.

import {barStrip} from "./bars.js";
import {asking, choiceOf, digits, keepFocus, numberCell, plainButton, rovingKeys} from "./controls.js";
import {element, fill, tokenName} from "./dom.js";
import {lockedRun} from "./locked.js";
import {exactNumber, shortNumber} from "./numbers.js";
import {noneCell, ranksPanel, rankText, tokenText} from "./ranks.js";
import {predictionSlice} from "./slices.js";

const PREDICTION_BLOCK = 256; // positions whose outputs are read at once
const PREDICTION_LENS = 16; // and whose lens readings are
const PREDICTION_NODES = 700; // elements of the strip and of the lists by layer: with all others it stays under 1,500

/** Which positions are side by side: a window of the text, or of the positions by surprise. */
function predictionNow(page, ranked) {
  const state = page.state.get(), {n, layers, model} = page.facts;
  const each = 13 + (model ? 4 * (layers + 1) : 0) + (state.lock ? 8 : 0); // elements of a column
  const room = Math.floor((PREDICTION_NODES - (model ? 12 * (layers + 1) : 0)) / each);
  const wide = Math.min(n, 16, Math.max(1, room)), order = state.sort === "surprise" ? "surprise" : "text";
  const at = Math.min(n - 1, state.position ?? state.row), start = order === "text" ? at - Math.floor(wide / 2) : 0;
  const from = Math.max(0, Math.min(n - wide, state.from ?? start));
  const all = order === "text" ? Array.from({length: n}, (_, i) => i) : ranked;
  return {order, at, wide, from, places: all.slice(from, from + wide)};
}

export function predictionView(place, page) {
  const {facts, state} = page, {labels} = facts.tokens, limit = Math.ceil(Math.log2(facts.vocabulary));
  const known = predictionKnown(page), notice = element("div"), detail = ranksPanel(page);
  const strip = element("div", {class: "scroll prediction-strip"});
  const agreed = element("p", {class: "small quiet"}), now = () => predictionNow(page, known.ranked());
  let drawn = "", there = true;
  const choose = (i) => {
    const {order, from, wide} = now(), at = order === "text" ? i : known.ranked().indexOf(i);
    const seen = at >= from && at < from + wide;
    state.set({position: i, row: i, from: seen ? from : Math.max(0, at - Math.floor(wide / 2))}, {replace: true});
  };
  const name = (i) => `position ${i}, after ${labels[i]}`;
  const bits = barStrip({label: "surprisal of what came next", unit: " bits", choose, name});
  const locked = lockedRun(page, {redraw: draw, choose, name});
  const controls = predictionControls(page, now, known, choose);
  fill(place, element("h2", {}, "What did the model expect at every place, and from which layer on?"),
    element("p", {class: "quiet"}, "A column is a position: the token that came next, and what the model gave it. " +
      "Below, a lens reading of each layer: the final norm and the output matrix, applied anew to the stream that " +
      "enters it. It is one way to read a layer, not what the layer thinks."),
    controls.node, locked.node, notice, strip, agreed, bits.node, locked.strips, detail.notice, detail.place);

  function draw() {
    if (!there || !drawn) return;
    const shown = now(), at = Math.max(0, shown.at);
    controls.show(shown);
    bits.draw({values: known.bits, limit, at});
    locked.draw(known.bits, limit, at);
    keepFocus(strip, () => fill(strip, predictionTable(page, shown, known, choose, locked.rows())));
    fill(agreed, ...predictionAgreed(facts, shown, known));
  }

  const again = () => {
    drawn = "";
    update();
  };
  const asked = asking(page, place, notice, again);

  async function read() {
    if (now().order === "surprise") await known.readAll(draw);
    else await known.read(now().places);
    draw();
    await known.readLens(now().places, now().order);
  }

  function update() {
    const {order, at, from} = now(), wanted = [page.key, order, from, at, state.get().reach].join(" ");
    locked.update();
    detail.update(at);
    if (wanted === drawn) return;
    const first = !strip.firstChild;
    drawn = wanted;
    if (!first) draw();
    asked.ask(read, () => {
      draw();
      known.readAll(draw).catch(() => {}); // the strip of surprise then ends where reading failed
    }, first ? "Reading what the model expected …" : "");
  }

  function destroy() {
    there = false;
    asked.forget();
    for (const part of [bits, locked, detail]) part.destroy();
  }
  /** What is shown: the positions side by side, and the strips of all of them. */
  async function slice() {
    await read();
    await known.readAll(draw);
    const shown = now();
    const strips = [["surprisal of what came next, bits", {values: known.bits, limit}]];
    return predictionSlice(page, {...shown, strips}, known, locked.slice(shown.places, known.bits, limit));
  }
  return {update, destroy, slice};
}

/** What has been read so far: rows by position, surprisals, lens rows by layer and position. */
function predictionKnown(page) {
  const {n, layers, model} = page.facts, rows = [], bits = new Float64Array(n).fill(NaN);
  const every = Array.from({length: n}, (_, i) => i), lens = Array.from({length: layers + 1}, () => new Map());
  const starts = (places, size) => [...new Set(places.map((i) => i - (i % size)))];
  const ask = (name, start, size) => page.ask.json(`${page.key}/${name}/${start}/${Math.min(n, start + size)}`);
  let order = [], whole = null;

  async function read(places) {
    const missing = starts(places.filter((i) => !rows[i]), PREDICTION_BLOCK);
    const found = await Promise.all(missing.map((start) => ask("prediction", start, PREDICTION_BLOCK)));
    for (const row of found.flat()) {
      rows[row.i] = row;
      bits[row.i] = row.surprisal ?? NaN;
    }
  }

  /** Everything, block by block, so that nothing else has to wait. */
  async function readEach(progress) {
    for (const start of starts(every, PREDICTION_BLOCK)) {
      await read([start]);
      if (n > PREDICTION_BLOCK) progress();
    }
    const size = (i) => (Number.isNaN(bits[i]) ? -1 : bits[i]);
    order = [...every].sort((a, b) => size(b) - size(a) || a - b);
    progress();
  }

  function readAll(progress) {
    whole ??= readEach(progress).catch((error) => {
      whole = null;
      throw error;
    });
    return whole;
  }

  /** Side by side in windows; scattered positions each with the whole of its path. */
  async function readLens(places, by) {
    if (!model) return;
    const missing = places.filter((i) => lens.some((layer) => !layer.has(i)));
    if (by === "surprise") await Promise.all(missing.map(async (i) => {
      const {path} = await page.ask.json(`${page.key}/position/${i}`);
      for (const row of path) lens[row.layer].set(i, row);
    }));
    else await Promise.all(starts(missing, PREDICTION_LENS).flatMap((start) => lens.map(async (found, layer) => {
      for (const row of await ask(`lens/${layer}`, start, PREDICTION_LENS)) found.set(row.i, row);
    })));
  }

  return {rows, bits, lens, read, readAll, readLens, ranked: () => order, done: () => rows.filter(Boolean).length};
}

function predictionControls({facts, state}, now, known, choose) {
  const go = (by) => {
    const {from, wide} = now();
    state.set({from: Math.max(0, Math.min(facts.n - wide, from + by * wide))});
  };
  const [orderLabel, order] = choiceOf("in", [["text", "order of the text"], ["surprise", "surprise, largest first"]],
    (by) => state.set({sort: by === "text" ? "" : by, from: undefined}), null);
  const back = plainButton("‹ back", () => go(-1)), on = plainButton("on ›", () => go(1));
  const said = element("span", {class: "quiet number"}), next = plainButton("next most surprising", () => {
    const ranked = known.ranked();
    choose(ranked[(ranked.indexOf(now().at) + 1) % ranked.length]);
  });
  return {
    node: element("div", {class: "row"}, back, on, said, orderLabel, next),
    show({order: by, from, wide, places}) {
      order.value = by;
      [back.disabled, on.disabled, next.disabled] = [from === 0, from + wide >= facts.n, !known.ranked().length];
      const words = by === "text" ? `positions ${from} to ${from + wide - 1} of ${facts.n}` :
        `places ${from + 1} to ${from + wide} by surprise, of ${facts.n}`;
      fill(said, places.length ? words : `reading all positions to order them: ${known.done()} of ${facts.n}`);
    },
  };
}

function predictionTable(page, {places, at}, known, choose, edited) {
  const {facts} = page, {layers} = facts, stop = places.includes(at) ? at : places[0];
  const marked = (i, cell) => {
    if (i === at) cell.classList.add("prediction-chosen");
    return cell;
  };
  const line = (name, make, kind = null) => element("tr", {class: kind}, element("th", {scope: "row"}, name),
    ...places.map((i) => marked(i, known.rows[i] ? make(known.rows[i], i) : noneCell("…"))));
  const heads = places.map((i) => {
    const look = {type: "button", class: "plain prediction-key", "data-key": i, tabindex: i === stop ? 0 : -1};
    const more = {"aria-pressed": String(i === at), onclick: () => choose(i)};
    return element("th", {scope: "col"}, element("button", {...look, ...more}, `${i} `, tokenName(facts, i)));
  });
  const came = ({truth}) => truth === null ? noneCell("no truth: the text ends here") :
    element("td", {}, tokenText(truth));
  const rows = [line("what came next", came), line("its probability", ({p}) => numberCell(p)),
    line("its rank", (row) => row.truth === null ? noneCell() : numberCell(row.rank, rankText(row))),
    line("its surprisal, bits", ({surprisal}) => numberCell(surprisal)),
    line("likeliest, as recorded", ({top: [[label, p]]}) =>
      element("td", {}, tokenText(label), " ", digits(p, shortNumber)))];
  rows.push(...edited.map(([name, make]) => line(name, (_, i) => make(i), "locked-row")));
  if (facts.model) {
    const ends = (layer) => (layer === 0 ? ": the embedding" : layer === layers ? ": leaves the last" : "");
    rows.push(line("it has rank 1 from layer", ({truth}, i) =>
      truth === null ? noneCell() : element("td", {class: "number"}, predictionSince(known.lens, i))));
    rows.push(...known.lens.map((found, layer) =>
      line(`lens reading, layer ${layer}${ends(layer)}`, (_, i) => predictionLens(found.get(i)))));
  }
  const onkeydown = (event) => rovingKeys(event, ".prediction-key", "ArrowLeft", "ArrowRight");
  return element("table", {class: "numbers prediction-table", onkeydown},
    element("thead", {}, element("tr", {}, element("th", {scope: "col"}, "position, token"), ...heads)),
    element("tbody", {}, ...rows));
}

/** The first layer from which on the truth has rank 1 in every reading. */
function predictionSince(lens, i) {
  if (lens.some((layer) => !layer.has(i))) return "…";
  let since = lens.length;
  while (since > 0 && lens[since - 1].get(i).rank === 1) since--;
  return since === lens.length ? "none" : String(since);
}

/** A lens reading: its likeliest token and that one's probability; the bar is the truth's probability, # its rank. */
function predictionLens(row) {
  if (!row) return noneCell("…");
  const cell = element("td", {class: `prediction-lens ${row.rank === 1 ? "prediction-hit" : ""}`},
    tokenText(row.top), " ", digits(row.p, shortNumber));
  if (row.truthP === null) return cell;
  const truth = {class: "number quiet small", "data-value": exactNumber(row.truthP)};
  cell.append(" ", element("span", truth, `#${rankText(row)}`));
  cell.style.setProperty("--prediction-part", `${100 * row.truthP}%`);
  return cell;
}

/** The last layer read again against the recorded output: it must agree. */
function predictionAgreed({layers, model}, {places}, {rows, lens}) {
  if (!model) return ["Lens readings need the model, and this recording was opened without it."];
  const both = places.filter((i) => rows[i] && rows[i].p !== null && lens[layers].has(i));
  if (both.length === 0) return [];
  const off = both.reduce((most, i) => Math.max(most, Math.abs(rows[i].p - lens[layers].get(i).truthP)), 0);
  return ["A lens cell: the likeliest token, its probability, # the rank of what came next; the bar is the " +
    `probability of what came next. Layer ${layers} is the output, read again: at these ${both.length} positions ` +
    "that probability differs from the recorded one by at most ", digits(off), "."];
}
