// Files of what is shown, one writer a format: CSV, NPZ, and PNG from the SVG (picture.js). Each says where it is from.

import {element} from "./dom.js";
import {factsText, plainText} from "./picture.js";

const EXPORT_SIDE = 16_384; // pixels on a side that browsers still draw
const EXPORT_PIXELS = 2 ** 28; // and in all

/**
 * Lines "# name: value", then names, then rows. Numbers have nine digits, which name a float32; an empty cell is what
 * slice.empty says. A text that a spreadsheet would run gets a ' before it, and how many is said.
 */
export function csvOf(slice, facts) {
  let guarded = 0;
  const quoted = (text) => (/[,;|"\t]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text); // no part is a cell of its own
  const cell = (value) => {
    if (value === null || Number.isNaN(value)) return "";
    if (typeof value === "number") return Number.isInteger(value) ? String(value) : value.toPrecision(9);
    const formula = /^[=+\-@\t\r\0]/.test(value);
    guarded += formula;
    return quoted(`${formula ? "'" : ""}${plainText(value)}`);
  };
  const rows = exportRows(slice).map((row) => row.map(cell).join(","));
  const about = Object.entries(facts).map(([name, value]) => `${name}: ${typeof value === "object" ? factsText(value) : value}`);
  about.push(...slice.words, `an empty cell: ${slice.empty}`);
  if (guarded) about.push(`${guarded} texts begin with a ' that is not theirs: a spreadsheet would run them as formulas`);
  const lines = [...about.map((words) => quoted(`# ${plainText(words)}`)), ...rows];
  return new TextEncoder().encode(`${lines.join("\r\n")}\r\n`);
}

/** Columns side by side; or cells, under two lines of names. */
function exportRows({cells, columns}) {
  if (columns) return [columns.map(({name}) => name), ...Array.from(columns[0].values, (_, i) => columns.map(({values}) => values[i]))];
  const {values, rows, rowTokens, columnTokens} = cells, wide = cells.columns.length;
  return [["row", "token", ...cells.columns], ["", "", ...columnTokens],
    ...rows.map((at, r) => [at, rowTokens[r], ...values.subarray(r * wide, (r + 1) * wide)])];
}

/** Arrays by name, masked cells NaN, tokens as text, and "provenance": JSON. A zip, stored, that numpy.load reads. */
export function npzOf({cells, columns = [], arrays = []}, facts) {
  const name = (words) => words.replace(/[^A-Za-z0-9]+/g, "_").replace(/^_|_$/g, ""), every = [];
  const list = (words, values) => every.push([words, [values.length], values]);
  for (const column of columns) list(name(column.name), column.values);
  if (cells) {
    const {rows, columns: across} = cells;
    every.push([cells.name, [rows.length, across.length], cells.values]);
    Object.entries({rows, columns: across, row_tokens: cells.rowTokens, column_tokens: cells.columnTokens}).forEach((pair) => list(...pair));
  }
  every.push(...arrays, ["provenance", [], [factsText(facts)]]);
  return zipOf(every.map(([words, shape, values]) => [`${words}.npy`, npyOf(values, shape)]));
}

/** Text as UCS-4, whole numbers as int32, float32 as it is, other numbers as float64, in which null is NaN. */
function npyOf(values, shape) {
  let type = "<f8", body;
  if (values.some((one) => typeof one === "string")) {
    const signs = Array.from(values, (text) => Array.from(text ?? "", (sign) => sign.codePointAt(0)));
    const long = Math.max(1, ...signs.map(({length}) => length));
    [type, body] = [`<U${long}`, new Uint32Array(values.length * long)];
    signs.forEach((codes, k) => body.set(codes, k * long));
  } else if (values instanceof Float32Array) [type, body] = ["<f4", values];
  else if (Array.isArray(values) && values.every(Number.isInteger)) [type, body] = ["<i4", Int32Array.from(values)];
  else body = Float64Array.from(values, (one) => one ?? NaN);
  const sizes = shape.map((size) => `${size},`).join(" ");
  const about = `{'descr': '${type}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const head = `${about.padEnd(Math.ceil((about.length + 11) / 64) * 64 - 11)}\n`;
  return exportJoined("\x93NUMPY\x01\0", exportLittle(2, head.length), head, new Uint8Array(body.buffer, body.byteOffset, body.byteLength));
}

/** [[name, bytes], ...] -> a zip without compression. */
function zipOf(files) {
  const parts = [], index = [];
  let at = 0;
  for (const [name, bytes] of files) {
    const same = exportJoined(exportLittle(2, 20, 0, 0, 0, 33), // needs 2.0, no flags, stored, 1 January 1980
      exportLittle(4, exportSum(bytes), bytes.length, bytes.length), exportLittle(2, name.length, 0));
    index.push(exportJoined("PK\x01\x02\x14\0", same, exportLittle(2, 0, 0, 0), exportLittle(4, 0, at), name));
    parts.push(exportJoined("PK\x03\x04", same, name, bytes));
    at += parts.at(-1).length;
  }
  const list = exportJoined(...index), count = files.length;
  return exportJoined(...parts, list, "PK\x05\x06", exportLittle(2, 0, 0, count, count), exportLittle(4, list.length, at), "\0\0");
}

/** Whole numbers of so many bytes, the lowest byte first. */
function exportLittle(size, ...numbers) {
  return Uint8Array.from(numbers.flatMap((one) => Array.from({length: size}, (_, k) => (one / 256 ** k) % 256)));
}

/** Bytes, and texts of which each sign is a byte, one after another. */
function exportJoined(...parts) {
  const all = parts.map((part) => (typeof part === "string" ? Uint8Array.from(part, (sign) => sign.charCodeAt(0)) : part));
  const joined = new Uint8Array(all.reduce((size, {length}) => size + length, 0));
  let at = 0;
  for (const part of all) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** CRC-32, as zip and PNG have it. */
function exportSum(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

/** The picture with so many pixels for each of its own; title and provenance in text chunks after the first chunk. */
export async function pngOf({svg, title, width, height}, scale, facts) {
  const size = [width * scale, height * scale], words = `of ${size.join(" x ")} pixels: choose fewer, or SVG`;
  if (Math.max(...size) > EXPORT_SIDE || size[0] * size[1] > EXPORT_PIXELS) throw new Error(`Browsers draw no picture ${words}.`);
  const canvas = element("canvas", {width: size[0], height: size[1]}), image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  canvas.getContext("2d").drawImage(image, 0, 0, ...size);
  const made = await new Promise((take) => canvas.toBlob(take, "image/png"));
  if (!made) throw new Error(`This browser could not draw the picture ${words}.`);
  const bytes = new Uint8Array(await made.arrayBuffer()), first = 8 + 25;
  return exportJoined(bytes.subarray(0, first), exportChunk("Title", title), exportChunk("regard", factsText(facts)), bytes.subarray(first));
}

/** An iTXt chunk: a keyword, and a text in UTF-8, not compressed. */
function exportChunk(keyword, text) {
  const body = exportJoined("iTXt", keyword, "\0\0\0\0\0", new TextEncoder().encode(text)), big = (one) => exportLittle(4, one).reverse();
  return exportJoined(big(body.length - 4), body, big(exportSum(body)));
}
