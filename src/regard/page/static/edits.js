// Edits: what the model would have said with parts of it taken out, in a list that stands in the address.

import {barStrip} from "./bars.js";
import {asking, choiceOf, digits, keepFocus, numberCell, plainButton, rovingKeys} from "./controls.js";
import {element, fill, tokenName} from "./dom.js";
import {shortNumber} from "./numbers.js";

const EDITS_REACH = ["5", "0.5", "0.05"]; // nats: the fixed scales of the bars
const EDITS_ROWS = 20;

/** By the sign that stands in the address: what is edited, how, and what names its place. */
const EDITS_KINDS = {
  z: {name: "zero a head", part: "heads", kind: "zero", needs: ["head"], about: "The head adds nothing to the stream."},
  a: {name: "zero a whole attention sublayer", part: "attention", kind: "zero", needs: [],
    about: "All heads of the layer, and their bias, add nothing to the stream."},
  f: {name: "zero a whole feed-forward sublayer", part: "feed_forward", kind: "zero", needs: [],
    about: "The layer's feed-forward network adds nothing to the stream."},
  m: {name: "mask an edge", part: "edges", kind: "mask", needs: ["head", "row", "column"],
    about: "The score becomes minus infinity: the rest of the row grows, and still sums to 1."},
  c: {name: "cut an edge", part: "edges", kind: "cut", needs: ["head", "row", "column"],
    about: "This contribution is removed; the rest of the row stays as it was."},
  v: {name: "zero a token's value", part: "value", kind: "zero", needs: ["head", "column"],
    about: "The head takes zeros from this token, with the same weights."},
};

/** One number, or "5-9": [5, 9]. */
const editsPlace = (text) => (text.includes("-") ? text.split("-").map(Number) : Number(text));

/**
 * "z:1.0;m:2.3:5:1" -> {edits, unread}: sign, layer.head, row and column, each also several in a row, 5-9; what this run
 * does not have is unread.
 */
export function editsOf(text, facts) {
  const edits = [], unread = [];
  for (const word of (text ?? "").split(";").filter(Boolean)) {
    const parts = /^([a-z]):(\d+)(?:\.(\d+))?((?::\d+(?:-\d+)?)*)$/.exec(word) ?? [];
    const [, sign, layer, head, rest] = parts;
    const known = EDITS_KINDS[sign], numbers = (rest ?? "").split(":").slice(1);
    const given = known ? [...(head === undefined ? [] : [head]), ...numbers].map(editsPlace) : [];
    const one = {sign, word, layer: Number(layer)};
    known?.needs.forEach((name, at) => { one[name] = given[at]; });
    const most = {layer: facts.layers, head: facts.heads, row: facts.n, column: facts.n};
    const formed = known && given.length === known.needs.length &&
      (head !== undefined) === known.needs.includes("head");
    const inside = ([first, last = first], size) => first <= last && last < size;
    const there = formed && ["layer", ...known.needs].every((name) => inside([one[name]].flat(), most[name]));
    if (there) edits.push(one);
    else unread.push(word);
  }
  return {edits, unread};
}

/** Which of the fixed scales the bars of a change have: chosen, never fitted to the numbers. limit(): nats either way. */
export function editsScale({state}) {
  const [node, select] = choiceOf("bars end at", EDITS_REACH.map((one) => [one, `±${one} nats`]), (reach) => state.set({reach}));
  const now = () => EDITS_REACH.find((one) => one === state.get().reach) ?? "0.5";
  return {node: element("div", {}, node), limit: () => Number(now()), show: () => { select.value = now(); }};
}

/** As it is written in the address; at: layer, head, row and column, the last two numbers or such as "5-9". */
export function editsWord(sign, at) {
  const {needs} = EDITS_KINDS[sign], numbers = needs.filter((name) => name !== "head").map((name) => `:${at[name]}`);
  return `${sign}:${at.layer}` + (needs.includes("head") ? `.${at.head}` : "") + numbers.join("");
}

/** As the server takes it. */
export function editsAsked({sign, layer, head, row, column}) {
  const {part, kind} = EDITS_KINDS[sign];
  const run = ([first, last = first]) => Array.from({length: last - first + 1}, (_, k) => first + k);
  const some = (one) => (one === undefined ? [] : run([one].flat()));
  return {part, kind, layer, heads: some(head), rows: some(row), cols: some(column)};
}

export function editsName({tokens: {labels}}, {sign, layer, head, row, column}) {
  const token = (at) => Array.isArray(at) ? [at.join(" to ")] : [`${at} `, element("bdi", {class: "token"}, labels[at])];
  const {name} = EDITS_KINDS[sign], several = [row, column].some(Array.isArray);
  return [`${several ? name.replace("an edge", "a block of edges") : name}: layer ${layer}`, head === undefined ? "" : `, head ${head}`,
    ...(row === undefined ? [] : [", from ", ...token(row)]),
    ...(column === undefined ? [] : [", at ", ...token(column)])];
}

/** Of a text. about: what the numbers are; shown(page): draws an effect; said(effect): of it aloud; locks: for the predictions. */
const EDITS_OF_TEXT = {about: "the numbers are the change of log p of what really came next, in nats, edited minus recorded.",
  shown: editsEffect, said: ({mean}) => `mean change ${shortNumber(mean)} nats`, locks: true};

export function editsPanel(place, page, {about, shown: showing, said, locks} = EDITS_OF_TEXT) {
  const {facts, state} = page;
  const title = [element("h2", {}, "What would the model have said without a part of it?"),
    element("p", {class: "quiet"}, "Weights show where a head read from, not why the model answered so. Take " +
      `something out: ${about}`)];
  if (!facts.model || !page.ask.live) {
    const words = "Edits run the model again, so they need the live page of a run with its model.";
    fill(place, ...title, element("p", {}, words));
    return {update: () => {}, destroy: () => {}};
  }
  const client = Math.random().toString(36).slice(2);
  const notice = element("div"), result = element("div", {class: "stack"});
  let number = 0, drawn = "", effect = null;
  const controls = editsControls(page, locks), shown = showing(page);

  function draw() {
    fill(result, effect ? shown.node : null);
    if (effect) shown.draw(effect);
  }

  const again = () => {
    drawn = "";
    update();
  };
  const asked = asking(page, result, notice, again);

  function update() {
    const {edits} = editsOf(state.get().edits, facts);
    controls.show();
    const wanted = [page.key, ...edits.map(({word}) => word)].join(";");
    if (wanted === drawn) {
      if (effect) shown.draw(effect);
      return;
    }
    drawn = wanted;
    if (edits.length === 0) {
      asked.forget();
      effect = null;
      fill(notice, element("p", {class: "quiet"}, "Nothing is taken out yet: choose a part above and add it."));
      draw();
      return;
    }
    const body = () => ({edits: edits.map(editsAsked), client, number: ++number});
    const ask = (others, use, words) => asked.ask(() => page.ask.post(`${page.key}/edit`, {...body(), others}), use, words);
    const take = (answer) => {
      effect = answer;
      draw();
    };
    ask(false, (answer) => { // the edit at once, and then what random others do
      take({...answer, waits: true});
      page.say(`${effect.badge}: ${said(effect)}`);
      ask(true, take, "");
    }, "Running the model with the edits, and with an identity edit as a control …");
  }

  fill(place, ...title, controls.node, notice, result);
  return {update, destroy: () => {
    asked.forget();
    shown.destroy();
  }};
}

/** What to take out, and the list of what is. */
function editsControls({facts, state, say}, locks) {
  const now = () => {
    const {layer, head, row, column} = state.get(), most = facts.n - 1;
    return {layer: Math.min(layer, facts.layers - 1), head: Math.min(head, facts.heads - 1),
      row: row < 0 ? most : Math.min(row, most), column: Math.max(0, Math.min(column, most))};
  };
  const words = () => (state.get().edits ?? "").split(";").filter(Boolean);
  const set = (list) => state.set({edits: list.join(";")});
  const sign = element("select", {"aria-label": "edit", onchange: () => show()},
    ...Object.entries(EDITS_KINDS).map(([value, {name}]) => element("option", {value}, name)));
  const place = (name) => {
    const change = (i) => Number.isInteger(i) && state.set({[name]: Math.max(0, Math.min(facts.n - 1, i))});
    const more = {type: "number", min: 0, max: facts.n - 1, onchange: () => change(input.valueAsNumber)};
    const input = element("input", more), token = element("span");
    const title = name === "row" ? "query token " : "key token ";
    return {input, token, label: element("label", {}, title, input, " ", token)};
  };
  const places = {row: place("row"), column: place("column")}, where = element("span", {class: "quiet"});
  const about = element("p", {class: "quiet small"}), list = element("ol", {class: "edits-list"});
  const left = element("p", {class: "failed"});
  const undo = plainButton("undo the last", () => set(words().slice(0, -1)), {"data-undo": true});
  const clear = plainButton("undo all", () => set([]));
  const lock = plainButton("lock, and see both strips", () => state.set({lock: words().join(";"), view: "prediction"}));
  const add = plainButton("add this edit", () => {
    const word = editsWord(sign.value, now());
    if (words().includes(word)) say("this edit is in the list already");
    else set([...words(), word]);
  });

  function show() {
    const at = now(), {needs, about: text} = EDITS_KINDS[sign.value];
    const {edits, unread} = editsOf(state.get().edits, facts);
    fill(where, `layer ${at.layer}`, needs.includes("head") ? `, head ${at.head}` : "");
    fill(about, text);
    for (const [name, {input, token, label}] of Object.entries(places)) {
      label.hidden = !needs.includes(name);
      input.value = at[name];
      fill(token, tokenName(facts, at[name]));
    }
    fill(list, ...edits.map((one) => element("li", {}, ...editsName(facts, one), " ",
      plainButton("remove", () => set(words().filter((word) => word !== one.word))))));
    for (const one of [undo, clear, lock]) one.hidden = !words().length || (one === lock && !locks);
    fill(left, unread.length ? `Left out, as this run has no such place: ${unread.join(", ")}` : null);
  }
  const bar = element("div", {class: "row"}, sign, where, places.row.label, places.column.label, add);
  const undoing = element("div", {class: "row"}, undo, clear, lock);
  return {show, node: element("div", {class: "stack edits-controls"}, bar, about, list, left, undoing)};
}

/** The effect: badge, control, mean beside random targets, the strip, its numbers, and a position before and after. */
function editsEffect(page) {
  const {facts, state} = page, {labels} = facts.tokens;
  const summary = element("div"), table = element("div", {class: "scroll"}), both = element("div");
  const choose = (i) => state.set({position: i}, {replace: true});
  const name = (i) => `position ${i}, after ${labels[i]}`;
  const strip = barStrip({label: "change of log p of what came next", unit: " nats", high: 128, signed: true, choose, name});
  const scale = editsScale(page);
  let order = "text", start = 0, held = null, seen = null;
  const [ordered] = choiceOf("in", [["text", "order of the text"], ["change", "change, largest first"]], (by) => {
    [order, seen] = [by, null];
    draw(held);
  }, null);
  const turn = (by) => {
    start += by * EDITS_ROWS;
    draw(held);
  };
  const back = plainButton("‹ back", () => turn(-1)), on = plainButton("on ›", () => turn(1)), said = element("span", {class: "quiet number"});
  const node = element("div", {class: "stack"}, summary, scale.node, strip.node,
    element("div", {class: "row"}, back, on, said, ordered), table, both);

  function draw(effect) {
    const change = effect.change.map((value) => value ?? NaN);
    const size = (i) => (Number.isNaN(change[i]) ? -1 : Math.abs(change[i]));
    const largest = [...change.keys()].sort((a, b) => size(b) - size(a) || a - b);
    const given = state.get().position, at = given >= 0 && given < facts.n ? given : largest[0];
    const ranked = order === "text" ? [...change.keys()] : largest;
    if (held !== effect || seen !== at) start = Math.floor(ranked.indexOf(at) / EDITS_ROWS) * EDITS_ROWS;
    [held, seen] = [effect, at];
    const places = ranked.slice(start, start + EDITS_ROWS);
    [back.disabled, on.disabled] = [start === 0, start + EDITS_ROWS >= facts.n];
    fill(said, `${start + 1} to ${start + places.length} of ${facts.n}`);
    fill(summary, ...editsSummary(effect));
    scale.show();
    strip.draw({values: change, limit: scale.limit(), at});
    keepFocus(table, () => fill(table, editsTable(page, effect, places, at, choose)));
    fill(both, ...editsBoth(page, effect, at, given === at));
  }
  return {node, draw, destroy: strip.destroy};
}

/** What random edits do beside this one; changes: what is compared. */
export function editsBeside({moved, percentile, others, waits}, changes) {
  if (waits) return element("p", {}, "Random edits of the same kind and size are being tried …");
  if (percentile === null) return element("p", {}, "No random target of the same size can be found here.");
  const fewer = others.filter((other) => Math.abs(other) < Math.abs(moved)).length, sorted = [...others].sort((a, b) => a - b);
  return element("p", {}, `Without its sign that is more than ${fewer} of ${others.length} random edits of the same kind and size, whose ${changes} are `,
    ...sorted.flatMap((other, k) => [k ? ", " : "", digits(other, shortNumber)]), " nats.");
}

function editsSummary(effect) {
  const {badge, edits, control, mean, change} = effect;
  const known = change.filter((value) => value !== null).length, failed = /failed/.test(badge);
  return [
    element("p", {}, element("span", {class: `edits-badge ${failed ? "edits-failed" : ""}`}, badge),
      ` ${edits.join("; ")}`),
    element("p", {}, `Mean change over ${known} positions `, digits(mean), " nats ",
      element("span", {class: "derived"}, "Derived"), "."),
    editsBeside(effect, "mean changes"),
    element("p", {class: "quiet small"}, "Control: an identity edit by the same code moves no logit by more than ",
      digits(control, shortNumber), " of the largest. The other views show the recorded run, without edits."),
  ];
}

const editsToken = (label) => element("bdi", {class: "token"}, label);
const editsLikeliest = ([[label, p]]) => element("td", {}, editsToken(label), " ", digits(p, shortNumber));

function editsTable(page, {change, divergence, before, after}, places, at, choose) {
  const {facts} = page, {labels} = facts.tokens, stop = places.includes(at) ? at : places[0];
  const keyOf = (i) => {
    const look = {type: "button", class: "plain edits-key", "data-key": i, tabindex: i === stop ? 0 : -1};
    const more = {"aria-pressed": String(i === at), onclick: () => choose(i)};
    return element("button", {...look, ...more}, `${i} `, tokenName(facts, i));
  };
  const rows = places.map((i) => element("tr", {class: i === at ? "chosen" : null},
    element("th", {scope: "row"}, keyOf(i)),
    element("td", {}, change[i] === null ? "no truth here" : editsToken(labels[i + 1] ?? "")),
    numberCell(change[i]), numberCell(divergence[i]),
    editsLikeliest(before[i]), editsLikeliest(after[i])));
  const names = ["position, token", "what came next", "change of its log p, nats", "KL, nats", "likeliest before",
    "likeliest after: edited run"];
  const onkeydown = (event) => rovingKeys(event, ".edits-key", "ArrowUp", "ArrowDown");
  return element("table", {class: "numbers edits-table", onkeydown},
    element("thead", {}, element("tr", {}, ...names.map((name) => element("th", {scope: "col"}, name)))),
    element("tbody", {}, ...rows));
}

/** The five likeliest at one position, before and after. */
function editsBoth(page, {before, after}, at, chosen) {
  const line = ([label, p]) => element("tr", {}, element("td", {}, editsToken(label)), element("td", {}, digits(p)));
  const list = (words, top) => element("div", {}, element("h3", {}, words),
    element("table", {class: "numbers"}, element("tbody", {}, ...top.map(line))));
  const none = chosen ? "" : " (none was chosen, so the one that changed most)";
  return [
    element("h3", {}, `Position ${at}: `, tokenName(page.facts, at), none),
    element("div", {class: "row edits-both"}, list("Before", before[at]), list("After: edited run", after[at])),
  ];
}
