// A locked edit beside the recorded run: what came next before and after it, position by position, and the difference.

import {barStrip} from "./bars.js";
import {asking, digits, numberCell, plainButton} from "./controls.js";
import {element, fill} from "./dom.js";
import {editsAsked, editsName, editsOf, editsScale} from "./edits.js";
import {shortNumber} from "./numbers.js";
import {tokenText} from "./ranks.js";

const LOCKED_AFTER = "surprisal in the edited run", LOCKED_CHANGE = "change of log p of what came next";

/** The address's lock=z:1.0;... is run once; redraw() when the answer is there. rows(): lines of the strip's table. */
export function lockedRun(page, {redraw, choose, name}) {
  const {facts, state} = page, live = facts.model && page.ask.live, client = Math.random().toString(36).slice(2), notice = element("div");
  const about = element("div"), node = element("div", {class: "locked-edit"}, about, notice);
  const after = barStrip({label: LOCKED_AFTER, unit: " bits", choose, name});
  const change = barStrip({label: LOCKED_CHANGE, unit: " nats", signed: true, choose, name}), scale = editsScale(page);
  const strips = element("div", {class: "stack", hidden: true}, after.node, scale.node, change.node);
  let number = 0, drawn = "", effect = null;
  const again = () => {
    drawn = "";
    update();
  };
  const asked = asking(page, node, notice, again);
  const unlock = plainButton("unlock", () => state.set({lock: ""}));

  function say(edits, unread) {
    const badge = effect ? element("span", {class: "edits-badge"}, effect.badge) : null;
    const list = edits.flatMap((one, at) => [at ? "; " : "", ...editsName(facts, one)]);
    const left = unread.length ? ` Left out, as this run has no such place: ${unread.join(", ")}.` : "";
    fill(about, element("div", {class: "row"}, badge, element("span", {}, "Locked edit: ", ...list, left), unlock),
      effect ? element("p", {class: "quiet small"}, "Pale lines and the two lower strips are of the edited run; all " +
        "else is the recorded one. Control: an identity edit moves no logit by more than ",
        digits(effect.control, shortNumber), " of the largest.") : null);
  }

  function update() {
    const {edits, unread} = editsOf(state.get().lock, facts), words = edits.map(({word}) => word).join(";");
    if (words === drawn) return;
    drawn = words;
    asked.forget();
    effect = null;
    strips.hidden = true;
    fill(notice);
    if (edits.length + unread.length) say(edits, unread);
    else fill(about);
    if (!edits.length) return redraw();
    if (!live) {
      const why = "The edited strip runs the model again: look at this run live to see it.";
      fill(notice, element("p", {class: "quiet"}, why));
      return redraw();
    }
    const body = () => ({edits: edits.map(editsAsked), client, number: ++number});
    asked.ask(() => page.ask.post(`${page.key}/edit`, {...body(), others: false}), (answer) => {
      effect = answer;
      say(edits, unread);
      redraw();
    }, "Running the model with the locked edit …");
  }

  /** The strips; before: surprisals of the recorded run in bits, limit: their scale. */
  function draw(before, limit, at) {
    strips.hidden = !effect;
    if (!effect) return;
    const [bits, changes] = numbers();
    scale.show();
    after.draw({values: bits, ghost: before, limit, at});
    change.draw({values: changes, limit: scale.limit(), at});
  }

  /** Of every position surprisal in bits, and change in nats; NaN where nothing came next. */
  const numbers = () => [effect.truth.p.map((p) => (p === null ? NaN : -Math.log2(p))), effect.change.map((one) => one ?? NaN)];

  /** What stands beside the lines of the recorded run: [name, (position) -> a number, a text, or null]. */
  function lines() {
    const {truth, change: by, after: said} = effect, known = (values) => (i) => (by[i] === null ? null : values[i]);
    return [["edited run: its probability", known(truth.p)], ["edited run: its rank", known(truth.rank)],
      ["edited run: ties", known(truth.ties)], ["change of its log p, nats", (i) => by[i]],
      ["edited run: likeliest", (i) => said[i][0][0]], ["edited run: probability of likeliest", (i) => said[i][0][1]]];
  }
  const cell = (value) => typeof value === "string" ? element("td", {}, tokenText(value)) : numberCell(value);
  const rows = () => effect ? lines().map(([name, of]) => [name, (i) => cell(of(i))]) : [];

  /** What is saved of it beside these positions: {columns, arrays, strips, edits, words}; before and limit as above. */
  function slice(places, before, limit) {
    if (!live || !drawn) return {columns: [], arrays: [], strips: []};
    if (!effect) throw new Error("The edited run is not there yet: wait until it is drawn, then save again.");
    const [bits, changes] = numbers(), array = (name, values) => [name, [facts.n], Float64Array.from(values)];
    const edits = `${effect.edits.join("; ")} (${drawn})`, off = shortNumber(effect.control);
    return {
      edits, columns: lines().map(([name, of]) => ({name, values: places.map(of)})),
      arrays: [array("surprisal_in_edited_run", bits), array("change_of_log_p", changes)],
      strips: [[`${LOCKED_AFTER}, bits`, {values: bits, ghost: before, limit}],
        [`${LOCKED_CHANGE}, nats`, {values: changes, limit: scale.limit(), signed: true}]],
      words: `${effect.badge}: ${edits}. Edited run and change (edited minus recorded) are of it, marks in bars and all else of the ` +
        `recorded one. An identity edit moves no logit by more than ${off} of the largest.`,
    };
  }

  return {node, strips, update, draw, rows, slice, destroy: () => {
    asked.forget();
    after.destroy();
    change.destroy();
  }};
}
