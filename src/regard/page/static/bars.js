// A strip of bars: one Tab stop, arrows choose, and the chosen number stands below as text.

import {freshCanvas} from "./cells.js";
import {arrowTo, digits, redrawing} from "./controls.js";
import {element, fill, themeColour} from "./dom.js";
import {shownNumber} from "./numbers.js";

const BAR_UP = "#3b7dbf"; // blue and orange: at least 3:1 on light and dark paper, told apart without red or green
const BAR_DOWN = "#c96a00";

/**
 * Bars on a canvas: arrows or a click choose one, and its number stands below as text. name(at): what a bar is of.
 * draw({values, limit, ghost, at, flagged}): bars beyond the limit end in a gap, NaN is no bar, ghost is a mark in
 * each, flagged ones have a dot. Where more values than fit, a bar is the largest of several, and that is said. signed:
 * the strip always reaches as far below zero as above.
 */
export function barStrip({label, name, choose = null, unit = "", high = 72, signed = false}) {
  const canvas = element("canvas", {class: "bars-strip", role: "slider", tabindex: 0, "aria-label": label});
  const readout = element("p", {class: "small bars-readout"});
  const node = element("div", {class: "bars"}, canvas, readout);
  let given = null, at = 0, drawn = {per: 1, bars: 0};

  function say() {
    const {values, ghost = null, limit} = given, value = values[at];
    const low = drawn.low < 0 ? `-${shownNumber(limit)}` : "0", beyond = values.filter((one) => Math.abs(one) > limit).length;
    const several = drawn.per > 1 ? `; each bar is the largest of ${drawn.per}` : "";
    const none = Number.isNaN(value), words = none ? "-" : `${shownNumber(value)}${unit}`;
    const reach = `from ${low} to ${shownNumber(limit)}${unit}` + (beyond ? `; ${beyond} go beyond` : "") + several;
    fill(readout, element("bdi", {}, name(at)), ": ", digits(none ? null : value), none ? "" : unit,
      ...(ghost ? [" (mark: ", digits(ghost[at]), ")"] : []),
      element("span", {class: "quiet"}, ` - ${label}, ${values.length} in all, drawn ${reach}`));
    const told = {valuemin: 0, valuemax: values.length - 1, valuenow: at, valuetext: `${name(at)}: ${words}`};
    for (const [key, text] of Object.entries(told)) canvas.setAttribute(`aria-${key}`, text);
  }

  function paint() {
    if (!given || given.values.length === 0) return;
    const [context, wide] = freshCanvas(canvas, high);
    drawn = barsDrawn(context, wide, high, {...given, signed}, at);
    say();
  }

  function move(to) {
    if (to === null) return;
    at = to;
    paint();
    choose?.(at);
  }
  canvas.addEventListener("keydown", (event) => given && move(arrowTo(event, at, given.values.length)));
  canvas.addEventListener("click", (event) => {
    if (!given) return;
    const box = canvas.getBoundingClientRect(), {per, bars} = drawn;
    const bar = Math.max(0, Math.min(bars - 1, Math.floor(((event.clientX - box.left) / box.width) * bars)));
    move(barsLargest(given.values, bar * per, (bar + 1) * per));
  });
  return {
    node,
    destroy: redrawing(node, paint).stop,
    draw(next) {
      given = next;
      at = Math.max(0, Math.min(next.values.length - 1, next.at ?? at));
      paint();
    },
  };
}

/** On a canvas, or with a picture's pen; `at` is marked. signed: down to -limit even where no number is negative. */
export function barsDrawn(context, wide, high, {values, limit, ghost = null, flagged = null, signed = false}, at) {
  const per = Math.max(1, Math.ceil(values.length / Math.max(1, Math.floor(wide / 2))));
  const bars = Math.ceil(values.length / per), step = wide / bars, thick = step - (step > 4 ? 1 : 0);
  const low = signed || values.some((x) => x < 0) || ghost?.some((x) => x < 0) ? -limit : 0;
  const y = (x) => high - ((Math.max(low, Math.min(limit, x)) - low) / (limit - low || 1)) * high;
  const [ink, paper] = ["--ink", "--paper"].map(themeColour);
  context.fillStyle = themeColour("--accent-pale");
  context.fillRect(Math.floor(at / per) * step, 0, Math.max(step, 2), high);
  for (let bar = 0; bar < bars; bar++) {
    const left = bar * step, value = values[barsLargest(values, bar * per, (bar + 1) * per)];
    if (!Number.isNaN(value) && value !== 0) {
      context.fillStyle = value < 0 ? BAR_DOWN : BAR_UP;
      context.fillRect(left, Math.min(y(0), y(value)), thick, Math.max(Math.abs(y(0) - y(value)), 0.75));
      context.fillStyle = paper;
      if (Math.abs(value) > limit) context.fillRect(left, value < 0 ? high - 6 : 4, thick, 2);
    }
    context.fillStyle = ink;
    if (ghost && per === 1 && !Number.isNaN(ghost[bar])) context.fillRect(left, y(ghost[bar]) - 0.75, thick, 1.5);
    if (flagged && barsAny(flagged, bar * per, (bar + 1) * per)) context.fillRect(left + step / 2 - 2, 0, 4, 4);
  }
  context.fillStyle = themeColour("--line");
  context.fillRect(0, Math.min(high - 1, y(0)), wide, 1);
  return {per, bars, low};
}

/** Where the number of the largest size is, from one place to before another. */
function barsLargest(values, from, to) {
  let found = from;
  for (let at = from; at < Math.min(to, values.length); at++)
    if (!Number.isNaN(values[at]) && !(Math.abs(values[at]) <= Math.abs(values[found]))) found = at;
  return found;
}

function barsAny(flagged, from, to) {
  for (let at = from; at < to; at++) if (flagged.has(at)) return true;
  return false;
}
