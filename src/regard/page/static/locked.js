// A locked edit beside the recorded run: what came next before and after it, position by position, and the difference.

import {barStrip} from "./bars.js";
import {asking, digits, numberCell, plainButton} from "./controls.js";
import {element, fill} from "./dom.js";
import {EDITS_LIMIT, editsAsked, editsName, editsOf} from "./edits.js";
import {shortNumber} from "./numbers.js";
import {noneCell, rankText, tokenText} from "./ranks.js";

/** The address's lock=z:1.0;... is run once; redraw() when the answer is there. rows(): lines of the strip's table. */
export function lockedRun(page, {redraw, choose, name}) {
  const {facts, state} = page, client = Math.random().toString(36).slice(2), notice = element("div");
  const about = element("div"), node = element("div", {class: "locked-edit"}, about, notice);
  const after = barStrip({label: "surprisal in the edited run", unit: " bits", choose, name});
  const change = barStrip({label: "change of log p of what came next", unit: " nats", choose, name});
  const strips = element("div", {class: "stack", hidden: true}, after.node, change.node);
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
    if (!facts.model || !page.ask.live) {
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
    const bits = effect.truth.p.map((p) => (p === null ? NaN : -Math.log2(p)));
    after.draw({values: bits, ghost: before, limit, at});
    change.draw({values: effect.change.map((one) => one ?? NaN), limit: EDITS_LIMIT, at});
  }

  const known = (i, make) => effect.change[i] === null ? noneCell() : make(effect.truth, i);
  const rows = () => effect ? [
    ["edited run: its probability", (i) => known(i, ({p}) => numberCell(p[i]))],
    ["edited run: its rank", (i) => known(i, ({rank, ties}) =>
      numberCell(rank[i], rankText({rank: rank[i], ties: ties[i]})))],
    ["change of its log p, nats", (i) => numberCell(effect.change[i])],
    ["edited run: likeliest", (i) => {
      const [[label, p]] = effect.after[i];
      return element("td", {}, tokenText(label), " ", digits(p, shortNumber));
    }],
  ] : [];
  return {node, strips, update, draw, rows, destroy: () => {
    asked.forget();
    after.destroy();
    change.destroy();
  }};
}
