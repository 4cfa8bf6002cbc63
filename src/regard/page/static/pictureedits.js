// What an edit does to what a picture is taken for, and to each of its tokens.

import {barStrip} from "./bars.js";
import {withoutClasses} from "./classes.js";
import {digits, numberCell} from "./controls.js";
import {editsBeside, editsPanel, editsScale} from "./edits.js";
import {element, fill, tokenName} from "./dom.js";
import {shortNumber} from "./numbers.js";

const PICTURE_TOKENS = 20; // that are listed

export function pictureEdits(place, page) {
  if (page.facts.picture.answers) return editsPanel(place, page, EDITS_OF_PICTURE);
  return withoutClasses(place, "The model learnt without labels, so there is no answer that an edit could change.");
}

/** For editsPanel (edits.js). */
const EDITS_OF_PICTURE = {
  about: "the numbers are what it is taken for, before and after, and how far each token's classes move (KL, in nats).",
  shown: pictureEffect, said: ({classes: [before, after]}) => (after ? `taken for ${after[0][0]}, before for ${before[0][0]}` : "each token's classes moved"), locks: false,
};

function pictureEffect(page) {
  const {facts, state} = page, {labels} = facts.tokens, summary = element("div"), table = element("div", {class: "scroll"});
  const choose = (i) => state.set({position: i}, {replace: true}), scale = editsScale(page);
  const strip = barStrip({label: "KL of a token's classes, before against after", unit: " nats", high: 128, choose, name: (i) => `token ${i}, ${labels[i]}`});
  const node = element("div", {class: "stack"}, summary, scale.node, strip.node, table);

  function draw(effect) {
    const moved = effect.divergence.map((value) => value ?? NaN), size = (i) => (Number.isNaN(moved[i]) ? -1 : moved[i]);
    const largest = [...moved.keys()].sort((a, b) => size(b) - size(a) || a - b), given = state.get().position;
    const at = given >= 0 && given < facts.n ? given : largest[0], places = [...new Set([at, ...largest])].slice(0, PICTURE_TOKENS);
    fill(summary, ...pictureSummary(facts, effect));
    scale.show();
    strip.draw({values: moved, limit: scale.limit(), at});
    fill(table, pictureMoved(facts, effect, places, at));
  }
  return {node, draw, destroy: strip.destroy};
}

function pictureSummary({picture}, effect) {
  const {badge, edits, control, moved, classes: [before, after]} = effect;
  const line = ([label, p]) => element("tr", {}, element("td", {}, element("bdi", {}, label)), numberCell(p));
  const list = (words, top) => element("div", {}, element("h3", {}, words), element("table", {class: "numbers"}, element("tbody", {}, ...top.map(line))));
  return [
    element("p", {}, element("span", {class: `edits-badge ${/failed/.test(badge) ? "edits-failed" : ""}`}, badge), ` ${edits.join("; ")}`),
    after ? element("div", {class: "row edits-both"}, list("Taken for, before", before), list("After: edited run", after)) :
      element("p", {}, `Of so many classes ${picture.read} is not kept; below are the tokens by themselves.`),
    element("p", {}, "Log p of what it was taken for before changes by ", digits(moved), " nats."), editsBeside(effect, "changes"),
    element("p", {class: "quiet small"}, "Control: an identity edit by the same code moves no logit by more than ", digits(control, shortNumber),
      " of the largest. The other views show the recorded run, without edits."),
  ];
}

/** The tokens whose classes moved most, the chosen one first. */
function pictureMoved(facts, {divergence, before, after}, places, at) {
  const likeliest = ([[label, p]]) => element("td", {}, element("bdi", {class: "token"}, label), " ", digits(p, shortNumber));
  const rows = places.map((i) => element("tr", {class: i === at ? "chosen" : null}, element("th", {scope: "row"}, `${i} `, tokenName(facts, i)),
    numberCell(divergence[i]), likeliest(before[i]), likeliest(after[i])));
  const names = ["token", "KL, nats", "likeliest before", "likeliest after: edited run"];
  return element("table", {class: "numbers edits-table"}, element("caption", {}, `The ${rows.length} tokens that moved most, the chosen one first`),
    element("thead", {}, element("tr", {}, ...names.map((name) => element("th", {scope: "col"}, name)))), element("tbody", {}, ...rows));
}
