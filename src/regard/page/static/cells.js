// Pictures of cells: fixed scales, the hatch of what is not allowed, bars and rulers; and a canvas that stays sharp.

import {element, shortened, themeColour} from "./dom.js";

/** A fixed scale, never stretched to the data: {name, ticks, rgb, count, at(value) -> index or -1 if masked, beyond}. */
export function cellColours(page, what) {
  if (what === "scores") {
    const within = (score) => (score < -20 ? 255 : score > 20 ? 256 : Math.round(127 + score * 6.35));
    const beyond = [[255, "clipped, below -20"], [256, "clipped, above 20"]];
    const name = "score, what enters the softmax: linear from -20 to 20";
    const at = (score) => (Number.isNaN(score) ? -1 : within(score));
    return {name, ticks: ["-20", "-10", "0", "10", "20"], rgb: cellDiverging(), count: 255, at, beyond};
  }
  if (what === "contributions") {
    const share = (size) => Math.min(1, (Math.log10(Math.max(size, 1e-4)) + 4) / 6);
    const at = (size) => (Number.isNaN(size) ? -1 : size > 100 ? 256 : Math.round(255 * share(size)));
    const name = "contribution, length of what is added to the stream: log10 from 1e-4 to 100 (less, and 0: lowest colour)";
    const rgb = [...page.palette, 213, 94, 0];
    return {name, ticks: ["1e-4", "0.01", "1", "100"], rgb, count: 256, at, beyond: [[256, "clipped, above 100"]]};
  }
  if (what === "differences") {
    const at = (value) => (Number.isNaN(value) ? -1 : Math.round(127 + 127 * value));
    const name = "difference of two weights: linear from -1 to 1";
    return {name, ticks: ["-1", "-0.5", "0", "0.5", "1"], rgb: cellDiverging(), count: 255, at, beyond: []};
  }
  const log = page.scale() === "log";
  const of = what === "mean" ? "mean weight" : "weight";
  const ticks = log ? cellLogTicks(page.facts, "1e-4", "0.01") : ["0", "0.25", "0.5", "0.75", "1"];
  const name = `${of}: ` + (log ? `log10 from ${ticks[0]} to 1 (less, and 0: lowest colour)` : "linear from 0 to 1");
  return {name, ticks, rgb: page.palette, count: 256, at: (weight) => page.colourOf(weight), beyond: []};
}

/** Of the log scale of weights, even steps apart. A picture's has an even look at its n tokens in the middle. */
export function cellLogTicks({picture, n}, ...between) {
  const part = (count) => `1/${count.toLocaleString("en")}`;
  return picture && n > 1 ? [part(n * n), part(n), "1"] : ["1e-6", ...between, "1"];
}

/** Blue over light grey (0) to orange, 255 colours; then the two of clipped cells: dark violet below, yellow above. */
function cellDiverging() {
  const rgb = [];
  for (let k = -127; k <= 127; k++)
    for (const end of k < 0 ? [5, 80, 160] : [200, 80, 0]) rgb.push(Math.round(245 + ((end - 245) * Math.abs(k)) / 127));
  return [...rgb, 60, 0, 110, 255, 230, 0];
}

/** Cells -> a canvas with one pixel a cell; masked ones stay clear, so that what lies below shows: the hatch. */
export function cellPicture({rows, columns, values}, {rgb, at}) {
  const canvas = element("canvas", {width: columns, height: rows, "aria-hidden": "true"});
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(columns, rows);
  for (let cell = 0; cell < rows * columns; cell++) {
    const index = at(values[cell]);
    if (index < 0) continue;
    for (let c = 0; c < 3; c++) image.data[4 * cell + c] = rgb[3 * index + c];
    image.data[4 * cell + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

/** The pattern of what is not allowed, in the theme's colours. */
export function cellHatch(context) {
  const canvas = element("canvas", {width: 8, height: 8});
  const pen = canvas.getContext("2d");
  pen.fillStyle = themeColour("--paper");
  pen.fillRect(0, 0, 8, 8);
  pen.strokeStyle = themeColour("--line");
  pen.beginPath();
  for (const shift of [-8, 0, 8]) {
    pen.moveTo(shift - 1, 9);
    pen.lineTo(shift + 9, -1);
  }
  pen.stroke();
  return context.createPattern(canvas, "repeat");
}

/** A colour of the scale as a style sheet writes it. */
export const cellInk = (rgb, index) => `rgb(${rgb.slice(3 * index, 3 * index + 3).join(",")})`;

/** So many colours of a scale from one on, a pixel each. */
export function cellBar(rgb, count, look, from = 0) {
  const values = Array.from({length: count}, (_, k) => from + k);
  const canvas = cellPicture({rows: 1, columns: count, values}, {rgb, at: (index) => index});
  canvas.className = look;
  return canvas;
}

/** The scale as a bar with numbers, the colours of clipped cells, and the hatch. */
export function cellScaleBar(page, what) {
  const {name, ticks, rgb, count, beyond} = cellColours(page, what);
  const hatched = element("canvas", {width: 24, height: 12, class: "cells-swatch", "aria-hidden": "true"});
  const pen = hatched.getContext("2d");
  pen.fillStyle = cellHatch(pen);
  pen.fillRect(0, 0, 24, 12);
  const clipped = beyond.map(([index, words]) => element("span", {}, cellBar(rgb, 1, "cells-swatch", index), ` ${words}`));
  return element(
    "figure", {class: "cells-scale small"}, element("figcaption", {class: "quiet"}, name),
    // that of weights stands at the head of the page
    ...(["weights", "mean"].includes(what) ? [] : [cellBar(rgb, count, "cells-bar"),
      element("div", {class: "cells-ticks number"}, ...ticks.map((tick) => element("span", {}, tick)))]),
    element("div", {class: "row quiet"}, ...clipped, element("span", {}, hatched, " masked: not allowed")),
  );
}

/** Numbers and names of the tokens along a side; a long name is cut with a sign, the line below has all of it. */
export function cellRuler(pen, f, labels, isRow) {
  const [ruler, first, count] = isRow ? [f.left, f.y, f.down] : [f.top, f.x, f.across];
  const every = Math.ceil((13 * f.ratio) / f.cell);
  Object.assign(pen, {font: `${11 * f.ratio}px ${themeColour("--mono")}`, textBaseline: "middle", direction: "ltr"});
  Object.assign(pen, {textAlign: isRow ? "right" : "left", fillStyle: themeColour("--quiet")});
  for (let at = Math.ceil(first / every) * every; at < first + count; at += every) {
    const token = at * f.step;
    const most = Math.max(3, Math.floor(ruler / (6.6 * f.ratio)) - 2 - String(token).length);
    const [end, middle] = [ruler - 6 * f.ratio, (at - first + 0.5) * f.cell];
    pen.save();
    pen.translate(isRow ? end : f.left + middle, isRow ? f.top + middle : end);
    pen.rotate(isRow ? 0 : -Math.PI / 2);
    pen.fillText(`${token} \u2068${shortened(labels[token] ?? "", most)}\u2069`, 0, 0, ruler - 8 * f.ratio);
    pen.restore();
  }
}

/** A canvas that stays (and with it the focus), made as wide as its place and sharp; returns [context, width]. */
export function freshCanvas(canvas, high) {
  const wide = Math.max(1, canvas.parentNode.clientWidth || 320), ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(wide * ratio);
  canvas.height = Math.round(high * ratio);
  canvas.style.width = `${wide}px`;
  canvas.style.height = `${high}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return [context, wide];
}
