// View 7, a picture: which of its patches does a token look at?

import {readTile} from "./ask.js";
import {blockOf} from "./blocks.js";
import {asking, choiceOf, derivedBadge, digits, formOf, keepFocus, plainButton, rovingKeys} from "./controls.js";
import {element, fill, tokenName} from "./dom.js";
import {exactNumber, percent, shortNumber} from "./numbers.js";
import {patchesGiven, patchesHeaviest, patchesIn, patchesWhole, patchMasses, patchPaint, patchPart, patchPixels, patchSize, patchTokens} from "./patches.js";
import {overlaySlice} from "./pictureslices.js";
import {lineTable, lineTotal, lineWeights} from "./rows.js";
import {pictureStage} from "./stage.js";

const OVERLAY_HEAD = 128; // pixels on the longer side of the map of one among all heads
const OVERLAY_KEYS = "Arrow keys choose another patch to look from, with shift they draw a box, Escape clears it; Enter looks up the row";
const OVERLAY_POINT = "Point at a patch to read its number; a box of one patch says it, too.";

export function overlayView(place, page) {
  const {facts, state, facts: {picture, n, heads, tokens: {kinds}}} = page, {rows, columns} = picture;
  const patches = patchTokens(facts), others = [...kinds.keys()].filter((at) => kinds[at] !== "patch");
  const middle = patches[Math.floor(rows / 2) * columns + Math.floor(columns / 2)], usual = kinds[0] === "class" ? 0 : middle;
  let now = null, shown = null, seen = "", drawing = false;

  const stage = pictureStage(page, {label: OVERLAY_KEYS, hover: point, choose: (k) => look(patches[k]), box: (box) => state.set({box}, {replace: true}),
    enter: () => state.set({row: now.at, view: "lookup"}), after: drawHeads});
  const whole = element("canvas", {class: "overlay-whole", "aria-hidden": "true"});
  const [readout, told, boxed, status, table] = ["p", "p", "p", "div", "div"].map((name) => element(name));
  const every = element("div", {class: "row overlay-heads", role: "group", "aria-label": "all heads of the layer",
    onkeydown: (event) => rovingKeys(event, ".overlay-head", "ArrowLeft", "ArrowRight")});
  const look = (row) => state.set({row}), chosen = element("span");
  const tokens = others.map((at) => plainButton(facts.tokens.labels[at], () => look(at), {"data-token": at}));
  const [byLabel, by] = choiceOf("the chosen token", [["", "looks at"], ["by", "is looked at by"]], (direction) => state.set({direction}));
  const [mixLabel, mix] = choiceOf("show", [["", "weights of heads"], ["rollout", "rollout (Derived)"]], (one) => state.set({mix: one}));
  const [opacity, opacityLabel] = slider("opacity", "how opaque the map is, in percent", {min: 0, max: 100, value: "60"});
  const [share, shareLabel] = slider("share", "only the smallest set of patches with this share of their mass", {min: 0.05, max: 1, step: 0.05, value: "1"});
  const goto = element("input", {class: "small matrix-goto", placeholder: "1,2 or 0-3,2-5", "aria-label": "a box: its rows, its columns", "data-go": true});
  const marker = plainButton("draw a box", () => {
    stage.draws(drawing = !drawing);
    marker.setAttribute("aria-pressed", drawing);
  }, {"aria-pressed": "false"});
  fill(place, element("h2", {}, "Which patches does this token look at?"),
    element("p", {class: "quiet"}, `The ${picture.thing} is as the model saw it; each patch has the colour of its weight on the page's scale. Click a patch to look from it.` +
      (picture.sound ? "" : " A picture has this view where a text has lines, as patches are in no reading order.")),
    element("div", {class: "row"}, ...tokens, chosen, byLabel, mixLabel),
    element("div", {class: "row"}, opacityLabel, shareLabel, marker, formOf(goto, "go", (box) => state.set({box}))),
    element("div", {class: "overlay-both"},
      element("div", {}, stage.node, element("p", {class: "quiet small"}, `${OVERLAY_KEYS}.`)),
      element("div", {}, readout, told, boxed, status, whole, element("p", {class: "quiet small"}, patchesGiven(picture)))),
    every, element("div", {class: "scroll"}, table));
  const asked = asking(page, place, status, load);

  /** A number that stands in the address, but not where it is the usual one: [show(number), label]. */
  function slider(name, words, more) {
    const input = element("input", {type: "range", "aria-label": words, ...more,
      oninput: () => state.set({[name]: input.value === more.value ? "" : input.value}, {replace: true})});
    const said = element("span", {class: "number"}), show = (value) => fill(said, String(input.value = value));
    return [show, element("label", {class: "small overlay-slide"}, `${words} `, input, said)];
  }

  /** The row or column of each head, null of one that a saved page does not hold; or of the rollout alone. */
  async function read() {
    const {site, layer, at, reverse, mixed} = now, pixels = await patchPixels(page), direction = reverse ? "column" : "row";
    if (mixed) {
      const {values} = readTile(await page.ask.bytes(`${page.key}/rollout/${layer}`));
      return {pixels, weights: [Array.from({length: n}, (_, k) => values[reverse ? k * n + at : at * n + k])]};
    }
    const one = (head) => lineWeights(page, {site, layer, head}, direction, at).then(({weights}) => Array.from(weights), (error) => {
      if (page.ask.live) throw error;
      return null;
    });
    return {pixels, weights: await Promise.all(Array.from({length: heads}, (_, head) => one(head)))};
  }

  function load() {
    const wanted = now;
    asked.ask(read, (found) => {
      shown = {...found, at: wanted.at};
      tell();
      page.say(told.textContent);
    }, shown ? "" : "Reading what this token looks at …");
  }

  const own = () => shown.weights[now.mixed ? 0 : now.head] ?? null;
  const onPatches = (weights) => patches.map((at) => weights[at]);
  const heaviest = (weights) => patchesHeaviest(onPatches(weights), now.share);
  /** What is painted of a map: null of a patch that is left out. */
  function mapOf(weights) {
    const on = onPatches(weights), kept = heaviest(weights);
    return {pixels: shown.pixels, share: now.opacity / 100, values: on.map((value, k) => (kept[k] || Number.isNaN(value) ? value : null))};
  }

  function drawHeads() {
    const ratio = window.devicePixelRatio || 1, size = patchSize(picture, OVERLAY_HEAD * ratio);
    patchesWhole(whole, picture, shown.pixels);
    [...every.children].forEach(({lastChild: canvas}, head) => {
      if (!shown.weights[head]) return;
      patchPaint(canvas, page, {...mapOf(shown.weights[head]), size});
      [canvas.style.width, canvas.style.height] = [canvas.width, canvas.height].map((length) => `${length / ratio}px`);
    });
  }

  /** Masses by kind, as nodes; show: of few digits. */
  const masses = (weights, show) => patchMasses(weights, facts).flatMap(([kind, sum], k) =>
    [k ? ", " : "", kind === "patch" ? "patches " : `${kind} `, digits(sum, show)]);

  /** Of a row what lies where; of a column what it receives, divided as in the matrix view. */
  function together(weights) {
    const total = lineTotal(weights), may = weights.filter((weight) => !Number.isNaN(weight)).length;
    if (!now.reverse) return ["Mass on ", ...masses(weights), "; together ", digits(total), ". "];
    return ["Received from ", ...masses(weights), "; together ", digits(total), ", a mean of ", digits(total / may),
      ` over the ${may} rows that may look at it `, derivedBadge(), ". "];
  }

  function drawn(weights) {
    const on = onPatches(weights), kept = heaviest(weights), part = lineTotal(on.filter((_, k) => kept[k])) / lineTotal(on);
    return ["Drawn: ", element("span", {class: "number overlay-drawn", "data-value": exactNumber(part)}, percent(part)),
      ` of the patch mass, on ${kept.filter(Boolean).length} of ${patches.length} patches` + (now.share < 1 ? "; the others are bare." : ".")];
  }

  function inBox(weights) {
    const box = blockOf(now.box, {n: rows, m: columns});
    if (!box) return [now.box ? `There is no box ${now.box}: write rows from 0 to ${rows - 1} and columns from 0 to ${columns - 1}, such as 0-1,0-1. ` : ""];
    const inside = patchesIn(box, picture), mass = lineTotal(onPatches(weights).filter((_, k) => inside[k])), area = inside.filter(Boolean).length / patches.length;
    return [`Box ${now.box}: mass inside `, digits(mass), ", share of the area ", digits(area), ...(now.reverse ? [] : [", lift (mass / area) ", digits(mass / area)]),
      ". ", plainButton("clear", () => state.set({box: ""}))];
  }

  const name = (at) => (kinds[at] === "patch" ? ["patch ", tokenName(facts, at), patchPart(picture, patches.indexOf(at))] : [tokenName(facts, at)]);

  function tellHeads() {
    const one = (weights, head) => element("button", {type: "button", class: "plain overlay-head small", "data-key": head,
      "aria-pressed": String(head === now.head), tabindex: head === now.head ? 0 : -1, onclick: () => state.set({head})},
    element("span", {}, `head ${head}`), element("span", {}, ...(weights ? masses(weights, shortNumber) : ["not in this saved page"])),
    element("canvas", {class: "heads-thumb", width: 0, height: 0, "aria-hidden": "true"}));
    keepFocus(every, () => fill(every, ...(now.mixed ? [] : shown.weights.map(one))));
  }

  /** Everything that is said and drawn of what was read. */
  function tell() {
    const {at, reverse, layer, mixed} = now, weights = own();
    tellHeads();
    for (const part of [told, boxed, table, status]) fill(part);
    if (!weights) {
      fill(status, "This head is not in the saved page: choose one that is.");
      return stage.show({pixels: shown.pixels, values: [], share: 0, at: -1, box: ""});
    }
    fill(told, ...(mixed ? [`Rollout up to layer ${layer} `, derivedBadge(), `: ${picture.rollout} (Abnar and Zuidema 2020); its rows sum to 1. `] :
      [`Layer ${layer}, head ${now.head}. `]), ...together(weights), ...drawn(weights));
    fill(boxed, ...inBox(weights));
    fill(table, lineTable(facts, [...name(at), reverse ? " is looked at by" : " looks at"], [{name: mixed ? "rollout" : "weight", values: weights, adds: true}], at));
    stage.show({...mapOf(weights), at: patches.indexOf(at), box: now.box});
    point(-1);
  }

  /** The patch under the pointer, read out. */
  function point(k) {
    const weights = shown && own();
    fill(readout, ...(k < 0 || !weights ? [OVERLAY_POINT] : [...name(patches[k]), ": ", digits(weights[patches[k]])]));
  }

  return {
    slice: () => overlaySlice(page, {...now, pixels: shown.pixels, every: now.mixed ? [] : shown.weights, weights: own(), map: mapOf(own()), patches}),
    update({site, layer, head, row, direction, mix: mixing, opacity: part = "", share: least = "", box = ""}) {
      const bound = (text, low, high, most) => (text !== "" && Number(text) >= low && Number(text) <= high ? Number(text) : most);
      now = {site, layer, head, at: row >= 0 && row < n ? row : usual, reverse: direction === "by", mixed: mixing === "rollout",
        opacity: bound(part, 0, 100, 60), share: bound(least, 0.05, 1, 1), box};
      opacity(now.opacity);
      share(now.share);
      [by.value, mix.value] = [now.reverse ? "by" : "", now.mixed ? "rollout" : ""];
      for (const one of tokens) one.setAttribute("aria-pressed", String(Number(one.dataset.token) === now.at));
      fill(chosen, ...(kinds[now.at] === "patch" ? name(now.at) : []));
      const wanted = [page.key, site, layer, now.at, now.reverse, now.mixed].join(" ");
      if (wanted !== seen) load((seen = wanted));
      else if (shown) tell();
    },
    destroy() {
      stage.stop();
      asked.forget();
    },
  };
}
