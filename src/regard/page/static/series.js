// What is drawn in the view of lines: which rows, each with a colour; their parts, which add up; and how a line runs.

import {lineTotal} from "./rows.js";

export const LINES_WINDOW = 256; // tokens in the picture
export const LINES_ROWS = 7; // heads, or heads x tokens side by side: at most 7 x 256 lines, under 2000
export const LINES_TOKENS = 16; // of which a mean is made

/** "0.1,2.3" -> [[0, 1], [2, 3]]: those that exist, each once. */
export function headsOf(text = "", facts) {
  return [...new Set(text.split(","))].filter((pair) => /^\d+\.\d+$/.test(pair))
    .map((pair) => pair.split(".").map(Number)).filter(([l, h]) => l < facts.layers && h < facts.heads);
}

/** "5,8" -> the chosen token and those beside it: those that exist, each once. */
function linesTokens({tokens = ""}, at, n) {
  const others = tokens.split(",").filter((text) => /^\d+$/.test(text)).map(Number).filter((one) => one < n);
  return [...new Set([at, ...others])];
}

/** heads of picked ones; members: the chosen token and those beside it; left: what has no colour; together: a mean. */
export function linesChosen(all, facts, at) {
  const known = headsOf(all.heads, facts), picked = known.length ? known : [[all.layer, all.head]];
  const heads = picked.slice(0, LINES_ROWS), tokens = linesTokens(all, at, facts.n), several = tokens.length > 1;
  const together = all.together === "mean" && several;
  const room = together ? LINES_TOKENS : Math.max(1, Math.floor(LINES_ROWS / heads.length));
  return {heads, picked: picked.length, members: tokens.slice(0, room), left: tokens.slice(room), together, several};
}

export const linesHead = ([layer, head]) => `layer ${layer}, head ${head}`;

/** What has a colour of its own: a head's row, one of its rows, or the mean of several: {pair, members, name}. */
export function linesSeries({heads, members, together, by}) {
  const kind = by ? "column" : "row", about = together ? `, mean of ${members.length} ${kind}s` : "";
  if (together || members.length === 1) return heads.map((pair) => ({pair, members, name: linesHead(pair) + about}));
  const one = (pair, at) => ({pair, members: [at], name: `${linesHead(pair)}, ${kind} ${at}`});
  return heads.flatMap((pair) => members.map((at) => one(pair, at)));
}

/** Place by place the sum over the rows that may look there, by the number of all rows: so it sums to 1 as they do. */
export function linesMean(rows) {
  const mean = (_, j) => {
    const allowed = rows.map((row) => row[j]).filter((weight) => !Number.isNaN(weight));
    return allowed.length ? lineTotal(allowed) / rows.length : NaN;
  };
  return rows[0].map(mean);
}

/** A row or column in parts that are all drawn and add up: lines in the window, stubs for all else. */
export function linesParts(weights, {by, from, least}) {
  const parts = {lines: [], drawn: 0, first: 0, before: 0, after: 0, others: 0, fewer: 0};
  weights.forEach((weight, at) => {
    if (Number.isNaN(weight)) return;
    if (at === 0 && !by) parts.first = weight;
    else if (at < from) parts.before += weight;
    else if (at >= from + LINES_WINDOW) parts.after += weight;
    else if (weight >= least) parts.lines.push([at, weight]);
    else {
      parts.others += weight;
      parts.fewer++;
    }
  });
  parts.drawn = lineTotal(parts.lines.map(([, weight]) => weight));
  parts.total = parts.drawn + parts.first + parts.before + parts.after + parts.others;
  return parts;
}

/** Percent with one decimal; what is not everything never reads 100 %. */
export const linesPercent = (share) =>
  share < 1 - 1e-9 && share >= 0.9995 ? "over 99.9 %" : `${(100 * share).toFixed(1)} %`;

/** From one place to another: an arc within a line of text, a loop at a token itself, else down or up between lines. */
export function linesCurve(pen, a, b) {
  pen.beginPath();
  if (a.x === b.x && a.top === b.top) {
    pen.moveTo(a.x - 6, a.top);
    pen.bezierCurveTo(a.x - 14, a.top - 22, a.x + 14, a.top - 22, a.x + 6, a.top);
  } else if (Math.abs(a.top - b.top) < 6) {
    pen.moveTo(a.x, a.top);
    const high = Math.min(a.top, b.top) - Math.min(44, 10 + Math.abs(a.x - b.x) / 8);
    pen.quadraticCurveTo((a.x + b.x) / 2, high, b.x, b.top);
  } else {
    const [above, below] = a.top < b.top ? [a, b] : [b, a];
    const bend = Math.max(14, (below.top - above.bottom) / 2);
    pen.moveTo(above.x, above.bottom);
    pen.bezierCurveTo(above.x, above.bottom + bend, below.x, below.top - bend, below.x, below.top);
  }
  pen.stroke();
}
