// A picture of what is shown, as SVG on white paper: shapes and text, no script, no link. Lengths in pixels.

import {cellColours, cellInk, cellPicture} from "./cells.js";
import {element, INKS, onPaper, shortened} from "./dom.js";
import {counted} from "./numbers.js";

export const PICTURE_VECTOR = 200 * 200; // cells of a picture up to which each is a shape
const PICTURE_FONT = "'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif";
const PICTURE_EDGE = 48; // left and right of everything
const PICTURE_LEAST = 800; // across: room for every scale

/** A stranger's text, safe to draw and to write: nothing that hides, turns the line or piles up; at most so many signs. */
export function plainText(text, most = Infinity) {
  const code = (sign) => {
    const digits = sign.codePointAt(0).toString(16), long = digits.length > 4 ? 8 : digits.length > 2 ? 4 : 2;
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[sign] ?? `\\${{2: "x", 4: "u", 8: "U"}[long]}${digits.padStart(long, "0")}`;
  };
  const seen = String(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, code);
  return shortened(seen.replace(/(?<=\p{Mn}{2})\p{Mn}/gu, code), most);
}

/** Provenance as JSON in plain ASCII: nothing in it can end a comment, hide, or turn the line around. */
export const factsText = (facts) =>
  JSON.stringify(facts).replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

let pictureRuler = null;

/** How wide a text is. */
export function textWidth(text, size) {
  pictureRuler ??= element("canvas").getContext("2d");
  pictureRuler.font = `${size}px ${PICTURE_FONT}`;
  return pictureRuler.measureText(text).width;
}

const pictureEscaped = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

export function svgTag(name, attributes, inside = "") {
  const given = Object.entries(attributes).filter(([, value]) => value !== null && value !== undefined);
  const short = (value) => (typeof value === "number" ? Math.round(value * 1000) / 1000 : pictureEscaped(value));
  const words = [name, ...given.map(([key, value]) => `${key}="${short(value)}"`)].join(" ");
  return `<${words}>${inside}</${name}>`;
}

export const svgBox = (x, y, width, height, fill, stroke = null) => svgTag("rect", {x, y, width, height, fill, stroke});
export const svgPath = (d, more) => svgTag("path", {d, fill: "none", ...more});

/** At its baseline; anchor "start", "middle" or "end", or "turned" to be read upwards. Long ones end where it was planned. */
export function svgText(x, y, text, size, fill = INKS.ink, anchor = "start", most = Infinity) {
  const wide = textWidth(text, size), fit = wide > Math.min(most, 120) ? Math.min(most, wide) : null, turned = anchor === "turned";
  return svgTag("text", {x, y, fill, "font-size": size, "text-anchor": turned ? null : anchor, "unicode-bidi": "isolate",
    transform: turned ? `rotate(-90 ${x} ${y})` : null, textLength: fit, lengthAdjust: fit && "spacingAndGlyphs", "xml:space": "preserve"},
  pictureEscaped(text));
}

/** What a canvas's context does for lines, discs, boxes and names, as SVG: parts. */
export function svgPen() {
  const parts = [];
  let d = "", dash = null;
  const on = (sign) => (...places) => { d += sign + places.join(" "); };
  return {
    parts, lineWidth: 1, globalAlpha: 1, createPattern: () => "url(#hatch)",
    beginPath() { d = ""; },
    moveTo: on("M"), bezierCurveTo: on("C"), quadraticCurveTo: on("Q"),
    arc(x, y, r) { d += `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`; },
    setLineDash(lengths) { dash = lengths.join(" ") || null; },
    fill() { parts.push(svgPath(d, {fill: this.fillStyle})); },
    stroke() {
      parts.push(svgPath(d, {stroke: this.strokeStyle, "stroke-width": this.lineWidth, "stroke-opacity": this.globalAlpha, "stroke-dasharray": dash}));
    },
    fillRect(x, y, width, height) { parts.push(svgBox(x, y, width, height, this.fillStyle)); },
    fillText(text, x, y) { parts.push(svgText(x, y, plainText(text, 16), 12, this.fillStyle)); },
  };
}

/** Cells so many pixels wide and high, hatched where not allowed: a path a colour, or beyond 200 x 200 a pixel a cell. */
export function svgCells(x, y, [wide, high], {rows, columns, values}, {rgb, at}, title, vector) {
  const index = Int16Array.from(values, at), [width, height] = [columns * wide, rows * high], paths = new Map();
  const frame = (inside) => `${index.includes(-1) ? svgBox(x, y, width, height, "url(#hatch)") : ""}${inside}` +
    svgBox(x - 0.5, y - 0.5, width + 1, height + 1, "none", INKS.faint);
  const name = svgTag("title", {}, pictureEscaped(title));
  if (!vector) {
    const href = cellPicture({rows, columns, values}, {rgb, at}).toDataURL("image/png");
    return frame(svgTag("image", {x, y, width, height, href, preserveAspectRatio: "none", "image-rendering": "pixelated"}, name));
  }
  for (let i = 0; i < rows; i++)
    for (let from = 0, to = 0; from < columns; from = to) {
      const colour = index[i * columns + from];
      while (to < columns && index[i * columns + to] === colour) to++;
      const run = `M${x + from * wide} ${y + i * high}h${(to - from) * wide}v${high}h${(from - to) * wide}z`;
      if (colour >= 0) paths.set(colour, (paths.get(colour) ?? "") + run);
    }
  const drawn = [...paths].map(([colour, d]) => svgPath(d, {fill: cellInk(Array.from(rgb), colour)}));
  return frame(svgTag("g", {"shape-rendering": "crispEdges"}, name + drawn.join("")));
}

/**
 * A slice (save.js) as {width, height, title, svg}: title, badge, what slice.draw() gives, the scale; and, if captioned,
 * sentences and provenance below.
 */
export function pictureOf(page, slice, facts, captioned) {
  const body = onPaper(slice.draw), width = Math.ceil(Math.max(PICTURE_LEAST, body.width + 2 * PICTURE_EDGE)), {badge} = facts;
  const colour = /^Not proven/.test(badge) ? INKS.wrong : /^Proven/.test(badge) ? INKS.accent : INKS.quiet, parts = [];
  let y = 60;
  const write = (text, size, fill, left = 0) => { // broken where the picture ends
    for (const line of pictureLines(plainText(text), size, width - left)) {
      parts.push(svgText(PICTURE_EDGE + left, y, line, size, fill));
      y += size + 6;
    }
  };
  write(slice.title, 26);
  write(slice.under, 14, INKS.quiet);
  parts.push(svgTag("circle", {cx: PICTURE_EDGE + 4, cy: y - 5, r: 4, fill: colour}));
  write(badge, 14, colour, 16);
  parts.push(svgTag("g", {transform: `translate(${PICTURE_EDGE} ${y += 12})`}, body.inside));
  if (badge.startsWith("Not proven")) parts.push(pictureStruck(y - 10, width, body.height + 20));
  y += Math.ceil(body.height) + 36;
  if (slice.scale) parts.push(pictureScale(page, slice, y));
  if (slice.scale) y += 56;
  if (captioned) for (const words of [...slice.words, originOf(facts)]) write(words, 12, INKS.quiet);
  const title = `${plainText(slice.title)}. ${plainText(badge)}.`, look = {width, height: y += 16};
  const hatch = svgTag("pattern", {id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse"},
    svgPath("M-1 1L1 -1M0 6L6 0M5 7L7 5", {stroke: "#dcdcdc"}));
  const inside = [svgTag("title", {}, pictureEscaped(title)), svgTag("metadata", {}, pictureEscaped(factsText(facts))),
    svgTag("defs", {}, hatch), svgBox(0, 0, width, y, "#ffffff"), ...parts].join("\n");
  const all = {xmlns: "http://www.w3.org/2000/svg", ...look, viewBox: `0 0 ${width} ${y}`, role: "img", "font-family": PICTURE_FONT};
  return {...look, title, svg: `${svgTag("svg", all, inside)}\n`};
}

/** A frame with struck corners around numbers that are not proven. */
function pictureStruck(top, width, high) {
  const [left, right, low] = [PICTURE_EDGE / 2, width - PICTURE_EDGE / 2, top + high];
  const strokes = [[left, top], [right, top], [left, low], [right, low]].map(([x, y]) => `M${x - 12} ${y + 12}l24 -24`);
  return svgPath(`M${left} ${top}H${right}V${low}H${left}z${strokes.join("")}`, {stroke: INKS.wrong});
}

/** The fixed scale as a bar with its numbers, the colours of what is clipped, and the hatch. */
function pictureScale(page, {scale: what, hatched = "not allowed"}, y) {
  const scale = cellColours(page, what), {count, ticks} = scale, x = PICTURE_EDGE, last = ticks.length - 1;
  const bar = {rows: 1, columns: count, values: Array.from({length: count}, (_, k) => k)};
  const parts = [svgText(x, y, scale.name, 12, INKS.quiet),
    svgCells(x, y + 8, [1, 10], bar, {...scale, at: (k) => k}, "the colour scale", true),
    ...ticks.map((tick, k) => svgText(x + (k / last) * count, y + 31, tick, 11, INKS.quiet, k ? k < last ? "middle" : "end" : "start"))];
  let left = x + 290;
  for (const [fill, words] of [...scale.beyond.map(([k, words]) => [cellInk(Array.from(scale.rgb), k), words]), ["url(#hatch)", hatched]]) {
    parts.push(svgBox(left, y + 8, 24, 10, fill, INKS.faint), svgText(left + 30, y + 18, words, 12, INKS.quiet));
    left += 50 + textWidth(words, 12);
  }
  return parts.join("");
}

function pictureLines(text, size, width) {
  const lines = [""], room = Math.min(width - 2 * PICTURE_EDGE, 1400);
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (textWidth(longer, size) > room) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

/** Provenance in one line. */
function originOf(facts) {
  const at = facts.head !== undefined && `layer ${facts.layer}, head ${facts.head}`, id = (hash) => hash.slice(0, 12);
  return [facts.name, facts.generated?.brief, `recording ${id(facts.recording)}`, `model ${id(facts.model)}`, `${facts.site} attention`, at, counted(facts.tokens, "token"),
    facts.scale, `edits ${facts.edits}`, `recorded ${facts.recorded.slice(0, 10)}`, `saved ${facts.saved.slice(0, 10)}`,
    `regard ${facts.regard}, torch ${facts.torch}`].filter(Boolean).join(" | ");
}

/** Columns of texts or {text, share}, each under its name; with `turned` each column is a line. share: a bar of 0 to 1. */
export function tableBody(columns, turned = false) {
  const table = columns.map(({name, shown}) => [name, ...shown]);
  const lines = turned ? table[0].map((_, k) => table.map((line) => line[k])) : table; // one a column of the picture
  let left = 0;
  const parts = lines.flatMap((all) => {
    const cells = all.map((one) => (one.text === undefined ? {text: one, share: 0} : one)), x = left;
    const wide = cells.reduce((most, {text}) => Math.max(most, textWidth(text, 12)), 0);
    left += wide + 20;
    return cells.flatMap(({text, share}, k) => [share > 0 ? svgBox(x, 22 * k + 3, wide * Math.min(1, share), 18, INKS["accent-pale"]) : "",
      svgText(x, 22 * k + 16, text, 12, k === 0 || text === "not allowed" ? INKS.quiet : INKS.ink)]);
  });
  const rules = lines[0].map((_, k) => `M0 ${22 * k + 21.5}H${left}`).join("");
  return {width: left, height: 22 * lines[0].length, inside: parts.join("") + svgPath(rules, {stroke: INKS.faint})};
}
