// A row or a column of a head: as numbers, and as a table.

import {readTile} from "./ask.js";
import {numberCell} from "./controls.js";
import {element, tokenName} from "./dom.js";
import {columnOf, readVectors, rowOf, strongest} from "./exact.js";

const ROWS_SIDE = 256; // cells on a tile's side
export const ROWS_WHOLE = 2048; // tokens up to which a head's vectors are read whole

/** The sum of what is allowed. */
export const lineTotal = (values) => values.reduce((sum, value) => (Number.isNaN(value) ? sum : sum + value), 0);

/** The head's vectors, or null where they are too many or not there: a saved page may hold tiles only. */
async function rowVectors(page, {site, layer, head}) {
  if (Math.max(page.facts.n, page.facts.m) > ROWS_WHOLE) return null;
  const asked = page.ask.bytes(`${page.key}/vectors/${site}/${layer}/${head}`);
  return asked.then(readVectors).catch(() => null);
}

/** Weights of a "row", or those that a "column" receives, NaN where not allowed: {weights, vectors or null}. */
export async function lineWeights(page, {site, layer, head}, direction, at) {
  const vectors = await rowVectors(page, {site, layer, head});
  const isRow = direction === "row";
  if (vectors) return {vectors, weights: isRow ? rowOf(vectors, at).weights : columnOf(vectors, at)};
  const weights = new Float64Array(isRow ? page.facts.m : page.facts.n);
  const [own, inside] = [Math.floor(at / ROWS_SIDE), at % ROWS_SIDE];
  const count = Math.ceil(weights.length / ROWS_SIDE);
  const read = async (other) => {
    const place = isRow ? `${own}/${other}` : `${other}/${own}`;
    const tile = readTile(await page.ask.bytes(`${page.key}/tile/${site}/${layer}/${head}/weights/0/${place}`));
    for (let k = 0; k < (isRow ? tile.columns : tile.rows); k++)
      weights[other * ROWS_SIDE + k] = tile.values[isRow ? inside * tile.columns + k : k * tile.columns + inside];
  };
  for (let first = 0; first < count; first += 4) // a few at a time: the tiles in view go before
    await Promise.all([0, 1, 2, 3].filter((k) => first + k < count).map((k) => read(first + k)));
  return {weights, vectors: null};
}

/**
 * The largest 20, the first token, the token itself, special ones, the rest and the sum.
 * columns: {name, values, adds}: only numbers that add up have a rest and a sum.
 */
export function lineTable(facts, caption, columns, at) {
  const {kinds} = facts.tokens;
  const adding = columns.filter((column) => column.adds);
  const largest = adding[0].values.map((_, j) =>
    adding.reduce((most, {values}) => (Number.isNaN(most) || values[j] > most ? values[j] : most), NaN));
  const top = strongest(largest, 20);
  const isSpecial = (j) => !["text", "patch"].includes(kinds[j]);
  const listed = [...new Set([...top, 0, at, ...[...kinds.keys()].filter(isSpecial).slice(0, 6)])];
  const inTable = new Set(listed);
  const name = (j, rank) => {
    const kind = isSpecial(j) && kinds[j] !== "first" && kinds[j];
    const all = [rank < top.length && rank + 1, j === 0 && "first token", j === at && "itself", kind];
    return all.filter(Boolean).join(", ");
  };
  const left = [...largest.keys()].filter((j) => !Number.isNaN(largest[j]) && !inTable.has(j)).length;
  const head = (scope, colspan, words) => element("th", {scope, colspan}, words);
  const sums = (words, wanted) => element("tr", {}, head("row", 3, words), ...columns.map(({adds, values}) =>
    adds ? numberCell(lineTotal(values.filter((_, j) => wanted(j)))) : element("td", {}, "-")));
  const rows = listed.map((j, rank) => element("tr", {}, head("row", 1, name(j, rank)),
    element("td", {class: "number"}, j), element("td", {}, tokenName(facts, j)),
    ...columns.map(({values}) => numberCell(values[j]))));
  const names = ["", "at", "token", ...columns.map((column) => column.name)];
  return element(
    "table", {class: "numbers small"}, element("caption", {}, ...caption),
    element("thead", {}, element("tr", {}, ...names.map((words) => head("col", 1, words)))),
    element("tbody", {}, ...rows, sums(`rest: ${left} more`, (j) => !inTable.has(j)), sums("sum", () => true)),
  );
}
