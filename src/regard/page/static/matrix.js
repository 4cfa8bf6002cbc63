// View 2: one head's matrix by squares of 256 cells on a canvas: exactly how much any token looks at any other.

import {readTile} from "./ask.js";
import {blockBetween, blockOf, blockPanel} from "./blocks.js";
import {cellColours, cellHatch, cellInk, cellPicture, cellRuler, cellScaleBar} from "./cells.js";
import {choiceOf, derivedBadge, digits, formOf, noticeOf, plainButton, redrawing} from "./controls.js";
import {element, fill, themeColour, tokenName} from "./dom.js";
import {matrixFocus} from "./focus.js";
import {MATRIX_CLOSEST, matrixBound, matrixCell, matrixFrame} from "./frame.js";
import {matrixGestures} from "./gestures.js";
import {matrixSlice} from "./slices.js";

const MATRIX_SIDE = 256; // cells on a tile's side
const MATRIX_KEPT = 64; // tiles
const MATRIX_ASKED = 12; // tiles at once
const MATRIX_NAMES = {weights: "weight", mean: "weight", scores: "score", contributions: "contribution"};
const MATRIX_KEYS = "Arrow keys move the focused cell, with shift they mark a block, Escape clears it; + and - zoom; " +
  "Enter looks up the row";

export function matrixView(place, page) {
  const {facts, state, facts: {n, m}} = page;
  const tiles = new Map();
  let going = new AbortController(); // of this head: what is asked for one that flashed by is dropped, on both sides
  let now = {}; // site, layer, head, what
  let here = {}; // zoom, left, top, row, column, block: the address follows a moment later
  let f = matrixFrame(facts, here, 640), hovered = null, anchor = null, marking = false, alive = true;
  let seen = "", drawnAs = "", headAs = "", barAs = "", said = "", commit = 0, asked = 0;

  const base = element("canvas", {class: "matrix-cells", tabindex: 0, role: "application", "aria-label": MATRIX_KEYS});
  const overlay = element("canvas", {class: "matrix-overlay", "aria-hidden": "true"});
  const stage = element("div", {class: "matrix-stage"}, base, overlay);
  const [status, bar] = [0, 0].map(() => element("div"));
  const [readout, words, complaint] = ["readout", "line quiet small", "line small"]
    .map((name) => element("p", {class: `matrix-${name}`}));
  const focus = matrixFocus(page, () => soon()), sums = blockPanel(page, () => move({block: ""}, "now"));
  const whats = [["weights", "weights, largest"], ["mean", "weights, mean"], ["scores", "scores"],
    ["contributions", "contributions", !facts.model]];
  const [whatLabel, whatSelect] = choiceOf("show", whats, (what) => state.set({what}));
  const more = {"aria-label": "row, column, or a block", "data-go": true};
  const goto = element("input", {class: "small matrix-goto", placeholder: "i,j or 2-5,0-3", ...more});
  const named = (text, name, onclick) => plainButton(text, onclick, {"aria-label": name});
  const marker = plainButton("mark a block", () => {
    marking = !marking;
    marker.setAttribute("aria-pressed", marking);
    soon();
  }, {"aria-pressed": "false"});
  fill(
    place, element("h2", {}, "Exactly how much does each token look at each other one?"),
    element("p", {class: "quiet matrix-line"}, "A row is the token that looks, a column the token looked at. " +
      "Click a cell, drag to move; drag with shift, or after \"mark a block\", for a block's sums."),
    element("div", {class: "row"}, whatLabel, named("−", "zoom out", () => zoomBy(1)),
      named("+", "zoom in", () => zoomBy(-1)), named("all", "show all", () => move({zoom: undefined, left: 0, top: 0})),
      formOf(goto, "go", goTo), marker),
    complaint, words,
    element("div", {class: "matrix-both"}, readout,
      element("div", {class: "matrix-picture"}, stage,
        element("p", {class: "matrix-line quiet small"}, `${MATRIX_KEYS}.`)),
      element("div", {class: "matrix-beside"}, focus.strips, status, sums.node, bar)),
    focus.status, focus.table,
  );
  const {soon, stop} = redrawing(stage, draw);
  const headName = () => `${now.site}/${now.layer}/${now.head}`;
  const measure = () => { f = matrixFrame(facts, here, stage.clientWidth || 640); };
  const refuse = noticeOf(page, status, retry);
  const kindAt = (level) => (now.what === "mean" && level === 0 ? "weights" : now.what); // the mean of one is itself
  const lookUp = () => here.row >= 0 && state.set({...here, view: "lookup"});

  function tile(z, y, x) {
    const path = `${page.key}/tile/${headName()}/${kindAt(z)}/${z}/${y}/${x}`;
    const found = tiles.get(path) ?? {cells: null, error: null, image: null, paintedAs: ""};
    if (asked >= MATRIX_ASKED && !tiles.has(path)) return found; // drawn anew when one of those has come
    const known = tiles.delete(path);
    tiles.set(path, found); // the last used stand last
    if (known) return found;
    if (tiles.size > MATRIX_KEPT) tiles.delete(tiles.keys().next().value);
    asked++;
    const {signal} = going;
    page.ask.bytes(path, signal).then((buffer) => { found.cells = readTile(buffer); }).catch((error) => {
      if (signal.aborted) tiles.delete(path);
      else found.error = error;
    }).then(() => { asked--; soon(); });
    return found;
  }

  function retry() {
    for (const [path, {error}] of tiles) if (error) tiles.delete(path);
    soon();
  }

  /** The parts of tiles in view: where from, in the tile's cells, and where to, in pixels. */
  function parts() {
    const found = [];
    for (let oy = f.y - (f.y % MATRIX_SIDE); oy < f.y + f.down; oy += MATRIX_SIDE)
      for (let ox = f.x - (f.x % MATRIX_SIDE); ox < f.x + f.across; ox += MATRIX_SIDE) {
        const [x, y] = [Math.max(f.x, ox), Math.max(f.y, oy)];
        const size = [Math.min(f.x + f.across, ox + MATRIX_SIDE) - x, Math.min(f.y + f.down, oy + MATRIX_SIDE) - y];
        const to = [f.left + (x - f.x) * f.cell, f.top + (y - f.y) * f.cell, size[0] * f.cell, size[1] * f.cell];
        found.push({at: [oy / MATRIX_SIDE, ox / MATRIX_SIDE], tile: tile(f.level, oy / MATRIX_SIDE, ox / MATRIX_SIDE), from: [x - ox, y - oy, ...size], to});
      }
    return found;
  }

  function draw() {
    if (!alive || !headAs) return;
    measure();
    const found = parts(), as = `${headName()}/${now.what}`;
    const waits = found.some(({tile: {cells, error}}) => !cells && !error);
    base.setAttribute("aria-busy", String(waits));
    // the last good picture stays until the new one is there
    if (place.classList.toggle("stale", drawnAs !== "" && drawnAs !== as && waits)) return;
    drawnAs = as;
    base.dataset.shows = `${as} zoom ${f.zoom} from ${f.x * f.step},${f.y * f.step}`;
    for (const canvas of [base, overlay]) {
      [canvas.width, canvas.height] = f.size;
      [canvas.style.width, canvas.style.height] = f.size.map((length) => `${length / f.ratio}px`);
    }
    base.dataset.grid = `${f.left} ${f.top} ${f.cell}`; // where the first cell is, and how wide, in the canvas's own pixels
    base.style.touchAction = f.across === f.columns && f.down === f.rows && !marking ? "pan-x pan-y" : "none";
    const pen = base.getContext("2d");
    pen.font = `${11 * f.ratio}px ${themeColour("--mono")}`;
    for (const part of found) drawPart(pen, part, cellHatch(pen));
    for (const isRow of [true, false]) {
      cellRuler(pen, f, facts.tokens.labels, isRow);
      drawStrip(pen, isRow);
    }
    drawFocus();
    tellAround(found.find((part) => part.tile.error)?.tile.error ?? null);
  }

  function drawPart(pen, {tile: part, from, to}, hatch) {
    const paintedAs = `${now.what} ${page.scale()}`;
    if (part.cells && part.paintedAs !== paintedAs)
      Object.assign(part, {image: cellPicture(part.cells, cellColours(page, now.what)), paintedAs});
    pen.imageSmoothingEnabled = false;
    pen.fillStyle = part.cells ? hatch : themeColour("--pale");
    pen.fillRect(...to);
    if (part.cells) return pen.drawImage(part.image, ...from, ...to);
    Object.assign(pen, {fillStyle: themeColour(part.error ? "--wrong" : "--quiet"), textAlign: "center"});
    pen.fillText(part.error ? "× try again" : "…", to[0] + to[2] / 2, to[1] + to[3] / 2);
  }

  /** Right: rows' sums; below: weight received, by row that may look. Of the tokens that have been in focus. */
  function drawStrip(pen, isRow) {
    const {rgb, at} = cellColours(page, "weights");
    for (const [token, value] of isRow ? focus.sums.rows : focus.sums.received) {
      const k = Math.floor(token / f.step) - (isRow ? f.y : f.x);
      if (k < 0 || k >= (isRow ? f.down : f.across)) continue;
      const place = k * f.cell;
      pen.fillStyle = cellInk(rgb, at(Math.min(1, value)));
      if (isRow) pen.fillRect(f.size[0] - f.strip, f.top + place, f.strip, f.cell);
      else pen.fillRect(f.left + place, f.size[1] - f.strip, f.cell, f.strip);
    }
  }

  /** The focused cell in cells of the view, and what of it is seen. */
  function focusPlace() {
    const [r, c] = [Math.floor(here.row / f.step) - f.y, Math.floor(here.column / f.step) - f.x];
    return {r, c, rowSeen: here.row >= 0 && r >= 0 && r < f.down, columnSeen: here.column >= 0 && c >= 0 && c < f.across};
  }

  /** On a canvas of its own: the pixels of the matrix stay those of its numbers. */
  function drawFocus() {
    const pen = overlay.getContext("2d");
    drawBlock(pen);
    const {r, c, rowSeen, columnSeen} = focusPlace();
    const [x, y] = [f.left + c * f.cell, f.top + r * f.cell];
    pen.fillStyle = themeColour("--accent");
    if (rowSeen) pen.fillRect(f.left - 5 * f.ratio, y, 4 * f.ratio, f.cell);
    if (columnSeen) pen.fillRect(x, f.top - 5 * f.ratio, f.cell, 4 * f.ratio);
    pen.lineWidth = 1.5 * f.ratio;
    for (const [name, far] of rowSeen && columnSeen ? [["--paper", 3], ["--accent", 1.5]] : []) {
      pen.strokeStyle = themeColour(name);
      pen.strokeRect(x - far * f.ratio, y - far * f.ratio, f.cell + 2 * far * f.ratio, f.cell + 2 * far * f.ratio);
    }
    tellCell();
  }

  /** A dashed line around the block; where it goes on beyond what is seen, it is open. */
  function drawBlock(pen) {
    const block = blockOf(here.block, facts), edge = 3 * f.ratio;
    if (!block) return;
    const cellOf = (token) => Math.floor(token / f.step);
    const side = ([first, last], from) => [cellOf(first) - from, cellOf(last) + 1 - from].map((at) => at * f.cell);
    const [[top, bottom], [left, right]] = [side(block.rows, f.y), side(block.columns, f.x)];
    pen.save();
    pen.beginPath();
    pen.rect(f.left - edge, f.top - edge, f.across * f.cell + 2 * edge, f.down * f.cell + 2 * edge);
    pen.clip();
    for (const [name, wide, dash] of [["--paper", 4, []], ["--accent", 2, [6 * f.ratio, 3 * f.ratio]]]) {
      Object.assign(pen, {strokeStyle: themeColour(name), lineWidth: wide * f.ratio});
      pen.setLineDash(dash);
      pen.strokeRect(f.left + left, f.top + top, right - left, bottom - top);
    }
    pen.restore();
  }

  /** What a drawn cell is of so many weights, scores or contributions. */
  const ofCell = () => (now.what === "mean" ? "mean" : "largest");
  const isMean = () => now.what === "mean" && f.level > 0;
  const derived = () => (isMean() ? [" ", derivedBadge()] : []);

  function tellAround(error) {
    const [{step}, name] = [f, MATRIX_NAMES[now.what]];
    const cells = step > 1 ? `the ${ofCell()} of ${step} x ${step} ${name}s, masked ones left out` : `one ${name}`;
    const span = (first, count, size) => `${first * step} to ${Math.min(size, (first + count) * step) - 1} of ${size}`;
    fill(words, `Layer ${now.layer}, head ${now.head}. Each cell is ${cells}. Rows ${span(f.y, f.down, n)}, ` +
      `columns ${span(f.x, f.across, m)}.`, ...derived());
    const as = `${now.what} ${page.scale()} ${themeColour("--paper")}`;
    if (as !== barAs) fill(bar, cellScaleBar(page, (barAs = as) && now.what));
    refuse(error);
  }

  function valueAt(level, i, j) {
    const [r, c] = [i >> level, j >> level];
    const {cells, error} = tile(level, Math.floor(r / MATRIX_SIDE), Math.floor(c / MATRIX_SIDE));
    if (cells) return digits(cells.values[(r % MATRIX_SIDE) * cells.columns + (c % MATRIX_SIDE)]);
    return error ? "(could not be read)" : "…";
  }

  /** The cell under the pointer, else the focused one: the same text for both. */
  function tellCell() {
    const {row, column} = hovered ?? here;
    if (!(row >= 0 && column >= 0)) return fill(readout, "No cell is chosen: click one, use an arrow key, or go to i,j.");
    const [{level, step}, name] = [f, MATRIX_NAMES[now.what]];
    const block = (at, size) => `${at - (at % step)} to ${Math.min(size, at - (at % step) + step) - 1}`;
    const pair = () => element("span", {class: "matrix-pair"}, `row ${row} `, tokenName(facts, row),
      ` looks at column ${column} `, tokenName(facts, column), `: ${name} `, valueAt(0, row, column));
    const drawn = () => element("span", {class: "matrix-block quiet"}, `the drawn cell, rows ${block(row, n)} and columns ` +
      `${block(column, m)}: ${ofCell()} ${name} `, valueAt(level, row, column), ...derived());
    // under the pointer only what is drawn: else its every move would ask for tiles of level 0
    fill(readout, level === 0 || !hovered ? pair() : null, level > 0 ? drawn() : null);
    if (!hovered && readout.querySelector(".number") && readout.textContent !== said) page.say((said = readout.textContent));
  }

  function tellChosen() {
    focus.show(now, here.row, here.column);
    sums.show(now, here.block);
  }

  /** At once here, in the address a moment later: moving is faster than browsers let addresses change. */
  function move(changes, at = "later") {
    here = {...here, ...changes};
    hovered = null;
    if ("row" in changes) anchor = null;
    tellChosen();
    const write = () => {
      commit = 0;
      state.set({...here}, {replace: at !== "now"});
    };
    clearTimeout(commit);
    commit = at === "now" ? write() : setTimeout(write, 150);
    measure();
    soon();
  }

  /** Focuses a cell and brings it into view; more: what else changes. */
  function choose(row, column, at, more = {}) {
    measure(); // it may be asked for before anything is drawn
    [row, column] = [matrixBound(row, n - 1), matrixBound(column, m - 1)];
    const near = (cell, first, count) => Math.min(cell, Math.max(first, cell - count + 1));
    const [x, y] = [near(Math.floor(column / f.step), f.x, f.across), near(Math.floor(row / f.step), f.y, f.down)];
    const moved = (x !== f.x || y !== f.y) && {left: x * f.step, top: y * f.step, zoom: f.zoom};
    move({row, column, ...moved, ...more}, at);
  }

  /** Nearer or farther; the token under the point, else the focused cell or the middle, stays where it is. */
  function zoomBy(by, point = null, limit = f.last) {
    const zoom = Math.max(MATRIX_CLOSEST, Math.min(f.zoom + by, Math.max(limit, f.zoom)));
    const {r, c, rowSeen, columnSeen} = focusPlace();
    const stay = point ?? (rowSeen && columnSeen ? [c, r] : [f.across / 2, f.down / 2]).map((at) => at * f.cell);
    const [left, top] = [f.x, f.y].map((first, k) => Math.max(0, Math.round((first + stay[k] / f.cell) * f.step -
      (stay[k] / matrixCell(zoom, f.ratio)) * 2 ** Math.max(0, zoom))));
    if (zoom !== f.zoom) move({zoom, left, top});
  }

  function pan(x, y) {
    const [left, top] = [matrixBound(x, f.columns - f.across) * f.step, matrixBound(y, f.rows - f.down) * f.step];
    if (left !== f.x * f.step || top !== f.y * f.step) move({zoom: f.zoom, left, top});
  }

  /** Marks the block from one cell to another. */
  const mark = (from, to) => move({block: blockBetween(from, to, f.step, facts)});

  /** To a cell, i,j, or to a block, i-i,j-j. */
  function goTo(text) {
    const block = blockOf(text, facts);
    const wrong = block ? "" : `Write a row from 0 to ${n - 1} and a column from 0 to ${m - 1}, such as 0,0; or, for ` +
      "a block, the first and the last of each, such as 0-1,0-1.";
    fill(complaint, wrong);
    if (wrong) return page.say(wrong);
    choose(block.rows[0], block.columns[0], "now", text.includes("-") ? {block: text} : {});
    base.focus();
  }

  /** From the cell in focus to another one: all between is the block. */
  function extend(row, column) {
    const from = anchor ?? {row: here.row, column: here.column};
    choose(row, column);
    anchor = from;
    mark(from, here);
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const none = here.row < 0 || here.column < 0; // then the first key shows where the focus is
    const [row, column] = [here.row < 0 ? f.y * f.step : here.row, here.column < 0 ? f.x * f.step : here.column];
    const arrow = (dx, dy) => {
      const to = [row + (none ? 0 : dy * f.step), column + (none ? 0 : dx * f.step)];
      if (event.shiftKey && !none) extend(...to);
      else choose(...to);
    };
    const turns = {
      ArrowUp: () => arrow(0, -1), ArrowDown: () => arrow(0, 1), ArrowLeft: () => arrow(-1, 0), ArrowRight: () => arrow(1, 0),
      PageUp: () => choose(row - f.down * f.step, column), PageDown: () => choose(row + f.down * f.step, column),
      Home: () => choose(row, 0), End: () => choose(row, m - 1), Enter: lookUp,
      ...(here.block && {Escape: () => move({block: ""}, "now")}),
      "+": () => zoomBy(-1), "=": () => zoomBy(-1), "-": () => zoomBy(1),
    };
    if (!Object.hasOwn(turns, event.key)) return;
    turns[event.key]();
    event.preventDefault();
    event.stopPropagation();
  }

  function hover(at) {
    hovered = at;
    tellCell();
  }

  /** A click; meant: a block, from the focused cell to this one. */
  function tap(at, meant) {
    const [y, x] = [at.row, at.column].map((token) => Math.floor(token / f.step / MATRIX_SIDE));
    if (y >= 0 && x >= 0 && tile(f.level, y, x).error) return retry();
    if (meant && here.row >= 0 && here.column >= 0) mark(here, at);
    else if ("row" in at || "column" in at) move(at, "now");
  }

  matrixGestures(base, {frame: () => f, pan, zoomBy: (by, point) => zoomBy(by, point, f.fit), hover, tap, mark,
    marks: (event) => event.shiftKey || marking});
  base.addEventListener("keydown", key);
  base.addEventListener("dblclick", lookUp);

  /** What is shown: the cells in view, from their tiles. */
  function slice() {
    measure();
    const {[now.what]: name} = MATRIX_NAMES, made = isMean() ? " (Derived)" : "";
    const cell = f.step === 1 ? `one ${name}` : `the ${ofCell()} of ${f.step} x ${f.step} ${name}s${made}`;
    return matrixSlice(page, {...now, what: kindAt(f.level), ...f, cell, side: MATRIX_SIDE, parts: parts()});
  }

  return {
    slice,
    update({site, layer, head, what, zoom, left, top, row, column, block = ""}) {
      if (!commit) here = {zoom, left, top, row: row < n ? row : -1, column: column < m ? column : -1, block};
      now = {site, layer, head, what: Object.hasOwn(MATRIX_NAMES, what) ? what : "weights"};
      const sight = JSON.stringify([now, here, page.scale()]);
      if (sight === seen) return;
      seen = sight;
      whatSelect.value = now.what;
      if (headAs !== headName()) {
        going.abort();
        going = new AbortController();
      }
      headAs = headName();
      tellChosen();
      soon();
    },
    destroy() {
      alive = false;
      going.abort();
      stop();
      focus.forget();
      sums.forget();
      clearTimeout(commit);
    },
  };
}
