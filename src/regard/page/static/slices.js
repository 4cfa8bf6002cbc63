// What each view shows, as numbers and as a picture's body: what is saved of it (save.js says what a slice is).

import {readTile} from "./ask.js";
import {barsDrawn} from "./bars.js";
import {cellColours} from "./cells.js";
import {INKS} from "./dom.js";
import {matrixCell} from "./frame.js";
import {counted, shortNumber, shownNumber} from "./numbers.js";
import {PICTURE_VECTOR, plainText, svgBox, svgCells, svgPen, svgTag, svgText, tableBody, textWidth} from "./picture.js";

const SLICE_MASKED = "not allowed (masked), which is not the number 0";
const sliceTokens = ({facts: {tokens: {labels}}}, places) => places.map((at) => labels[at] ?? "");
const sliceColumn = (name, values) => ({name, values});

/** A table is its own picture: numbers as the page shows them. */
function sliceTable(columns, turned) {
  const shown = (value) => (typeof value === "string" ? plainText(value, turned ? 12 : 24) : value === null ? "-" : shownNumber(value));
  return tableBody(columns.map(({name, values, share}) =>
    ({name, shown: values.map((value) => ({text: shown(value), share: share ? value : 0}))})), turned);
}

/** Every head: its numbers and its picture. order: the heads as they stand, so many side by side; over: held-out text (survey.js) or null. */
export async function headsSlice(page, {site, zoom, order, across, numbers, over}) {
  const {layers, heads, n, name} = page.facts, step = 2 ** zoom;
  const found = await Promise.all(Array.from(order, async (_, k) => {
    const [layer, head] = [Math.floor(k / heads), k % heads], all = await page.ask.json(`${page.key}/measures/${site}/${layer}`);
    const tile = await page.ask.bytes(`${page.key}/tile/${site}/${layer}/${head}/weights/${zoom}/0/0`).then(readTile, (error) => {
      if (page.ask.live) throw error; // a saved page may hold one head alone
      return null;
    });
    return {layer, head, tile, few: 0, ...(over?.means({layer, head}) ?? all.find((one) => one.head === head))};
  }));
  const column = (words) => sliceColumn(words, found.map((one) => one[words] ?? null));
  const cell = step === 1 ? "one weight" : `the largest of ${step} x ${step} weights`;
  const few = sliceColumn("few", found.map((one) => Number(one.few))), missing = found.filter(({tile}) => !tile).length;
  return {
    name: "heads", title: name || "What each head looks at", under: [counted(layers, "layer"), "of", `${counted(heads, "head")},`, counted(n, "token")].join(" "),
    facts: {cell, ...(over && {numbers: over.facts.numbers})}, edits: over?.facts.edits, scale: "weights", empty: "there is no such number for this head",
    words: [`Rows look, columns are looked at: a cell is ${cell}. ${over?.words ?? "Numbers are means over this " + page.kind + "'s rows"} ` +
      "that may look at more than one key (Derived); few, or *: induction over fewer than 20 rows." +
      (missing ? ` The pictures of ${counted(missing, "head")} are not in this saved page.` : "")],
    columns: [...["layer", "head", ...numbers.map(([measure]) => measure)].map(column), few,
      ...(over?.columns ?? []).map(([name, of]) => sliceColumn(name, found.map(of)))],
    draw: () => headsBody(page, order.map((k) => found[k]), Math.min(across, found.length), numbers, step),
  };
}

function headsBody(page, shown, across, numbers, step) {
  const [rows, columns] = [page.facts.n, page.facts.m].map((size) => Math.ceil(size / step)), room = Math.max(128, Math.min(480, 780 / across - 24));
  const cell = Math.max(1, Math.min(24, Math.floor(room / Math.max(rows, columns)))); // few heads are drawn large
  const [wide, high] = [Math.max(108, columns * cell) + 24, rows * cell + 40 + 14 * numbers.length];
  const scale = cellColours(page, "weights"), vector = shown.length * rows * columns <= PICTURE_VECTOR;
  const inside = shown.map((one, k) => {
    const [x, y] = [(k % across) * wide, Math.floor(k / across) * high], name = `layer ${one.layer}, head ${one.head}`;
    return svgText(x, y + 10, name, 11, INKS.quiet) + (one.tile ? svgCells(x, y + 16, [cell, cell], one.tile, scale, name, vector) :
      svgBox(x, y + 16, columns * cell, rows * cell, INKS.pale) + svgText(x + 6, y + 34, "not in this page", 11, INKS.quiet)) + numbers.map(([measure, words], line) => {
        const at = y + rows * cell + 32 + 14 * line, few = measure === "induction" && one.few ? "*" : "";
        return svgText(x, at, words, 10.5, INKS.quiet) + svgText(x + 108, at, shortNumber(one[measure] ?? null) + few, 10.5, INKS.ink, "end");
      }).join("");
  });
  return {width: across * wide - 24, height: Math.ceil(shown.length / across) * high - 16, inside: inside.join("")};
}

/** The cells of a matrix that are in view: a frame (frame.js), what a cell is, and of each tile in view which part of it. */
export async function matrixSlice(page, {site, layer, head, what, cell, side, parts, level, step, zoom, x, y, across, down}) {
  const {n, m} = page.facts, values = new Float32Array(down * across);
  await Promise.all(parts.map(async ({at, from: [left, top, wide, high]}) => {
    const tile = readTile(await page.ask.bytes(`${page.key}/tile/${site}/${layer}/${head}/${what}/${level}/${at.join("/")}`));
    const [dy, dx] = [at[0] * side - y, at[1] * side - x];
    for (let r = top; r < top + high; r++) {
      const start = r * tile.columns + left;
      values.set(tile.values.subarray(start, start + wide), (r + dy) * across + left + dx);
    }
  }));
  const places = (first, count) => Array.from({length: count}, (_, k) => (first + k) * step);
  const [rows, columns] = [places(y, down), places(x, across)];
  const span = (all, size) => `${all[0]} to ${Math.min(size, all.at(-1) + step) - 1} of ${size}`;
  const cells = {name: what, rows, columns, rowTokens: sliceTokens(page, rows), columnTokens: sliceTokens(page, columns), values};
  return {
    name: `matrix-${what}`, title: `layer ${layer}, head ${head}: ${what}`, under: `rows ${span(rows, n)}, columns ${span(columns, m)}`,
    scale: what, cells, facts: {layer, head, what, cell, rows: span(rows, n), columns: span(columns, m)}, empty: SLICE_MASKED,
    words: [`Rows look, columns are looked at: a cell is ${cell}.`], draw: () => matrixBody(page, what, cells, Math.max(matrixCell(zoom, 1), Math.min(12, Math.floor(480 / Math.max(across, down))))),
  };
}

/** The cells with the tokens of their rows and columns, as many as can be read. */
function matrixBody(page, what, {rows, columns, rowTokens, columnTokens, values}, cell) {
  const size = Math.min(12, Math.max(9, cell)), every = Math.ceil((size + 1) / cell), half = 0.36 * size;
  const sides = [[rows, rowTokens], [columns, columnTokens]].map(([all, tokens]) =>
    all.map((at, k) => (k % every ? "" : `${at} ${plainText(tokens[k], 16)}`)));
  const [left, top] = sides.map((names) => Math.ceil(names.reduce((most, name) => Math.max(most, textWidth(name, size)), 0)) + 8);
  const [beside, above] = sides.map((names, turned) => names.map((name, k) => name && (turned ?
    svgText(left + (k + 0.5) * cell + half, top - 6, name, size, INKS.ink, "turned") :
    svgText(left - 6, top + (k + 0.5) * cell + half, name, size, INKS.ink, "end"))).join(""));
  const tile = {rows: rows.length, columns: columns.length, values}, vector = values.length <= PICTURE_VECTOR;
  const inside = beside + above + svgCells(left, top, [cell, cell], tile, cellColours(page, what), "the cells", vector);
  return {width: left + tile.columns * cell, height: top + tile.rows * cell, inside};
}

/** The rows or columns of which lines are drawn, each whole: series of {name, weights}; share: what is drawn, in words. */
export function linesSlice(page, {by, members, together, layer, head, series, least, share}, draw) {
  const places = Array.from(series[0].weights, (_, k) => k), {generated} = page.facts, several = members.length > 1, names = sliceTokens(page, members);
  const looks = by ? `${several ? "are" : "is"} looked at by` : `look${several ? "" : "s"} at`;
  return {
    name: by ? "lines-column" : "lines", title: members.map((at, k) => `${at} ${names[k]}`).join(", ") + ` ${looks}`, scale: "weights",
    under: series.map(({name}) => name).join("; ") + (together ? " (Derived)" : ""), facts: {layer, head, [by ? "columns" : "rows"]: members.join(" ")}, empty: SLICE_MASKED,
    words: [`Lines from a weight of ${least}: their width is 1 + 13 x weight in pixels, their opacity the weight (at least 12 %). Drawn of the mass: ${share}.`],
    columns: [sliceColumn(by ? "row" : "column", places), sliceColumn("token", sliceTokens(page, places)),
      ...(generated ? [sliceColumn("generated", places.map((at) => Number(at >= generated.start)))] : []), ...series.map(({name, weights}) => sliceColumn(name, Float64Array.from(weights)))],
    draw,
  };
}

/** A row's table. found: what lookupRow makes. */
export function lookupSlice(page, {layer, head, i}, {lines, rest, steps, whatIf, tried: what, difference}) {
  const all = [...lines], [token] = sliceTokens(page, [i]), more = rest.keys ? `rest: sum of ${rest.keys} keys` : "";
  if (more) all.push({...rest, j: null, allowed: true, length: steps.at(-1).length});
  const column = (name, of) => sliceColumn(name, all.map((line) => of(line) ?? null).map((value) => (Number.isNaN(value) ? null : value)));
  const columns = [column("key", ({j}) => j), column("token", ({j}) => (j === null ? more : sliceTokens(page, [j])[0])),
    column("dot product", ({dot}) => dot), column("score", ({score}) => score),
    ...(lines[0].apart ? [column("without positions (Derived)", ({plain}) => plain), column("i - j", ({apart}) => apart)] : []),
    column("mask", ({allowed}) => (allowed ? "allowed" : "not allowed")), column("exp(s - max)", ({exp}) => exp),
    {...column("weight", ({weight}) => weight), share: true}, column("|v|", ({valueNorm}) => valueNorm),
    column("contribution", ({contribution}) => contribution), column("running sum", ({allowed, length}) => (allowed ? length : null))];
  const tried = whatIf ? `What if: ${what}; these are not the model's numbers.` : "";
  return {
    name: whatIf ? "lookup-what-if" : "lookup", title: `${i} ${token}: how its row came about`, scale: null, columns,
    under: tried || `layer ${layer}, head ${head}`, facts: {layer, head, row: i, ...(tried && {tried})}, empty: "not allowed, or no such number",
    words: [`weight = exp(score - L); contribution = weight x |v W_O|; running sum: the length of the sum of weight x v down to here, ` +
      `which at the end differs from the kernel's output by at most ${shownNumber(difference)}. ` + (rest.barred ? `${rest.barred} keys more: not allowed.` : "")],
    draw: () => sliceTable(columns),
  };
}

/** The positions side by side: what came next, what was expected, and each layer's lens reading. edited: locked.js. */
export function predictionSlice(page, {places, at, strips}, {rows, lens, bits}, edited) {
  const known = ({truth}, value) => (truth === null ? null : value), read = places.map((i) => rows[i]);
  const column = (name, of) => sliceColumn(name, read.map(of)), bars = [...strips, ...edited.strips];
  const columns = [sliceColumn("position", places), sliceColumn("token", sliceTokens(page, places)), column("came next", ({truth}) => truth),
    column("probability", ({p}) => p), column("rank", (row) => known(row, row.rank)), column("ties", (row) => known(row, row.ties)),
    column("surprisal in bits", ({surprisal}) => surprisal), column("likeliest", ({top}) => top[0][0]), column("probability of likeliest", ({top}) => top[0][1]),
    ...edited.columns];
  if (page.facts.model) lens.forEach((layer, l) => {
    const reading = (name, of) => sliceColumn(`lens ${l}: ${name}`, places.map((i) => of(layer.get(i))));
    columns.push(reading("likeliest", ({top}) => top), reading("probability of likeliest", ({p}) => p), {...reading("probability of what came", ({truthP}) => truthP),
      share: true}, reading("rank of what came", ({truthP, rank}) => (truthP === null ? null : rank)));
  });
  return {
    name: "prediction", title: "What the model expected", under: `positions ${places.join(", ")}`, scale: null, columns, edits: edited.edits,
    facts: {positions: places.join(" ")}, empty: "nothing came next: the text ends here",
    words: ["A lens reading is the final norm and the output matrix, applied anew to the stream that enters a layer: one way to read it, not " +
      `what the layer thinks. ${edited.words ?? "All are numbers of the recorded run, without edits."}`],
    arrays: [["surprisal_of_every_position", [bits.length], bits], ...edited.arrays],
    draw: () => bars.reduce((body, [name, given]) => sliceBars(body, `Every position: ${name}`, {...given, at}), sliceTable(columns, true)),
  };
}

/** A picture's body with a strip of bars below it. */
function sliceBars({width, height, inside}, name, given) {
  const pen = svgPen(), wide = Math.max(width, 640), {low, per} = barsDrawn(pen, wide, 72, given, given.at);
  const words = `${name}, drawn from ${low} to ${given.limit}` + (per > 1 ? `; each bar is the largest of ${per}` : ""), top = height + 34;
  return {width: wide, height: top + 72, inside: inside + svgText(0, top - 8, words, 12, INKS.quiet) + svgTag("g", {transform: `translate(0 ${top})`}, pen.parts.join(""))};
}

/** The tokens' places, norms and kinds. said: how they came about, in sentences. */
export function spaceSlice(page, {title, found, layer, head, what, one, raw, said}, draw) {
  const {x, y, norms, odd, explained, overall} = found, every = norms.map((_, i) => i), numbers = {across: x, up: y, norm: norms};
  return {
    name: `space-${what}`, title, under: `${every.length} tokens along two directions (Derived)`, scale: null, draw,
    facts: {...(what === "stream" ? {stream: layer} : {layer, head}), basis: one ? "one for all layers" : "this layer's own",
      centred: raw ? "no" : "yes", explained, ...(one && {overall})}, empty: "there is no such number",
    words: [...said, "Odd: a norm beyond 5 robust deviations from the median."],
    columns: [sliceColumn("token number", every), sliceColumn("token", sliceTokens(page, every)), sliceColumn("kind", page.facts.tokens.kinds),
      ...Object.entries(numbers).map(([name, values]) => sliceColumn(name, Float64Array.from(values))),
      sliceColumn("odd", every.map((i) => Number(odd.includes(i))))],
    arrays: [["explained", [2], Float64Array.from(explained)]],
  };
}
