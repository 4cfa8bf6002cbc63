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

/** [width, height] of all that was given, with the border that fills no patch, where patches have this size. */
export const patchGiven = ({given, patch: [tall, broad]}, [wide, high]) => [(given[1] * wide) / broad, (given[0] * high) / tall];

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
export function patchesGiven({told, done}) {
  const words = told.join("; "), counts = done.length ? ` It counts among: ${done.join("; ")}.` : "";
  return `${words[0].toUpperCase()}${words.slice(1)}.${counts}`;
}

/** Of a sound when a patch is, and which bands of pitch; of a picture nothing. */
export const patchPart = ({sound}, k) => (sound ? ` (${sound.parts[k]})` : "");

/** The frame of the whole picture, and in it what the model was given, the lost border hatched. A whole sound needs none. */
export function patchesWhole(canvas, {size, crop, given, height, width, sound}, pixels) {
  canvas.hidden = Boolean(sound) && crop[3] >= size[1];
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
