// What is said of a matrix's focused row and column: the row as a table, and what both sum to.

import {asking, derivedBadge, digits} from "./controls.js";
import {element, fill, tokenName} from "./dom.js";
import {rowOf} from "./exact.js";
import {lineTable, lineTotal, lineWeights} from "./rows.js";

/** show(head, row, column) asks when the focus has rested; sums: {rows, received} by token; redraw() once they are. */
export function matrixFocus(page, redraw) {
  const {facts} = page, [status, table] = [element("div"), element("div", {class: "scroll"})];
  const strips = element("p", {class: "matrix-line quiet small"});
  const sums = {rows: new Map(), received: new Map()};
  let shown = "", headAs = "", ask = null, timer = 0;
  const asked = asking(page, table, status, () => ask());

  function tell(row, column, own, received) {
    for (const part of [table, strips]) fill(part);
    if (own) {
      const sum = lineTotal(own.weights);
      sums.rows.set(row, sum);
      strips.append(`Strip on the right: row ${row} sums to `, digits(sum), ". ");
      const columns = [{name: "weight", values: own.weights, adds: true}];
      const norms = own.vectors?.valueNorms;
      if (own.vectors) columns.push({name: "score", values: rowOf(own.vectors, row).scores});
      if (norms) columns.push({name: "contribution", values: own.weights.map((weight, j) => weight * norms[j])});
      fill(table, lineTable(facts, [`Row ${row} `, tokenName(facts, row), " looks at"], columns, row));
    }
    if (received) {
      const [sum, rows] = [lineTotal(received), received.filter((weight) => !Number.isNaN(weight)).length];
      sums.received.set(column, sum / rows);
      strips.append(`Strip below: column ${column} receives `, digits(sum), ", a mean of ", digits(sum / rows),
        ` over the ${rows} rows that may look at it `, derivedBadge());
    }
    redraw();
  }

  async function lines(head, row, column) {
    const own = row >= 0 ? await lineWeights(page, head, "row", row) : null;
    return [own, column >= 0 ? (await lineWeights(page, head, "column", column)).weights : null];
  }

  function show(head, row, column) {
    const name = `${head.site}/${head.layer}/${head.head}`, as = `${name} ${row} ${column}`;
    if (name !== headAs) Object.values(sums).forEach((of) => of.clear());
    headAs = name;
    if (as === shown) return;
    forget();
    shown = as;
    ask = () => asked.ask(() => lines(head, row, column), (found) => tell(row, column, ...found));
    timer = setTimeout(ask, facts.n > 1024 ? 300 : 80); // of a long text it is work: not for heads that flash by
  }

  function forget() {
    clearTimeout(timer);
    asked.forget();
  }
  return {status, table, strips, sums, show, forget};
}
