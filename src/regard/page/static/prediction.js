// Prediction strip: what the model expected at every place, and what a lens reading of each layer says of it.

import {barStrip} from "./bars.js";
import {freshCanvas} from "./cells.js";
import {asking, choiceOf, digits, keepFocus, numberCell, plainButton, redrawing, rovingKeys} from "./controls.js";
import {element, fill, themeColour, tokenName} from "./dom.js";
import {exactNumber, shortNumber} from "./numbers.js";

const PREDICTION_BLOCK = 256; // positions whose outputs are read at once
const PREDICTION_LENS = 16; // and whose lens readings are
const PREDICTION_NODES = 800; // elements of the strip: with the lists below it stays under 1,500

/** Which positions are side by side: a window of the text, or of the positions by surprise. */
function predictionNow(page, ranked) {
  const state = page.state.get(), {n, layers, model} = page.facts;
  const room = Math.floor(PREDICTION_NODES / (13 + (model ? 4 * (layers + 1) : 0)));
  const wide = Math.min(n, 16, Math.max(3, room)), order = state.sort === "surprise" ? "surprise" : "text";
  const at = Math.min(n - 1, state.position ?? state.row), start = order === "text" ? at - Math.floor(wide / 2) : 0;
  const from = Math.max(0, Math.min(n - wide, state.from ?? start));
  const all = order === "text" ? Array.from({length: n}, (_, i) => i) : ranked;
  return {order, at, wide, from, places: all.slice(from, from + wide)};
}

export function predictionView(place, page) {
  const {facts, state} = page, {labels} = facts.tokens, limit = Math.ceil(Math.log2(facts.vocabulary));
  const known = predictionKnown(page), notice = element("div"), detailNotice = element("div");
  const strip = element("div", {class: "scroll prediction-strip"});
  const detail = element("div", {class: "prediction-detail"});
  const agreed = element("p", {class: "small quiet"}), now = () => predictionNow(page, known.ranked());
  let drawn = "", path = null, there = true;
  const choose = (i) => {
    const {order, from, wide} = now(), at = order === "text" ? i : known.ranked().indexOf(i);
    const seen = at >= from && at < from + wide;
    state.set({position: i, row: i, from: seen ? from : Math.max(0, at - Math.floor(wide / 2))}, {replace: true});
  };
  const name = (i) => `position ${i}, after ${labels[i]}`;
  const bits = barStrip({label: "surprisal of what came next", unit: " bits", choose, name});
  const controls = predictionControls(page, now, known, choose);
  fill(place, element("h2", {}, "What did the model expect at every place, and from which layer on?"),
    element("p", {class: "quiet"}, "A column is a position: the token that came next, and what the model gave it. " +
      "Below, a lens reading of each layer: the final norm and the output matrix, applied anew to the stream that " +
      "enters it. It is one way to read a layer, not what the layer thinks."),
    controls.node, notice, strip, agreed, bits.node, detailNotice, detail);

  function draw() {
    if (!there) return;
    const shown = now();
    controls.show(shown);
    bits.draw({values: known.bits, limit, at: Math.max(0, shown.at)});
    keepFocus(strip, () => fill(strip, predictionTable(page, shown, known, choose)));
    fill(agreed, ...predictionAgreed(facts, shown, known));
  }

  function drawDetail(answer) {
    path?.destroy();
    path = answer.path.length && answer.truth !== null ? predictionPath(facts, answer.path) : null;
    fill(detail, ...predictionDetail(page, answer, path));
  }

  const again = () => {
    drawn = "";
    update();
  };
  const asked = asking(page, place, notice, again), one = asking(page, detail, detailNotice, again);

  async function read() {
    if (now().order === "surprise") await known.readAll(draw);
    else await known.read(now().places);
    draw();
    await known.readLens(now().places, now().order);
  }

  function askDetail(at) {
    if (at >= 0) one.ask(() => page.ask.json(`${page.key}/position/${at}`), drawDetail);
    else {
      one.forget();
      const words = "Choose a position for its fifty likeliest tokens and the path of ranks.";
      fill(detail, element("p", {class: "quiet"}, words));
    }
  }

  function update() {
    const {order, at, from} = now(), wanted = [page.key, order, from, at].join(" ");
    if (wanted === drawn) return;
    const before = drawn.split(" ").at(-1), first = !strip.firstChild;
    drawn = wanted;
    if (!first) draw();
    asked.ask(read, () => {
      draw();
      known.readAll(draw).catch(() => {}); // the strip of surprise then ends where reading failed
    }, first ? "Reading what the model expected …" : "");
    if (before !== String(at)) askDetail(at);
  }

  function destroy() {
    there = false;
    asked.forget();
    one.forget();
    bits.destroy();
    path?.destroy();
  }
  return {update, destroy};
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

const predictionName = (label) => element("bdi", {class: "token"}, label);
const predictionNone = (text = "-") => element("td", {class: "quiet"}, text);
const predictionRank = ({rank, ties}) => `${rank}${ties ? ` (${ties} tied)` : ""}`;

function predictionTable(page, {places, at}, known, choose) {
  const {facts} = page, {layers} = facts, stop = places.includes(at) ? at : places[0];
  const marked = (i, cell) => {
    if (i === at) cell.classList.add("prediction-chosen");
    return cell;
  };
  const line = (name, make) => element("tr", {}, element("th", {scope: "row"}, name),
    ...places.map((i) => marked(i, known.rows[i] ? make(known.rows[i], i) : predictionNone("…"))));
  const heads = places.map((i) => {
    const look = {type: "button", class: "plain prediction-key", "data-key": i, tabindex: i === stop ? 0 : -1};
    const more = {"aria-pressed": String(i === at), onclick: () => choose(i)};
    return element("th", {scope: "col"}, element("button", {...look, ...more}, `${i} `, tokenName(facts, i)));
  });
  const came = ({truth}) => truth === null ? predictionNone("no truth: the text ends here") :
    element("td", {}, predictionName(truth));
  const rows = [line("what came next", came), line("its probability", ({p}) => numberCell(p)),
    line("its rank", (row) => row.truth === null ? predictionNone() : numberCell(row.rank, predictionRank(row))),
    line("its surprisal, bits", ({surprisal}) => numberCell(surprisal)),
    line("likeliest, as recorded", ({top: [[label, p]]}) =>
      element("td", {}, predictionName(label), " ", digits(p, shortNumber)))];
  if (facts.model) {
    const ends = (layer) => (layer === 0 ? ": the embedding" : layer === layers ? ": leaves the last" : "");
    rows.push(line("rank 1 from layer", ({truth}, i) =>
      truth === null ? predictionNone() : element("td", {class: "number"}, predictionSince(known.lens, i))));
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
  if (!row) return predictionNone("…");
  const cell = element("td", {class: `prediction-lens ${row.rank === 1 ? "prediction-hit" : ""}`},
    predictionName(row.top), " ", digits(row.p, shortNumber));
  if (row.truthP === null) return cell;
  const truth = {class: "number quiet small", "data-value": exactNumber(row.truthP)};
  cell.append(" ", element("span", truth, `#${predictionRank(row)}`));
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

const predictionHead = (...names) => element("thead", {},
  element("tr", {}, ...names.map((name) => element("th", {scope: "col"}, name))));

/** The fifty likeliest tokens of one position, and the path of ranks to what came next. */
function predictionDetail(page, answer, path) {
  const {i, truth, top, rank, p} = answer, next = page.facts.tokens.ids[i + 1];
  const likeliest = top.map(([label, share, id], at) => {
    const isTruth = label === truth && id === (next ?? id);
    return element("tr", {class: isTruth ? "chosen" : null}, element("td", {class: "quiet"}, at + 1),
      element("td", {}, predictionName(label)), numberCell(share), element("td", {class: "quiet"}, id));
  });
  const came = truth === null ? ["; nothing came next: the text ends here"] :
    [", then ", predictionName(truth), `: rank ${rank}, probability `, digits(p)];
  const list = {class: "scroll prediction-top", tabindex: 0, role: "region", "aria-label": "the likeliest tokens"};
  return [
    element("h3", {class: "prediction-title"}, `Position ${i}: `, tokenName(page.facts, i), ...came),
    element("div", {}, element("h3", {}, `The ${top.length} likeliest next tokens`), element("div", list,
      element("table", {class: "numbers"}, predictionHead("", "token", "probability", "id"),
        element("tbody", {}, ...likeliest)))),
    ...(answer.path.length ? [predictionSteps(answer, path)] : []),
  ];
}

function predictionSteps(answer, path) {
  const rows = answer.path.map((row) => element("tr", {}, element("td", {}, row.layer),
    element("td", {}, predictionName(row.top)), numberCell(row.p),
    row.truthP === null ? predictionNone() : element("td", {}, predictionRank(row)), numberCell(row.truthP)));
  const names = ["layer", "likeliest", "probability", "rank of what came", "its probability"];
  return element("div", {class: "prediction-steps"}, element("h3", {}, "Lens reading, layer by layer"),
    path ? path.node : null, element("div", {class: "scroll"},
      element("table", {class: "numbers"}, predictionHead(...names), element("tbody", {}, ...rows))));
}

/** The truth's rank over the layers, on a fixed logarithmic scale from 1 to the vocabulary; the numbers are below. */
function predictionPath({vocabulary}, layers) {
  const canvas = element("canvas", {class: "prediction-path", "aria-hidden": "true"}), high = 120;
  const words = `Rank of what came next: 1 above, ${vocabulary} below, logarithmic; layers from left to right.`;
  const node = element("div", {}, canvas, element("p", {class: "small quiet"}, words));
  const depth = (rank) => Math.log(Math.max(1, rank)) / Math.log(Math.max(2, vocabulary));
  const paint = () => {
    const [context, wide] = freshCanvas(canvas, high), across = (wide - 24) / Math.max(1, layers.length - 1);
    const places = layers.map(({rank}, k) => [12 + k * across, 10 + depth(rank) * (high - 20)]);
    context.fillStyle = themeColour("--faint");
    for (const y of [10, high - 10]) context.fillRect(0, y, wide, 1);
    [context.strokeStyle, context.lineWidth] = [themeColour("--accent"), 2];
    context.fillStyle = context.strokeStyle;
    context.beginPath();
    for (const point of places) context.lineTo(...point);
    context.stroke();
    for (const point of places) {
      context.beginPath();
      context.arc(...point, 3.5, 0, 7);
      context.fill();
    }
  };
  return {node, destroy: redrawing(node, paint).stop};
}
