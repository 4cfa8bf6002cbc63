// View 1, every head as a small picture with its numbers: which heads do something, and what kind of thing?

import {readTile} from "./ask.js";
import {headsBrush} from "./brush.js";
import {cellColours, cellHatch, cellPicture, cellScaleBar} from "./cells.js";
import {comparePanel} from "./compare.js";
import {choiceOf, noticeOf, plainButton, redrawing} from "./controls.js";
import {element, fill, focusedBeside, themeColour} from "./dom.js";
import {exactNumber, shortNumber, shownNumber} from "./numbers.js";
import {headsOf, linesHead} from "./series.js";
import {headsSlice} from "./slices.js";
import {surveyPanel} from "./survey.js";

const HEADS_SIDE = 64; // cells on a thumbnail's side, at most
const HEADS_NODES = 860; // elements for all heads: with many, fewer numbers stand under each
const HEADS_NAMED = 12; // picked heads that are named
const HEADS_KEPT = 600; // thumbnails, of all texts looked at
const HEADS_NUMBERS = [
  ["first", "first token", "weight on the first token; much of it often means that there was nothing to fetch"],
  ["itself", "itself", "weight on the token itself"],
  ["previous", "previous", "weight on the token just before"],
  ["induction", "induction", "weight on the token after the last earlier occurrence of the same token; * where fewer " +
    "than 20 rows have such an occurrence, too few to be trusted"],
  ["entropy", "entropy", "of a row's weights, by the log of how many keys it may look at: 0 is one key, 1 all alike"],
  ["distance", "distance", "mean distance looked at, in tokens"],
  ["share", "share", "length of what the head adds to the stream, by the sum over its layer's heads; needs the model"],
];
const headsKept = new WeakMap(); // of each page's answers, the cells of its thumbnails: coming back asks nothing anew

/** Every job once, so many at a time, as long as they are wanted. */
function headsLanes(jobs, lanes, wanted) {
  const queue = jobs.values();
  const lane = async () => {
    for (const job of queue) if (wanted()) await job();
  };
  for (let k = 0; k < lanes; k++) lane();
}

export function headsView(place, page) {
  const {facts, state} = page;
  const {n, m, layers, heads} = facts;
  const zoom = Math.max(0, Math.ceil(Math.log2(Math.max(n, m) / HEADS_SIDE)));
  const step = 2 ** zoom;
  const numbersUnder = Math.max(0, Math.min(HEADS_NUMBERS.length, Math.floor(HEADS_NODES / (layers * heads)) - 3));
  const entered = headsKept.has(page.ask);
  if (!entered) headsKept.set(page.ask, new Map());
  const kept = headsKept.get(page.ask);
  let cells = [], now = null, errors = [], pixel = 1, going = new AbortController(), arrangedAs = "", paintedAs = "";

  const sorts = [["", "layer and head"], ...HEADS_NUMBERS.map(([name, words]) => [name, words])];
  const [sortLabel, sortSelect] = choiceOf("sort by", sorts, (measure) => state.set({measure}));
  const [orderLabel, orderSelect] = choiceOf("from the", [["", "largest"], ["up", "smallest"]], (order) => state.set({order}));
  const [progress, chosenLine, status, bar] = ["p", "p", "div", "div"].map((name) => element(name));
  progress.className = "heads-line quiet small";
  chosenLine.className = "heads-chosen";
  const listeners = {onkeydown: key, onclick: click, ondblclick: open};
  const grid = element("div", {class: "heads-grid", role: "listbox", "aria-label": "heads", ...listeners});
  const scroll = element("div", {class: "scroll"}, grid), pickedLine = element("div", {class: "row small"});
  const compared = comparePanel(page);
  const openHead = ({layer, head}) => state.set({layer, head, view: "matrix"});
  const held = surveyPanel(page, {place, numbers: HEADS_NUMBERS, changed: () => now && arrange(false)});
  const source = element("span", {class: "quiet"});
  const brush = headsBrush(page, {numbers: HEADS_NUMBERS, toggle, pick, open: openHead,
    choose: ({layer, head}) => state.set({layer, head}, {replace: true})});
  const some = `${numbersUnder} of ${HEADS_NUMBERS.length} stand under each head, the sorted one first; the chosen head's all:`;
  fill(
    place, element("h2", {}, "Which heads do something, and what kind of thing?"),
    element("p", {class: "quiet"}, "Each picture is one head's whole matrix: rows look, columns are looked at; " +
      (step === 1 ? "each cell is one weight. " : `each cell is the largest of ${step} x ${step} weights. `) +
      "Choose a head with a click or the arrow keys; Enter or a double click opens its matrix; " +
      "space, or ctrl and a click, picks several. " + `One ${page.kind} is one example.`),
    element("div", {class: "row small"}, facts.picture ? null : held.choice, sortLabel, orderLabel, source,
      numbersUnder < HEADS_NUMBERS.length ? element("span", {class: "quiet"}, some) : null),
    held.told, chosenLine, pickedLine, progress, status, scroll, bar, held.windows, compared.node, brush.node,
    element("details", {class: "small"}, element("summary", {}, "What the numbers mean"),
      element("p", {}, "Means over those rows of this one " + page.kind + " that may look at more than one key (for induction: those " +
        "of them with an earlier occurrence), for one head of one layer. Of held-out text: the mean of such means, each " +
        "window once; ± is a sample's standard deviation."),
      element("dl", {class: "heads-terms"}, ...HEADS_NUMBERS.flatMap(([, words, meaning]) =>
        [element("dt", {}, words), element("dd", {}, meaning)]))),
  );
  const {stop} = redrawing(scroll, draw);
  const refuse = noticeOf(page, status, ask);

  /** A measure as text under a picture, or with all its digits; null is a number that there is none of. */
  function figure(measures, [name], show) {
    const value = measures[name] ?? NaN;
    const few = name === "induction" && measures.few ? "*" : "";
    const [exact, shown] = Number.isNaN(value) ? ["none", "-"] : [exactNumber(value), show(value)];
    const attributes = {class: "heads-number number", "data-measure": name, "data-label": name, "data-value": exact};
    return element("span", attributes, `${shown}${few}`);
  }

  function build() {
    cells = Array.from({length: layers * heads}, (_, k) => {
      const [layer, head] = [Math.floor(k / heads), k % heads];
      const canvas = element("canvas", {class: "heads-thumb", "aria-hidden": "true"});
      const name = element("span", {class: "heads-name small"}, `layer ${layer}, head ${head}`);
      const node = element("div", {class: "heads-cell heads-waiting", role: "option", tabindex: -1}, name, canvas);
      return {layer, head, node, canvas, tile: null, own: null, measures: null};
    });
  }

  /** Asks for what is missing: numbers in one lane, pictures in three. What was asked before is dropped, on both sides. */
  function ask() {
    going.abort();
    const {signal} = (going = new AbortController());
    const wanted = () => !signal.aborted;
    errors = [];
    const asking = async (question, use) => {
      try {
        const answer = await question();
        if (wanted()) use(answer);
      } catch (error) {
        if (wanted()) errors.push(error);
      }
      if (wanted()) tellProgress();
    };
    const {site} = now;
    const numbers = [...new Set(cells.map(({layer}) => layer))].map((layer) => () =>
      asking(() => page.ask.json(`${page.key}/measures/${site}/${layer}`, signal), (found) => {
        for (const cell of cells)
          if (cell.layer === layer) cell.own = found.find(({head}) => head === cell.head) ?? null;
        arrange(true);
      }));
    const pictures = cells.filter(({tile}) => !tile).map((cell) => () => {
      const path = `${page.key}/tile/${site}/${cell.layer}/${cell.head}/weights/${zoom}/0/0`;
      return asking(async () => kept.get(path) ?? readTile(await page.ask.bytes(path, signal)), (tile) => {
        kept.set(path, tile);
        if (kept.size > HEADS_KEPT) kept.delete(kept.keys().next().value);
        cell.tile = tile;
        paint(cell);
      });
    });
    headsLanes(pictures, 3, wanted); // first, as numbers of a long text take a while
    headsLanes(numbers, 1, wanted);
    tellProgress();
  }

  function tellProgress() {
    const [drawn, measured] = ["tile", "own"].map((part) => cells.filter((cell) => cell[part]).length);
    const done = drawn === cells.length && measured === cells.length;
    fill(progress, done ? null : `${drawn} of ${cells.length} pictures and the numbers of ${measured} heads are there` +
      (errors.length ? "." : "; grey pictures are still being computed."));
    refuse(errors[0] ?? null);
  }

  function paint({canvas, tile, node}) {
    const size = [m, n].map((tokens) => Math.ceil(tokens / step) * pixel);
    [canvas.width, canvas.height] = size;
    [canvas.style.width, canvas.style.height] = size.map((length) => `${length / (window.devicePixelRatio || 1)}px`);
    node.classList.toggle("heads-waiting", !tile);
    if (!tile) return;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.fillStyle = cellHatch(pen);
    pen.fillRect(0, 0, ...size);
    pen.drawImage(cellPicture(tile, cellColours(page, "weights")), 0, 0, ...size);
  }

  /** All pictures, in whole device pixels a cell, and the scale; nothing where nothing changed. */
  function draw() {
    if (going.signal.aborted || !now) return;
    const ratio = window.devicePixelRatio || 1;
    const target = Math.min(128, Math.max(80, (scroll.clientWidth || 640) / Math.min(heads, 12) - 28)) * ratio;
    pixel = Math.max(1, Math.floor(target / Math.ceil(Math.max(n, m) / step)));
    const as = [now.site, pixel, ratio, page.scale(), themeColour("--paper")].join(" ");
    if (as === paintedAs) return;
    paintedAs = as;
    cells.forEach(paint);
    fill(bar, cellScaleBar(page, "weights"));
  }

  /** Puts the heads into their order, and under each its numbers. */
  function arrange(anew) {
    const {sort, order} = now;
    const as = [sort, order, Boolean(held.shown())].join(" ");
    if (!anew && arrangedAs === as) return;
    arrangedAs = as;
    for (const cell of cells) cell.measures = held.means(cell) ?? cell.own;
    fill(source, ...held.source());
    const numbers = [...HEADS_NUMBERS].sort(([a], [b]) => (b === sort) - (a === sort)).slice(0, numbersUnder);
    const before = (a, b) => { // heads without the number stand last
      const [x, y] = [a, b].map((cell) => cell.measures?.[sort] ?? NaN);
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return order === "up" ? x - y : y - x;
    };
    const active = focusedBeside(grid), focused = grid.contains(active) ? active : null;
    for (const {node, canvas, measures} of cells) {
      while (node.lastChild !== canvas) node.lastChild.remove();
      if (measures) node.append(...numbers.map((number) => figure(measures, number, shortNumber)));
    }
    fill(grid, ...(sort ? [...cells].sort(before) : cells).map(({node}) => node));
    const wide = Math.max(92, 14 + parseFloat(cells[0].canvas.style.width)); // the picture fits
    grid.style.gridTemplateColumns = `repeat(${sort ? "auto-fill" : heads}, minmax(${wide}px, 1fr))`;
    focused?.focus({preventScroll: true});
    choose();
  }

  function choose() {
    const found = cells.find(({layer, head}) => layer === now.layer && head === now.head);
    for (const cell of cells) {
      cell.node.setAttribute("aria-selected", cell === found);
      cell.node.tabIndex = cell === (found ?? cells[0]) ? 0 : -1;
    }
    const numbers = (found?.measures ? HEADS_NUMBERS : []).map((number) => {
      const shown = figure(found.measures, number, shownNumber);
      shown.append(...held.beside(found, number[0]));
      return shown;
    });
    fill(chosenLine, `Layer ${now.layer}, head ${now.head}`, ...numbers);
    const picked = pickedCells(), more = picked.length - HEADS_NAMED;
    for (const cell of cells) cell.node.setAttribute("aria-checked", picked.includes(cell));
    fill(pickedLine, ...(picked.length ? [`${picked.length} picked:`,
      ...picked.slice(0, HEADS_NAMED).map(({layer, head}) => element("span", {}, linesHead([layer, head]))),
      more > 0 ? `and ${more} more` : "",
      plainButton("see their lines", () => state.set({view: "lines", from: undefined})),
      plainButton("pick none", () => pick([]))] : []));
    brush.draw({cells, chosen: found, picked: new Set(picked), tokens: held.shown()?.size ?? m});
  }

  const pickedCells = () => headsOf(now.picked, facts).map(([layer, head]) => cells[layer * heads + head]);

  function pick(some) {
    state.set({heads: some.map(({layer, head}) => `${layer}.${head}`).join(",")});
    page.say(`${some.length} heads are picked`);
  }

  function toggle(cell) {
    const picked = pickedCells();
    pick(picked.includes(cell) ? picked.filter((one) => one !== cell) : [...picked, cell]);
  }

  const cellOf = (event) => cells.find(({node}) => node.contains(event.target));

  function click(event) {
    const found = cellOf(event);
    if (found) event.ctrlKey || event.metaKey ? toggle(found) : go(found, {});
  }

  function go({layer, head, node}, options) {
    state.set({layer, head}, options);
    node.focus();
    page.say([...chosenLine.childNodes].map((part) => `${part.dataset?.label ?? ""} ${part.textContent}`.trim()).join(", "));
  }

  function open(event) {
    const found = cellOf(event);
    if (found) openHead(found);
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const nodes = [...grid.children];
    const at = nodes.indexOf(cellOf(event)?.node);
    const columns = now.sort ? getComputedStyle(grid).gridTemplateColumns.split(" ").length : heads;
    const steps = {ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0,
      End: nodes.length - 1};
    if (at < 0) return;
    if (event.key === "Enter") open(event);
    else if (event.key === " ") toggle(cellOf(event));
    else if (!Object.hasOwn(steps, event.key)) return;
    else if (nodes[steps[event.key]]) go(cells.find(({node}) => node === nodes[steps[event.key]]), {replace: true});
    event.preventDefault();
    event.stopPropagation();
  }

  if (!entered && layers * heads === 1) // the only head is opened at once; who comes back finds its numbers here
    queueMicrotask(() => !going.signal.aborted && state.get().view === "heads" && state.set({view: "matrix"}, {replace: true}));

  /** What is shown: the numbers of all heads, and the pictures in the order that is seen. */
  function slice() {
    const order = [...grid.children].map((node) => cells.findIndex((cell) => cell.node === node));
    return headsSlice(page, {site: now.site, zoom, order, across: now.sort ? 8 : heads,
      numbers: HEADS_NUMBERS, over: held.over()});
  }

  return {
    slice,
    update(next) {
      const {site, layer, head, heads: picked = "", measure = "", order = "", across, up, brush: opened} = next;
      const other = !now || now.site !== site;
      const seen = [layer, head, picked, across, up, opened].join(" "), moved = now?.seen !== seen;
      now = {site, layer, head, picked, seen, sort: sorts.some(([name]) => name === measure) ? measure : "", order};
      [sortSelect.value, orderSelect.value] = [now.sort, order];
      orderSelect.disabled = !now.sort;
      if (other) build();
      held.update(next, now.sort);
      draw();
      arrange(other);
      compared.update();
      if (other) ask();
      else if (moved) choose();
    },
    destroy() {
      going.abort();
      stop();
      brush.destroy();
      held.destroy();
      compared.destroy();
    },
  };
}
