// View 2: one head's matrix by squares of 256 cells on a canvas: exactly how much any token looks at any other.

import {readTile} from "./ask.js";
import {cellColours, cellHatch, cellInk, cellPicture, cellRuler, cellScaleBar} from "./cells.js";
import {choiceOf, digits, formOf, noticeOf, plainButton, redrawing} from "./controls.js";
import {element, fill, themeColour, tokenName} from "./dom.js";
import {rowOf} from "./exact.js";
import {MATRIX_CLOSEST, matrixBound, matrixCell, matrixFrame} from "./frame.js";
import {lineTable, lineTotal, lineWeights} from "./rows.js";
import {matrixSlice} from "./slices.js";

const MATRIX_SIDE = 256; // cells on a tile's side
const MATRIX_KEPT = 64; // tiles
const MATRIX_ASKED = 12; // tiles at once
const MATRIX_NAMES = {weights: "weight", scores: "score", contributions: "contribution"};
const MATRIX_KEYS = "Arrow keys move the focused cell, with shift the view; + and - zoom; Enter looks up the row";

export function matrixView(place, page) {
  const {facts, state, facts: {n, m}} = page;
  const [tiles, pointers] = [new Map(), new Map()];
  let going = new AbortController(); // of this head: what is asked for one that flashed by is dropped, on both sides
  let now = {}; // site, layer, head, what
  let here = {}; // zoom, left, top, row, column: the address follows a moment later
  let f = null, sums = null, drag = null, hovered = null, spread = 0, turned = [0, 0], alive = true;
  let seen = "", drawnAs = "", sumsAs = "", focusAs = "", barAs = "", said = "", turn = 0, commit = 0, focusTimer = 0, asked = 0;

  const base = element("canvas", {class: "matrix-cells", tabindex: 0, role: "application", "aria-label": MATRIX_KEYS});
  const overlay = element("canvas", {class: "matrix-overlay", "aria-hidden": "true"});
  const stage = element("div", {class: "matrix-stage"}, base, overlay);
  const [status, focusStatus, bar, table] = [0, 0, 0, 0].map(() => element("div"));
  const [readout, words, strips, complaint] = ["readout", "line quiet small", "line quiet small", "line small"]
    .map((name) => element("p", {class: `matrix-${name}`}));
  const whats = Object.keys(MATRIX_NAMES).map((what) => [what, what, what === "contributions" && !facts.model]);
  const [whatLabel, whatSelect] = choiceOf("show", whats, (what) => state.set({what}));
  const goto = element("input", {class: "small matrix-goto", placeholder: "i,j", "aria-label": "row, column", "data-go": true});
  const named = (text, name, onclick) => plainButton(text, onclick, {"aria-label": name});
  fill(
    place, element("h2", {}, "Exactly how much does each token look at each other one?"),
    element("p", {class: "quiet"}, "A row is the token that looks, a column the token looked at. " +
      `Click a cell, drag to move. ${MATRIX_KEYS}.`),
    element("div", {class: "row"}, whatLabel, named("−", "zoom out", () => zoomBy(1)),
      named("+", "zoom in", () => zoomBy(-1)), named("all", "show all", () => move({zoom: undefined, left: 0, top: 0})),
      formOf(goto, "go", goTo)),
    complaint, words, stage, readout, strips, status, bar, focusStatus, element("div", {class: "scroll"}, table),
  );
  const {soon, stop} = redrawing(stage, draw);
  const headName = () => `${now.site}/${now.layer}/${now.head}`;
  const measure = () => { f = matrixFrame(facts, here, stage.clientWidth || 640); };
  const refuse = noticeOf(page, status, retry);
  const pointOf = (event) => [event.offsetX * f.ratio - f.left, event.offsetY * f.ratio - f.top];
  const lookUp = () => here.row >= 0 && state.set({...here, view: "lookup"});
  const apart = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]);

  function tile(z, y, x) {
    const path = `${page.key}/tile/${headName()}/${now.what}/${z}/${y}/${x}`;
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
    if (!alive || !sums) return;
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
    base.style.touchAction = f.across === f.columns && f.down === f.rows ? "pan-x pan-y" : "none";
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
    for (const [token, value] of isRow ? sums.rows : sums.received) {
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

  function tellAround(error) {
    const [{step}, name] = [f, MATRIX_NAMES[now.what]];
    const cells = step > 1 ? `the largest ${name} of ${step} x ${step}, masked ones left out` : `one ${name}`;
    const span = (first, count, size) => `${first * step} to ${Math.min(size, (first + count) * step) - 1} of ${size}`;
    fill(words, `Layer ${now.layer}, head ${now.head}. Each cell is ${cells}. Rows ${span(f.y, f.down, n)}, ` +
      `columns ${span(f.x, f.across, m)}.`);
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
      `${block(column, m)}: largest ${name} `, valueAt(level, row, column));
    // under the pointer only what is drawn: else its every move would ask for tiles of level 0
    fill(readout, level === 0 || !hovered ? pair() : null, level > 0 ? drawn() : null);
    if (!hovered && readout.querySelector(".number") && readout.textContent !== said) page.say((said = readout.textContent));
  }

  /** The focused row as a table, and the two sums; asked a moment after the focus rests. */
  function askFocus(again = false) {
    const {row, column} = here;
    const as = `${headName()} ${row} ${column}`;
    if (as === focusAs && !again) return;
    focusAs = as;
    const [mine, head] = [++turn, now];
    clearTimeout(focusTimer);
    focusTimer = setTimeout(async () => {
      try {
        const own = row >= 0 ? await lineWeights(page, head, "row", row) : null;
        const received = column >= 0 ? (await lineWeights(page, head, "column", column)).weights : null;
        if (alive && mine === turn) tellFocus(row, column, own, received);
      } catch (error) {
        if (alive && mine === turn) page.refuse(focusStatus, error, () => askFocus(true));
      }
    }, n > 1024 ? 300 : 80); // of a long text it is work: not for heads that flash by
  }

  function tellFocus(row, column, own, received) {
    for (const part of [focusStatus, table, strips]) fill(part);
    if (own) {
      const sum = lineTotal(own.weights);
      sums.rows.set(row, sum);
      strips.append(`Strip on the right: row ${row} sums to `, digits(sum), ". ");
      const columns = [{name: "weight", values: own.weights, adds: true}];
      const norms = own.vectors?.valueNorms;
      if (own.vectors) columns.push({name: "score", values: rowOf(own.vectors, row).scores});
      if (norms) columns.push({name: "contribution", values: own.weights.map((weight, j) => weight * norms[j])});
      fill(table, lineTable(facts, [`Row ${row} `, tokenName(facts, row), " looks at"], columns, row));
    }
    if (received) {
      const [sum, rows] = [lineTotal(received), received.filter((weight) => !Number.isNaN(weight)).length];
      sums.received.set(column, sum / rows);
      strips.append(`Strip below: column ${column} receives `, digits(sum), ", a mean of ", digits(sum / rows),
        ` over the ${rows} rows that may look at it `, element("span", {class: "derived"}, "Derived"));
    }
    soon();
  }

  /** At once here, in the address a moment later: moving is faster than browsers let addresses change. */
  function move(changes, at = "later") {
    here = {...here, ...changes};
    hovered = null;
    askFocus();
    const write = () => {
      commit = 0;
      state.set({...here}, {replace: at !== "now"});
    };
    clearTimeout(commit);
    commit = at === "now" ? write() : setTimeout(write, 150);
    measure();
    soon();
  }

  /** Focuses a cell and brings it into view. */
  function choose(row, column, at) {
    measure(); // it may be asked for before anything is drawn
    [row, column] = [matrixBound(row, n - 1), matrixBound(column, m - 1)];
    const near = (cell, first, count) => Math.min(cell, Math.max(first, cell - count + 1));
    const [x, y] = [near(Math.floor(column / f.step), f.x, f.across), near(Math.floor(row / f.step), f.y, f.down)];
    const moved = (x !== f.x || y !== f.y) && {left: x * f.step, top: y * f.step, zoom: f.zoom};
    move({row, column, ...moved}, at);
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

  function goTo(text) {
    const [i, j] = /^\d+\s*[,; ]\s*\d+$/.test(text) ? text.split(/[,; ]+/).map(Number) : [];
    const wrong = i < n && j < m ? "" : `Write a row from 0 to ${n - 1} and a column from 0 to ${m - 1}, such as 0,0.`;
    fill(complaint, wrong);
    if (wrong) return page.say(wrong);
    choose(i, j, "now");
    base.focus();
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !f) return;
    const none = here.row < 0 || here.column < 0; // then the first key shows where the focus is
    const [row, column] = [here.row < 0 ? f.y * f.step : here.row, here.column < 0 ? f.x * f.step : here.column];
    const arrow = (dx, dy) => {
      if (event.shiftKey) pan(f.x + dx * Math.ceil(f.across / 2), f.y + dy * Math.ceil(f.down / 2));
      else choose(row + (none ? 0 : dy * f.step), column + (none ? 0 : dx * f.step));
    };
    const turns = {
      ArrowUp: () => arrow(0, -1), ArrowDown: () => arrow(0, 1), ArrowLeft: () => arrow(-1, 0), ArrowRight: () => arrow(1, 0),
      PageUp: () => choose(row - f.down * f.step, column), PageDown: () => choose(row + f.down * f.step, column),
      Home: () => choose(row, 0), End: () => choose(row, m - 1), Enter: lookUp,
      "+": () => zoomBy(-1), "=": () => zoomBy(-1), "-": () => zoomBy(1),
    };
    if (!Object.hasOwn(turns, event.key)) return;
    turns[event.key]();
    event.preventDefault();
    event.stopPropagation();
  }

  /** The cell at the pointer; in a ruler only its row or its column. */
  function hit(event) {
    const [c, r] = pointOf(event).map((length) => Math.floor(length / f.cell));
    const inside = c < f.across && r < f.down;
    return {...(inside && r >= 0 && {row: (f.y + r) * f.step}), ...(inside && c >= 0 && {column: (f.x + c) * f.step})};
  }

  function down(event) {
    if (event.button !== 0 || !f) return;
    base.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, pointOf(event));
    drag = {from: pointOf(event), x: f.x, y: f.y, moved: pointers.size > 1};
    if (pointers.size === 2) spread = apart([...pointers.values()]);
  }

  function over(event) {
    if (!f) return;
    const point = pointOf(event);
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, point);
    const [a, b] = pointers.values();
    if (b) { // pinch
      const change = apart([a, b]) / spread;
      if (change > 0.67 && change < 1.5) return;
      spread = apart([a, b]);
      zoomBy(change > 1 ? -1 : 1, a.map((at, k) => (at + b[k]) / 2), f.fit);
    } else if (a && drag) {
      const [dx, dy] = point.map((at, k) => at - drag.from[k]);
      drag.moved ||= Math.hypot(dx, dy) > 4 * f.ratio;
      if (drag.moved) pan(drag.x - Math.round(dx / f.cell), drag.y - Math.round(dy / f.cell));
    } else if (event.pointerType !== "touch") {
      const at = event.type === "pointerleave" ? {} : hit(event);
      hovered = "row" in at && "column" in at ? at : null;
      tellCell();
    }
  }

  function up(event) {
    const single = pointers.delete(event.pointerId) && drag && !drag.moved && event.type === "pointerup";
    drag = null;
    if (!single) return;
    const at = hit(event);
    const [y, x] = [at.row, at.column].map((token) => Math.floor(token / f.step / MATRIX_SIDE));
    if (y >= 0 && x >= 0 && tile(f.level, y, x).error) retry();
    else if ("row" in at || "column" in at) move(at, "now");
  }

  function wheel(event) {
    if (!f) return;
    const room = [[f.x, f.columns - f.across], [f.y, f.rows - f.down]];
    const delta = [event.deltaX, event.deltaY].map((length) => length * (event.deltaMode === 1 ? 16 : 1));
    const can = delta.some((length, k) => (length < 0 ? room[k][0] > 0 : length > 0 && room[k][0] < room[k][1]));
    turned = can || event.ctrlKey ? turned.map((length, k) => length + delta[k]) : [0, 0];
    if (can || event.ctrlKey) event.preventDefault(); // else, at the edge, the page scrolls on
    const cells = turned.map((length) => Math.trunc((length * f.ratio) / f.cell));
    if (event.ctrlKey && Math.abs(turned[1]) < 40) return;
    if (event.ctrlKey) zoomBy(Math.sign(turned[1]), pointOf(event), f.fit);
    else pan(f.x + cells[0], f.y + cells[1]);
    turned = turned.map((length, k) => (event.ctrlKey ? 0 : length - (cells[k] * f.cell) / f.ratio));
  }

  const hear = {keydown: key, pointerdown: down, pointermove: over, pointerup: up, pointercancel: up, pointerleave: over};
  for (const [name, listener] of Object.entries({...hear, dblclick: lookUp})) base.addEventListener(name, listener);
  base.addEventListener("wheel", wheel, {passive: false});

  /** What is shown: the cells in view, from their tiles. */
  function slice() {
    measure();
    return matrixSlice(page, {...now, ...f, name: MATRIX_NAMES[now.what], side: MATRIX_SIDE, parts: parts()});
  }

  return {
    slice,
    update({site, layer, head, what, zoom, left, top, row, column}) {
      if (!commit) here = {zoom, left, top, row: row < n ? row : -1, column: column < m ? column : -1};
      now = {site, layer, head, what: Object.hasOwn(MATRIX_NAMES, what) ? what : "weights"};
      const sight = JSON.stringify([now, here, page.scale()]);
      if (sight === seen) return;
      seen = sight;
      whatSelect.value = now.what;
      if (sumsAs !== headName()) {
        sums = {rows: new Map(), received: new Map()};
        going.abort();
        going = new AbortController();
      }
      sumsAs = headName();
      askFocus();
      soon();
    },
    destroy() {
      alive = false;
      going.abort();
      stop();
      [commit, focusTimer].forEach((timer) => clearTimeout(timer));
    },
  };
}
