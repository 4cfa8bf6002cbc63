// Two numbers of all heads against each other, a dot a head: dots are picked with a frame, one by one, or by numbers.

import {freshCanvas} from "./cells.js";
import {choiceOf, digits, redrawing} from "./controls.js";
import {element, fill, themeColour} from "./dom.js";
import {shortNumber} from "./numbers.js";

const [BRUSH_HIGH, BRUSH_EDGE] = [320, 40];
const BRUSH_BOUNDS = ["across from", "across to", "up from", "up to"];

/**
 * numbers: [name, words] of each; choose(cell), toggle(cell), pick(cells) and open(cell) are told what was done.
 * draw({cells, chosen, picked, tokens}): cells have layer, head and measures or null; picked is a Set of cells; tokens:
 * of the longest text measured, which is how far a head can look.
 */
export function headsBrush(page, {numbers, choose, toggle, pick, open}) {
  const {state} = page;
  const names = numbers.map(([name, words]) => [name, words]);
  const [acrossLabel, across] = choiceOf("across", names, (name) => state.set({across: name}));
  const [upLabel, up] = choiceOf("up", names, (name) => state.set({up: name}));
  const look = {class: "brush-dots", tabindex: 0, role: "slider", "aria-label": "the heads as dots"};
  const canvas = element("canvas", look);
  const readout = element("p", {class: "small"}), missing = element("p", {class: "small quiet"});
  const stage = element("div", {}, canvas), bounds = [0, 1, 2, 3].map((k) =>
    element("input", {class: "small brush-bound", type: "number", step: "any", "aria-label": BRUSH_BOUNDS[k]}));
  const form = element("form", {class: "row small", onsubmit: byNumbers}, "pick the heads from ", bounds[0], " to ",
    bounds[1], " across and from ", bounds[2], " to ", bounds[3], " up", element("button", {class: "plain"}, "pick"));
  const opened = (event) => { // not by the toggle event: it comes later, and what is drawn meanwhile would close it again
    event.preventDefault();
    node.open = !node.open;
    state.set({brush: node.open ? "1" : ""}, {replace: true});
  };
  const node = element("details", {class: "small brush"},
    element("summary", {onclick: opened}, "Two numbers against each other"), element("div", {class: "row"}, acrossLabel, upLabel),
    element("p", {class: "quiet"}, "A dot is a head; its numbers are means ", element("span", {class: "derived"}, "Derived"),
      ". Drag a frame around dots to pick them, or with the arrow keys go from dot to dot; space picks one, Enter opens " +
      "its matrix. Hollow: an induction score over fewer than 20 rows."),
    stage, readout, missing, form);
  let given = null, dots = [], frame = null;

  const limit = (name) => (name === "distance" ? Math.max(1, given.tokens - 1) : 1);
  const valueOf = ({measures}, name) => measures?.[name] ?? NaN;

  function paint() {
    if (!given || !node.open) return;
    const [pen, wide] = freshCanvas(canvas, BRUSH_HIGH), names = [across.value, up.value];
    const [right, low] = [wide - 2 * BRUSH_EDGE, BRUSH_HIGH - 2 * BRUSH_EDGE];
    const place = ([x, y]) => [BRUSH_EDGE + x * right, BRUSH_HIGH - BRUSH_EDGE - y * low];
    dots = given.cells.map((cell) => ({cell, values: names.map((name) => valueOf(cell, name))}))
      .filter(({values}) => !values.some(Number.isNaN));
    for (const dot of dots) [dot.x, dot.y] = place(dot.values.map((value, k) => value / limit(names[k])));
    Object.assign(pen, {font: `12px ${getComputedStyle(node).fontFamily}`, fillStyle: themeColour("--quiet")});
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      const [x, y] = place([share, share]);
      pen.textAlign = "center";
      pen.fillText(shortNumber(share * limit(names[0])), x, BRUSH_HIGH - BRUSH_EDGE + 18);
      pen.textAlign = "right";
      pen.fillText(shortNumber(share * limit(names[1])), BRUSH_EDGE - 6, y + 4);
    }
    pen.textAlign = "left";
    pen.fillText(`up: ${up.selectedOptions[0].text}`, BRUSH_EDGE, BRUSH_EDGE - 14);
    pen.fillText(`across: ${across.selectedOptions[0].text}`, BRUSH_EDGE, BRUSH_HIGH - 4);
    pen.strokeStyle = themeColour("--line");
    pen.strokeRect(BRUSH_EDGE, BRUSH_EDGE, right, low);
    dots.forEach((dot) => paintDot(pen, dot, names));
    if (frame) pen.strokeRect(...frameBox());
  }

  function paintDot(pen, {x, y, cell}, names) {
    const picked = given.picked.has(cell), hollow = names.includes("induction") && cell.measures.few;
    pen.beginPath();
    pen.arc(x, y, 4.5, 0, 7);
    pen.strokeStyle = pen.fillStyle = themeColour(picked ? "--accent" : "--quiet");
    pen.lineWidth = 1.5;
    if (!hollow) pen.fill();
    pen.stroke();
    if (cell === given.chosen) {
      pen.beginPath();
      pen.arc(x, y, 9, 0, 7);
      pen.strokeStyle = themeColour("--accent");
      pen.stroke();
    }
    if (picked || cell === given.chosen) pen.fillText(`${cell.layer}.${cell.head}`, x + 10, y + 4);
  }

  function tell() {
    const {cells, chosen} = given, words = [across, up].map((one) => one.selectedOptions[0].text);
    const numbersOf = [across, up].map(({value}) => (chosen ? valueOf(chosen, value) : NaN));
    const said = (value) => digits(Number.isNaN(value) ? null : value);
    fill(readout, ...(chosen ? [`Layer ${chosen.layer}, head ${chosen.head}: ${words[0]} `, said(numbersOf[0]),
      `, ${words[1]} `, said(numbersOf[1])] : ["No head is chosen"]), `; ${given.picked.size} picked.`);
    const without = cells.length - dots.length;
    fill(missing, without ? `${without} of ${cells.length} heads have no dot, for want of a number.` : null);
    canvas.setAttribute("aria-valuetext", readout.textContent);
    canvas.setAttribute("aria-valuenow", dots.findIndex(({cell}) => cell === chosen));
    canvas.setAttribute("aria-valuemax", dots.length - 1);
  }

  const frameBox = () => [Math.min(frame.x, frame.toX), Math.min(frame.y, frame.toY), Math.abs(frame.toX - frame.x),
    Math.abs(frame.toY - frame.y)];

  function byNumbers(event) {
    event.preventDefault();
    const [left, right, low, high] = bounds.map((one) => one.valueAsNumber);
    pick(dots.filter(({values: [x, y]}) => !(x < left || x > right || y < low || y > high)).map(({cell}) => cell));
  }

  function pointer(event) {
    const box = canvas.getBoundingClientRect(), [x, y] = [event.clientX - box.left, event.clientY - box.top];
    if (event.type === "pointerdown") {
      frame = {x, y, toX: x, toY: y};
      canvas.setPointerCapture(event.pointerId);
    } else if (frame) Object.assign(frame, {toX: x, toY: y});
    if (event.type !== "pointerup" || !frame) return paint();
    const [left, top, wide, high] = frameBox();
    frame = null;
    if (Math.max(wide, high) > 4) {
      const within = (dot) => dot.x >= left && dot.x <= left + wide && dot.y >= top && dot.y <= top + high;
      return pick(dots.filter(within).map(({cell}) => cell));
    }
    const away = (dot) => Math.hypot(dot.x - x, dot.y - y);
    const nearest = [...dots].sort((a, b) => away(a) - away(b))[0];
    if (nearest && away(nearest) < 20) (event.ctrlKey || event.metaKey ? toggle : choose)(nearest.cell);
    paint();
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !dots.length) return;
    const by = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [1, 1], ArrowDown: [1, -1]}[event.key];
    if (!by && event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    if (!by) return given.chosen && (event.key === " " ? toggle : open)(given.chosen);
    const sorted = [...dots].sort((a, b) => a.values[by[0]] - b.values[by[0]]);
    const at = sorted.findIndex(({cell}) => cell === given.chosen);
    const next = at < 0 ? sorted[0] : sorted[at + by[1]];
    if (next) choose(next.cell);
  }
  for (const name of ["pointerdown", "pointermove", "pointerup"]) canvas.addEventListener(name, pointer);
  canvas.addEventListener("pointercancel", () => { frame = null; });
  canvas.addEventListener("keydown", key);

  return {
    node,
    destroy: redrawing(stage, paint).stop,
    draw(next) {
      const {across: x, up: y, brush} = state.get(), known = (name) => numbers.some(([one]) => one === name);
      [across.value, up.value] = [known(x) ? x : "previous", known(y) ? y : "induction"];
      given = next;
      node.open = brush === "1";
      paint();
      if (node.open) tell();
    },
  };
}
