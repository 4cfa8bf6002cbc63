// A picture to choose patches on: a map over it, its grid, the chosen patch and a box; pointer and keys.

import {blockBetween, blockOf} from "./blocks.js";
import {cellHatch} from "./cells.js";
import {redrawing} from "./controls.js";
import {element, themeColour} from "./dom.js";
import {patchGiven, patchPaint, patchSize} from "./patches.js";

const STAGE_SIDE = 520; // pixels on the longer side of the picture, at most

/**
 * choose(k): a patch, by its number in reading order; hover(k or -1): the one under the pointer; enter(): Enter was
 * pressed; box(text): one was drawn, as blocks.js writes it, or "" for none. Where box is null, there are none.
 * show({pixels, values, share, at, box}): as patchPaint has it; at: the chosen patch, -1 for none. draws(flag): whether
 * a pointer draws a box; soon(): everything is drawn anew; after(): is called when it was.
 */
export function pictureStage(page, {label, choose, hover, enter, box = null, after = () => {}}) {
  const {picture, picture: {rows, columns, given, sound}} = page.facts, shape = {n: rows, m: columns};
  const canvas = element("canvas", {class: "matrix-cells", tabindex: 0, role: "application", "aria-label": label});
  const lines = element("canvas", {class: "matrix-overlay", "aria-hidden": "true"});
  const lost = element("canvas", {class: "matrix-overlay", "aria-hidden": "true"}), node = element("div", {class: "matrix-stage"}, lost, canvas, lines);
  const [pitches, times] = ["pitches", "times"].map((name) => element("div", {class: `stage-${name} number quiet`, "aria-hidden": "true"},
    ...(sound?.[name] ?? []).map(([, words]) => element("span", {}, words))));
  let shown = null, size = [1, 1], from = null, corner = null, drawing = false;
  const {soon, stop} = redrawing(node, draw);
  const ratio = () => window.devicePixelRatio || 1, inside = (at, count) => Math.max(0, Math.min(count - 1, at));
  const placeOf = (k) => ({row: Math.floor(k / columns), column: k % columns}), numberOf = ({row, column}) => row * columns + column;
  const between = (one, other) => box(blockBetween(one, other, 1, shape));

  function draw() {
    if (!shown) return;
    const covered = Math.max(picture.width, picture.height) / Math.max(...given); // the rest of the longer side is lost
    size = patchSize(picture, Math.min(STAGE_SIDE, node.clientWidth || 320) * ratio() * covered);
    patchPaint(canvas, page, {...shown, size});
    [lines.width, lines.height] = [canvas.width, canvas.height];
    [lost.width, lost.height] = patchGiven(picture, size).map(Math.round);
    for (const one of [canvas, lines, lost])
      [one.style.width, one.style.height] = [one.width, one.height].map((length) => `${length / ratio()}px`);
    drawAround();
    canvas.dataset.grid = size.join(" "); // of a patch, in the canvas's own pixels
    canvas.style.touchAction = drawing ? "none" : "";
    drawLines(lines.getContext("2d"));
    after();
  }

  /** The border that fills no patch, hatched; a sound's seconds and hertz. */
  function drawAround() {
    const pen = lost.getContext("2d"), wide = canvas.width / ratio(), high = canvas.height / ratio();
    pen.fillStyle = cellHatch(pen);
    pen.fillRect(0, 0, lost.width, lost.height);
    canvas.style.marginBottom = `${lost.height / ratio() - high}px`;
    [...times.children].forEach((one, k) => { one.style.left = `${sound.times[k][0] * wide}px`; });
    [...pitches.children].forEach((one, k) => { one.style.top = `${sound.pitches[k][0] * high}px`; });
  }

  /** On a canvas of its own, as the pixels of the map are those of its numbers. */
  function drawLines(pen) {
    const [wide, high] = size, some = blockOf(shown.box, shape), unit = ratio();
    const frame = ([top, bottom], [left, right], colour, line, dash = []) => {
      Object.assign(pen, {strokeStyle: themeColour(colour), lineWidth: line * unit});
      pen.setLineDash(dash.map((length) => length * unit));
      pen.strokeRect(left * wide, top * high, (right - left + 1) * wide, (bottom - top + 1) * high);
    };
    pen.globalAlpha = 0.35;
    if (Math.min(wide, high) > 5 * unit)
      for (let k = 0; k < rows * columns; k++) frame(...Object.values(placeOf(k)).map((at) => [at, at]), "--paper", 0.5);
    pen.globalAlpha = 1;
    if (shown.at >= 0) for (const [colour, line] of [["--paper", 4], ["--accent", 2]])
      frame(...Object.values(placeOf(shown.at)).map((at) => [at, at]), colour, line);
    if (some) for (const [colour, line, dash] of [["--paper", 4, []], ["--accent", 2, [6, 3]]]) frame(some.rows, some.columns, colour, line, dash);
  }

  function spot({offsetX, offsetY}) {
    const [column, row] = [offsetX, offsetY].map((at, k) => Math.floor((at * ratio()) / size[k]));
    return {row: inside(row, rows), column: inside(column, columns)};
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    const here = placeOf(Math.max(0, shown?.at ?? 0)), moved = ({row, column}) => ({row: inside(row + step[0], rows), column: inside(column + step[1], columns)});
    if (event.key === "Enter" && enter) enter();
    else if (event.key === "Escape" && box && shown?.box) box("");
    else if (step && event.shiftKey && box) between(here, (corner = shown?.box ? moved(corner ?? here) : here)); // first that patch alone
    else if (step) choose(shown?.at >= 0 ? numberOf(moved(here)) : 0);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function pointer(event) {
    const to = spot(event), {type} = event;
    if (type === "pointerdown") {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      from = {...to, box: Boolean(box) && (drawing || event.shiftKey)};
    }
    if (from?.box) between(from, to);
    if (type === "pointerup" && from && !from.box) choose(numberOf(to));
    if (["pointerup", "pointercancel"].includes(type)) from = null;
    hover(type === "pointerleave" ? -1 : numberOf(to));
  }

  for (const name of ["down", "move", "up", "cancel", "leave"]) canvas.addEventListener(`pointer${name}`, pointer);
  canvas.addEventListener("keydown", key);
  return {
    node: sound ? element("div", {class: "stage-sound"}, pitches, node, times) : node, soon, stop,
    show(what) {
      if (what.at !== shown?.at) corner = null;
      shown = what;
      soon();
    },
    draws(flag) {
      drawing = flag;
      soon();
    },
  };
}
