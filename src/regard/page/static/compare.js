// Two recordings cell by cell: the difference of a head's weights on a fixed signed scale, and where it is largest.

import {readTile} from "./ask.js";
import {cellColours, cellHatch, cellPicture, cellScaleBar} from "./cells.js";
import {asking, choiceOf, digits, keepFocus, numberCell, plainButton, redrawing} from "./controls.js";
import {element, fill, shortened, themeColour, tokenName} from "./dom.js";

const COMPARE_MOST = 1024; // tokens: 16 tiles of each
const COMPARE_SIDE = 256; // cells on a tile's side
const COMPARE_LISTED = 10;

/** The address's other=KEY is compared with the recording that is looked at, in the chosen head. */
export function comparePanel(page) {
  const {facts, state, facts: {n}} = page, notice = element("div"), table = element("div", {class: "scroll"});
  const readout = element("p", {}), summary = element("p", {}), bar = element("div");
  const canvas = element("canvas", {class: "compare-map", tabindex: 0, role: "img", "aria-label": "difference map"});
  const body = element("div", {class: "compare-body", hidden: true}, summary, element("div", {}, canvas), readout,
    table, bar);
  const others = compareOthers(page), options = [["", "no other recording"], ...others];
  const [label, select] = choiceOf("compare with", options, (other) => state.set({other}));
  const hint = page.ask.live ? `look at another ${page.kind} of as many tokens: the last eight recordings are kept` :
    "a saved page holds one recording";
  const node = element("div", {class: "compare"}, element("div", {class: "row small"}, label,
    others.length ? null : element("span", {class: "quiet"}, hint)), notice, body);
  let drawn = "", found = null, cell = 1, step = 1;
  const again = () => {
    drawn = "";
    update();
  };
  const asked = asking(page, body, notice, again);

  async function read({other, site, layer, head}) {
    const there = await page.ask.json(`${other}/facts`);
    const unlike = compareUnlike(facts, there, {other, layer, head});
    if (unlike) return {unlike};
    const [here, away] = await Promise.all([page.key, other].map((key) =>
      compareWeights(page, `${key}/tile/${site}/${layer}/${head}`, n)));
    return {there, other, layer, head, here, away, ...compareCells(here, away)};
  }

  function update() {
    const {other = "", site, layer, head, row, column} = state.get(), shown = other !== page.key && other;
    select.value = other;
    if (!shown) {
      asked.forget();
      [drawn, found, body.hidden] = ["", null, true];
      fill(notice, other ? "This is the recording that is looked at: choose another." : null);
      return;
    }
    const wanted = [other, site, layer, head].join(" ");
    if (wanted === drawn) return void (found && show(row, column));
    drawn = wanted;
    asked.ask(() => read({other, site, layer, head}), (answer) => {
      [found, body.hidden] = [answer.unlike ? null : answer, Boolean(answer.unlike)];
      if (answer.unlike) fill(notice, element("p", {class: "failed"}, answer.unlike));
      else show(state.get().row, state.get().column);
    }, "Reading the weights of both recordings …");
  }

  const at = () => {
    const {row, column} = state.get(), inside = row >= 0 && row < n && column >= 0 && column < n;
    return inside ? row * n + column : found.largest[0] ?? 0;
  };

  function show() {
    fill(summary, ...compareSummary(page, found, step));
    fill(readout, ...compareReadout(page, found, at()));
    keepFocus(table, () => fill(table, compareTable(page, found, (cell) => go(cell))));
    fill(bar, cellScaleBar(page, "differences"));
    paint();
  }

  function paint() {
    if (!found || body.hidden) return;
    const ratio = window.devicePixelRatio || 1, room = Math.min(512, canvas.parentNode.clientWidth || 320) * ratio;
    const before = step;
    step = Math.max(1, Math.ceil(n / room));
    if (step !== before) fill(summary, ...compareSummary(page, found, step));
    const side = Math.ceil(n / step);
    cell = Math.max(1, Math.floor(room / side));
    [canvas.width, canvas.height] = [side * cell, side * cell];
    [canvas.style.width, canvas.style.height] = [canvas.width, canvas.height].map((length) => `${length / ratio}px`);
    const pen = canvas.getContext("2d");
    Object.assign(pen, {imageSmoothingEnabled: false, fillStyle: cellHatch(pen)});
    pen.fillRect(0, 0, canvas.width, canvas.height);
    const picture = cellPicture(compareShrunk(found.difference, n, step), cellColours(page, "differences"));
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const [x, y] = [at() % n, Math.floor(at() / n)].map((one) => Math.floor(one / step) * cell);
    Object.assign(pen, {strokeStyle: themeColour("--ink"), lineWidth: 2 * ratio});
    pen.strokeRect(x - 1, y - 1, cell + 2, cell + 2);
  }

  function go(to) {
    state.set({row: Math.floor(to / n), column: to % n}, {replace: true});
    page.say(readout.textContent);
  }
  canvas.addEventListener("click", (event) => {
    if (!found) return;
    const box = canvas.getBoundingClientRect(), side = Math.ceil(n / step);
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
      .map((share) => Math.min(n - 1, Math.floor(share * side) * step));
    go(y * n + x);
  });
  canvas.addEventListener("keydown", (event) => {
    if (!found || event.ctrlKey || event.metaKey || event.altKey) return;
    const [i, j] = [Math.floor(at() / n), at() % n];
    const to = {ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1], ArrowUp: [i - 1, j], ArrowDown: [i + 1, j]}[event.key];
    if (!to && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    if (!to) state.set({row: i, column: j, view: "matrix"});
    else if (to.every((one) => one >= 0 && one < n)) go(to[0] * n + to[1]);
  });
  const {stop} = redrawing(canvas.parentNode, paint);
  return {node, update, destroy: () => {
    asked.forget();
    stop();
  }};
}

/** The recordings that this page has had, and that of the address: [key, what it is]. */
function compareOthers({had = new Map(), key, state}) {
  const found = [...had].map(([one, {tokens, n}]) =>
    [one, `recording ${one}: ${shortened(tokens.labels.join(""), 32)} (${n} tokens)`]);
  const {other} = state.get();
  if (other && !had.has(other)) found.push([other, `recording ${other}`]);
  return found.filter(([one]) => one !== key);
}

function compareUnlike(here, there, {other, layer, head}) {
  if (there.n !== here.n || there.m !== here.m)
    return `Recording ${other} has ${there.n} tokens and this one ${here.n}: look at a text with as many to compare.`;
  if (layer >= there.layers || head >= there.heads)
    return `Recording ${other} has no head ${head} in layer ${layer}: choose another.`;
  const words = `${here.n} tokens are too many to compare: look at texts of at most ${COMPARE_MOST}.`;
  return here.n > COMPARE_MOST ? words : "";
}

/** All n x n weights of a head, NaN where not allowed. */
async function compareWeights(page, path, n) {
  const tiles = Math.ceil(n / COMPARE_SIDE), weights = new Float32Array(n * n);
  const read = async (y, x) => {
    const {rows, columns, values} = readTile(await page.ask.bytes(`${path}/weights/0/${y}/${x}`));
    for (let row = 0; row < rows; row++) weights.set(values.subarray(row * columns, (row + 1) * columns),
      (y * COMPARE_SIDE + row) * n + x * COMPARE_SIDE);
  };
  await Promise.all(Array.from({length: tiles * tiles}, (_, k) => read(Math.floor(k / tiles), k % tiles)));
  return weights;
}

/** here minus away; largest: cells by the size of it; unlike: how many are allowed in one of them only. */
function compareCells(here, away) {
  const difference = here.map((weight, k) => weight - away[k]);
  const unlike = here.reduce((sum, weight, k) => sum + (Number.isNaN(weight) !== Number.isNaN(away[k])), 0);
  const allowed = [...difference.keys()].filter((k) => !Number.isNaN(difference[k]));
  allowed.sort((a, b) => Math.abs(difference[b]) - Math.abs(difference[a]) || a - b);
  return {difference, unlike, largest: allowed.slice(0, COMPARE_LISTED)};
}

/** Of each step x step cells that of the largest size. */
function compareShrunk(values, n, step) {
  if (step === 1) return {rows: n, columns: n, values};
  const side = Math.ceil(n / step), found = new Float32Array(side * side).fill(NaN);
  values.forEach((value, k) => {
    const to = Math.floor(Math.floor(k / n) / step) * side + Math.floor((k % n) / step);
    if (!Number.isNaN(value) && !(Math.abs(found[to]) >= Math.abs(value))) found[to] = value;
  });
  return {rows: side, columns: side, values: found};
}

function compareSummary(page, {other, layer, head, largest, difference, unlike}, step) {
  const [most] = largest, {n} = page.facts;
  return [`Layer ${layer}, head ${head}: weights of this recording minus those of recording ${other} `,
    element("span", {class: "derived"}, "Derived"), ". The largest difference is ",
    digits(most === undefined ? null : difference[most]),
    most === undefined ? "" : ` at row ${Math.floor(most / n)}, column ${most % n}`, ". ",
    step > 1 ? `Each pixel is the largest of ${step} x ${step} cells. ` : "Each square is one cell. ",
    unlike ? `${unlike} cells are allowed in one of them only, and hatched.` : ""];
}

function compareReadout(page, {there, here, away, difference}, at) {
  const {n} = page.facts, [i, j] = [Math.floor(at / n), at % n];
  const labels = [there, page.facts].map(({tokens}) => tokens.labels);
  const other = (k) => labels[0][k] === labels[1][k] ? [] : [" (there ", tokenName(there, k), ")"];
  const token = (k) => [`${k} `, tokenName(page.facts, k), ...other(k)];
  return ["Row ", ...token(i), " looks at column ", ...token(j), ": here ", digits(here[at]), ", there ",
    digits(away[at]), ", difference ", digits(difference[at]), "."];
}

function compareTable(page, {largest, here, away, difference}, go) {
  const {n} = page.facts, names = ["row, column", "here", "there", "difference"];
  const rows = largest.map((at) => element("tr", {}, element("td", {}, plainButton(`${Math.floor(at / n)}, ${at % n}`,
    () => go(at), {"data-key": at})), ...[here, away, difference].map((values) => numberCell(values[at]))));
  return element("table", {class: "numbers small"}, element("caption", {}, `The ${largest.length} largest differences`),
    element("thead", {}, element("tr", {}, ...names.map((name) => element("th", {scope: "col"}, name)))),
    element("tbody", {}, ...rows));
}
