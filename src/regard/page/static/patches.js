// A picture and what lies where in it: pixels, a map over its patches, masses by kind of token, the heaviest patches.

import {cellColours, cellHatch, cellPicture} from "./cells.js";
import {element, themeColour} from "./dom.js";
import {lineTotal} from "./rows.js";

/** The pixels that the model saw, one each, on a canvas. */
export async function patchPixels(page) {
  const {width, height, channels} = page.facts.picture;
  const from = new Uint8Array(await page.ask.bytes(`${page.key}/pixels`), 16);
  const canvas = element("canvas", {width, height}), pen = canvas.getContext("2d"), image = pen.createImageData(width, height);
  for (let k = 0; k < width * height; k++)
    for (let c = 0; c < 4; c++) image.data[4 * k + c] = c === 3 ? 255 : from[k * channels + (c % channels)];
  pen.putImageData(image, 0, 0);
  return canvas;
}

/** Which tokens are patches, in reading order: by what was recorded, never by their number. */
export const patchTokens = ({tokens: {kinds}}) => [...kinds.keys()].filter((at) => kinds[at] === "patch");

/** [width, height] of a patch in whole pixels, where the longer side of the picture has so many at most. */
export function patchSize({width, height, patch: [tall, broad]}, room) {
  const times = room / Math.max(width, height);
  const wide = Math.max(1, Math.floor(broad * (times > 1 ? Math.floor(times) : times)));
  return [wide, Math.max(1, Math.round((wide * tall) / broad))];
}

/**
 * The picture and on it a map, by nearest neighbour: of each patch a value, with its colour on the page's scale; NaN is
 * hatched, of null the bare picture is seen. share: how opaque the map is, 0 to 1; size: as patchSize has it.
 */
export function patchPaint(canvas, page, {pixels, values, share, size: [wide, high]}) {
  const {rows, columns} = page.facts.picture, pen = canvas.getContext("2d"), whole = [columns * wide, rows * high];
  [canvas.width, canvas.height] = whole;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(pixels, 0, 0, ...whole);
  pen.fillStyle = cellHatch(pen);
  values.forEach((value, k) => {
    if (Number.isNaN(value)) pen.fillRect((k % columns) * wide, Math.floor(k / columns) * high, wide, high);
  });
  pen.globalAlpha = share;
  const map = {rows, columns, values: values.map((value) => value ?? NaN)}; // what is bare has no colour, either
  if (values.length) pen.drawImage(cellPicture(map, cellColours(page, "weights")), 0, 0, ...whole);
}

/** [kind, the sum of its weights] of each kind of token that there is, patches first. */
export const patchMasses = (weights, {tokens: {kinds}}) =>
  [...new Set(kinds)].reverse().map((kind) => [kind, lineTotal(weights.filter((_, at) => kinds[at] === kind))]);

/** Whether each patch is of the smallest set that holds this share of their mass; of equals the earlier one is. */
export function patchesHeaviest(on, share) {
  const most = share * lineTotal(on) * (1 - 1e-12), chosen = on.map(() => share === 1);
  let sum = 0;
  for (const at of [...on.keys()].sort((a, b) => on[b] - on[a] || a - b)) {
    if (sum >= most) break;
    chosen[at] = true;
    sum += on[at];
  }
  return chosen;
}

/** Whether each patch lies in a box {rows: [first, last], columns: [first, last]}. */
export const patchesIn = ({rows: [top, bottom], columns: [left, right]}, {rows, columns}) =>
  Array.from({length: rows * columns}, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    return row >= top && row <= bottom && column >= left && column <= right;
  });

/** How the picture came to be what the model saw, in a few words. */
export function patchesGiven({size: [high, wide], crop: [top, left, tall, broad], given, rows, columns, patch, lost, done}) {
  const short = (length) => Number(length.toFixed(1)), cut = tall < high || broad < wide;
  return `The whole picture: ${wide} x ${high} pixels; ` +
    (cut ? `of it ${short(broad)} x ${short(tall)} from ${short(left)}, ${short(top)} on; ` : "") +
    `given as ${given[1]} x ${given[0]} in ${columns} x ${rows} patches of ${patch[1]} x ${patch[0]}. ` +
    (lost[0] || lost[1] ? `Lost, as they fill no patch, and hatched here: ${lost[0]} at the bottom, ${lost[1]} at the right. ` : "") +
    (done.length ? `It counts among: ${done.join("; ")}.` : "");
}

/** The frame of the whole picture, and in it what the model was given, the lost border hatched. */
export function patchesWhole(canvas, {size, crop, given, height, width}, pixels) {
  const ratio = window.devicePixelRatio || 1, times = (140 * ratio) / Math.max(...size), pen = canvas.getContext("2d");
  [canvas.height, canvas.width] = size.map((length) => Math.max(2, Math.round(length * times)));
  canvas.style.width = `${canvas.width / ratio}px`;
  const [top, left, tall, broad] = crop.map((length) => length * times);
  pen.fillStyle = cellHatch(pen);
  pen.fillRect(left, top, broad, tall);
  pen.drawImage(pixels, left, top, (broad * width) / given[1], (tall * height) / given[0]);
  Object.assign(pen, {strokeStyle: themeColour("--accent"), lineWidth: 2 * ratio});
  pen.strokeRect(left, top, broad, tall);
}
