// Representations: the tokens of a layer as points, their nearest neighbours in the full space, and their norms.

import {barStrip} from "./bars.js";
import {cellBar, cellInk, freshCanvas} from "./cells.js";
import {arrowTo, asking, choiceOf, digits, keepFocus, numberCell, redrawing, rovingKeys} from "./controls.js";
import {depthPanel} from "./depth.js";
import {element, fill, shortened, themeColour, tokenName} from "./dom.js";
import {lassoHolds, lassoPanel, rangesOf} from "./lasso.js";
import {percent, shortNumber} from "./numbers.js";
import {svgPen} from "./picture.js";
import {spaceSlice} from "./slices.js";

/** Okabe and Ito's colours (2008): told apart with every kind of colour vision. */
const SPACE_KINDS = {
  text: "#0072b2", first: "#e69f00", end: "#d55e00", class: "#cc79a7", register: "#009e73", patch: "#56b4e9",
};
const SPACE_OTHERS = "#8a939c"; // tokens that are not among the most frequent
const SPACE_PAINTS = ["position", "kind", "token"];
const SPACE_ODD_LISTED = 20;
const SPACE_NAMED = 60; // up to so many points all are named
const SPACE_EDGE = 32;

/** What is shown: the stream that enters a layer (or leaves the last: layer L), or a head's queries, keys or values. */
function spaceNow(page) {
  const state = page.state.get(), {layers, heads, n} = page.facts;
  const what = ["query", "key", "value"].includes(state.space) ? state.space : "stream";
  const last = what === "stream" ? layers : layers - 1, head = Math.min(state.head, heads - 1);
  const leaves = what === "stream" && state.out === String(state.layer); // the page's own choice ends at layer L - 1
  const layer = leaves ? layers : Math.min(state.layer, last), of = what === "stream" ? what : `${what}.${head}`;
  const at = Math.min(n - 1, state.position ?? state.row);
  const paint = SPACE_PAINTS.includes(state.paint) ? state.paint : "position";
  const one = what === "stream" && state.basis === "all", raw = state.centred === "no"; // one basis for all layers; no mean taken off
  const path = `${page.key}/space/${of}/${layer}/${one ? "all" : "own"}/${raw ? "raw" : "centred"}`;
  return {what, last, layer, head, of, at, paint, one, raw, path, among: rangesOf(state.among, n) ?? []};
}

export function spaceView(place, page) {
  const {facts, state} = page, {labels} = facts.tokens;
  let found = null, shown = "", title = "", near = [], nearOf = "", drawn = "";
  const choose = (i) => state.set({position: i, row: i}, {replace: true});
  const [about, axes, odd] = ["quiet", "small", "small"].map((kind) => element("p", {class: kind})), notice = element("div");
  const legend = element("p", {class: "small quiet"}), chosen = element("div", {class: "space-chosen"});
  const nearNotice = element("div"), table = element("div"), controls = spaceControls(page);
  const lasso = lassoPanel(page, choose), plot = spaceScatter(page, choose, lasso.pick), every = depthPanel(page);
  const norms = barStrip({label: "norms of the tokens", name: (i) => `token ${i} ${labels[i]}`, choose});
  const body = element("div", {class: "space-body", hidden: true},
    element("div", {class: "space-left"}, plot.node, axes, legend, table),
    element("div", {class: "space-right"}, chosen, nearNotice, lasso.node),
    element("div", {class: "space-norms"}, element("h3", {}, "Norms"), norms.node, odd, every.node));
  fill(place, element("h2", {}, "Which tokens are alike at this layer, and when do they become so?"), about,
    controls.node, notice, body);

  function draw() {
    const now = spaceNow(page), few = found.norms.length < 3;
    if (nearOf !== nearName(now)) near = [];
    body.hidden = false;
    plot.node.hidden = few;
    fill(about, ...spaceAbout(now));
    fill(axes, ...(few ? [`${title}. Fewer than three tokens: a table, no picture.`] : spaceAxes(title, now, found)));
    fill(table, few ? spaceFew(facts, found) : null);
    fill(legend, ...(few ? [] : spaceLegend(page, now.paint)));
    plot.draw({found, at: now.at, near: near.map(({i}) => i), paint: now.paint, among: now.among});
    lasso.draw({...found, among: now.among});
    keepFocus(chosen, () => fill(chosen, ...spaceChosen(page, now, found, near, choose)));
    const limit = found.norms.reduce((a, b) => Math.max(a, b), 0);
    norms.draw({values: found.norms, limit, at: Math.max(0, now.at), flagged: new Set(found.odd)});
    fill(odd, ...spaceOdd(facts, found));
    every.show(now);
  }

  const again = () => {
    drawn = "";
    update();
  };
  const points = asking(page, place, notice, again), neighbours = asking(page, chosen, nearNotice, again);
  const nearName = ({of, layer, at}) => `${page.key}/near/${of}/${layer}/${at}`;

  function askNear(now) {
    const path = nearName(now);
    if (now.at < 0 || path === nearOf) neighbours.forget();
    else neighbours.ask(() => page.ask.json(path), (answer) => {
      [near, nearOf] = [answer, path];
      if (shown === spaceNow(page).path) draw(); // else the points that are awaited draw it, too
    });
  }

  function update() {
    const now = spaceNow(page), {path} = now;
    controls.show(now);
    const wanted = [path, now.at, now.paint, now.among, state.get().norms].join(" ");
    if (wanted === drawn) return;
    drawn = wanted;
    const then = () => {
      draw();
      askNear(now);
    };
    if (shown === path) {
      points.forget();
      then();
      return;
    }
    neighbours.forget();
    points.ask(() => page.ask.json(path), (answer) => {
      [found, shown, title] = [answer, path, controls.title()];
      then();
    }, found ? "" : "Measuring the vectors of this layer …");
  }

  function destroy() {
    points.forget();
    neighbours.forget();
    for (const part of [plot, norms, every]) part.destroy();
  }

  /** What is shown: the points. */
  function slice() {
    const now = spaceNow(page);
    if (shown !== now.path) throw new Error("The vectors are not there yet: wait until they are drawn, then save again.");
    const pen = svgPen(), [width, height] = [720, 480];
    return spaceSlice(page, {...now, title, found, said: [axes, about].map(({textContent}) => textContent)}, () => {
      const places = spacePlaces(found, width, height);
      spaceDots(pen, page, places, {...now, found, near: near.map(({i}) => i)}, [width, height]);
      return {width, height, inside: pen.parts.join("")};
    });
  }
  return {update, destroy, slice};
}

function spaceControls({facts, state}) {
  const parts = ["query", "key", "value"].map((part) => [part, `${part} of the chosen head`]);
  const [whatLabel, what] = choiceOf("vectors", [["stream", "residual stream"], ...parts],
    (space) => state.set({space, out: ""}), null);
  const [paintLabel, paint] = choiceOf("colour by", SPACE_PAINTS.map((one) => [one, one]),
    (one) => state.set({paint: one}), null);
  const bases = [["", "this layer's own"], ["all", "one for all layers"]];
  const [basisLabel, basis] = choiceOf("basis", bases, (one) => state.set({basis: one}), null);
  const [centredLabel, centred] = choiceOf("centred", [["", "yes"], ["no", "no"]], (one) => state.set({centred: one}), null);
  const slider = element("input", {type: "range", min: 0, step: 1, oninput: () => {
    const to = slider.valueAsNumber, last = facts.layers - 1;
    state.set(to > last ? {layer: last, out: String(last)} : {layer: to, out: ""}, {replace: true});
  }});
  const name = element("span", {class: "number"});
  return {
    title: () => `${what.selectedOptions[0].textContent}, layer ${name.textContent}`,
    node: element("div", {class: "row"}, whatLabel,
      element("label", {class: "space-slider"}, "layer ", slider, " ", name), basisLabel, centredLabel, paintLabel),
    show({what: one, paint: by, last, layer, head, one: shared, raw}) {
      [what.value, paint.value, slider.max] = [one, by, last];
      [basis.value, basis.disabled, centred.value] = [shared ? "all" : "", one !== "stream", raw ? "no" : ""];
      slider.value = layer;
      const end = layer === facts.layers ? "leaves the last layer" : `enters layer ${layer}`;
      fill(name, one === "stream" ? `${layer}: ${layer ? end : "the embedding"}` : `${layer}, head ${head}`);
    },
  };
}

/** How the points come about. */
function spaceAbout({what, one, raw}) {
  const of = one ? "the streams of all layers together" : "this layer's vectors", basis = what !== "stream" ? "Heads have no basis in common." :
    one ? "The directions are the same in every layer; lengths are not, as the bar says." : "Each layer has a basis of its own.";
  return ["Each point is a token's vector, drawn along the two directions " + (raw ? `that hold most of the squares of ${of}` : `in which ${of} vary most`) +
    `. ${basis} `, element("span", {class: "derived"}, "Derived"),
  `: ${raw ? "" : "centred and "}projected; neighbours and norms are of the full vectors.`];
}

function spaceAxes(title, {one, raw}, {explained, overall}) {
  const what = `${one ? "this layer's" : "the"} ${raw ? "sum of squares" : "variance"}`;
  const direction = (k) => [`direction ${k + 1}, `, digits(explained[k], percent), ` of ${what}`,
    ...(one ? [" (", digits(overall[k], percent), " of all layers')"] : [])];
  return [`${title}. Across: `, ...direction(0), ". Up: ", ...direction(1),
    `. Equal lengths both ways; the cross is ${raw ? "zero" : one ? "the mean of all layers" : "the mean"}${raw || one ? ", where it is in sight" : ""}.`];
}

function spaceFew(facts, {x, y, norms}) {
  const head = ["token", "across", "up", "norm"].map((name) => element("th", {scope: "col"}, name));
  return element("table", {class: "numbers"}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {},
    ...norms.map((norm, i) => element("tr", {}, element("td", {}, `${i} `, tokenName(facts, i)),
      ...[x[i], y[i], norm].map((value) => numberCell(value))))));
}

function spaceLegend({facts, palette}, paint) {
  const signed = (colour, ...words) => {
    const sign = element("span", {class: "space-sign"});
    sign.style.background = colour;
    return element("span", {}, sign, " ", ...words, " ");
  };
  if (paint === "kind") return [...new Set(facts.tokens.kinds)].map((kind) => signed(SPACE_KINDS[kind], kind));
  if (paint === "token") {
    const few = spaceFrequent(facts), others = new Set(facts.tokens.ids).size - few.length;
    const names = few.map(({at, count, colour}) => signed(colour, tokenName(facts, at), ` ${count}x`));
    return others ? [...names, signed(SPACE_OTHERS, `${others} other${others > 1 ? "s" : ""}`)] : names;
  }
  return ["token 0 ", cellBar(palette, 256, "space-bar"), ` token ${facts.n - 1}`];
}

/** The six most frequent tokens, each with a colour: {id, at: where it comes first, count, colour}. */
function spaceFrequent({tokens: {ids}}) {
  const found = new Map();
  ids.forEach((id, at) => {
    if (!found.has(id)) found.set(id, {id, at, count: 0});
    found.get(id).count++;
  });
  const sorted = [...found.values()].sort((a, b) => b.count - a.count || a.at - b.at);
  const colours = Object.values(SPACE_KINDS);
  return sorted.slice(0, colours.length).map((one, k) => ({...one, colour: colours[k]}));
}

/** The points, one Tab stop: arrows go from token to token, a click chooses the nearest point, a line around picks. */
function spaceScatter(page, choose, pick) {
  const canvas = element("canvas", {class: "space-scatter", role: "slider", tabindex: 0, "aria-label": "the tokens"});
  const node = element("div", {class: "space-plot"}, canvas), {facts} = page;
  let given = null, places = [], line = null;

  function paint() {
    if (!given || node.hidden) return;
    const high = Math.max(280, Math.min(520, Math.round(node.clientWidth * 0.7)));
    const [context, wide] = freshCanvas(canvas, high);
    places = spacePlaces(given.found, wide, high);
    context.font = `12px ${getComputedStyle(node).fontFamily}`;
    spaceDots(context, page, places, given, [wide, high]);
    if (line) {
      Object.assign(context, {strokeStyle: themeColour("--accent"), lineWidth: 1.5});
      context.beginPath();
      for (const point of line) context.lineTo(...point);
      context.stroke();
    }
    const at = given.at < 0 ? "none chosen" : `token ${given.at} ${facts.tokens.labels[given.at]}`;
    const told = {valuemin: 0, valuemax: facts.n - 1, valuenow: Math.max(0, given.at), valuetext: at};
    for (const [key, text] of Object.entries(told)) canvas.setAttribute(`aria-${key}`, text);
  }
  canvas.addEventListener("keydown", (event) => {
    const to = given ? arrowTo(event, given.at, facts.n) : null;
    if (to !== null) choose(to);
  });
  function pointer(event) {
    const box = canvas.getBoundingClientRect(), [left, top] = [event.clientX - box.left, event.clientY - box.top];
    if (event.type === "pointerdown") {
      line = [];
      canvas.setPointerCapture(event.pointerId);
    }
    line?.push([left, top]);
    if (event.type !== "pointerup" || !line) return line && paint();
    const around = line, [x0, y0] = line[0];
    line = null;
    if (around.some(([x, y]) => Math.hypot(x - x0, y - y0) > 6))
      return pick([...places.keys()].filter((i) => lassoHolds(around, places[i])));
    paint();
    const away = places.map(([x, y]) => Math.hypot(x - left, y - top));
    const least = away.reduce((best, one, i) => (one < away[best] ? i : best), 0);
    if (away[least] < 20) choose(least);
  }
  for (const name of ["pointerdown", "pointermove", "pointerup"]) canvas.addEventListener(name, pointer);
  canvas.addEventListener("pointercancel", () => { line = null; });
  return {
    node,
    destroy: redrawing(node, paint).stop,
    draw(next) {
      given = next;
      paint();
    },
  };
}

/** Where each point is drawn; one unit is as long across as up, so that distances are what they seem. */
function spacePlaces({x, y, overall}, wide, high) { // overall: of one basis, whose middle may be far away
  const ends = (values) => values.reduce(([least, most], one) => [Math.min(least, one), Math.max(most, one)], overall ? [Infinity, -Infinity] : [0, 0]);
  const [[left, right], [low, top]] = [x, y].map(ends), room = 2 * SPACE_EDGE;
  const unit = Math.max((right - left) / (wide - room), (top - low) / (high - room)) || 1;
  const at = (a, b) => [wide / 2 + (a - (left + right) / 2) / unit, high / 2 - (b - (low + top) / 2) / unit];
  return Object.assign(x.map((a, i) => at(a, y[i])), {origin: at(0, 0), unit});
}

function spaceDots(context, page, places, {found, at, near, paint, among = []}, [wide, high]) {
  const tokens = new Map(paint === "token" ? spaceFrequent(page.facts).map(({id, colour}) => [id, colour]) : []);
  const {ids} = page.facts.tokens, colourOf = (i, share) => paint === "kind" ? SPACE_KINDS[kinds[i]] :
    paint === "token" ? tokens.get(ids[i]) ?? SPACE_OTHERS : cellInk(page.palette, share);
  const {labels, kinds} = page.facts.tokens, n = places.length, size = n > 500 ? 2.5 : 4.5;
  const [ink, faint, accent] = ["--ink", "--faint", "--accent"].map(themeColour);
  const ring = (i, radius, colour, thick) => {
    context.beginPath();
    context.arc(...places[i], radius, 0, 7);
    [context.strokeStyle, context.lineWidth] = [colour, thick];
    context.stroke();
  };
  context.fillStyle = faint; // a cross at the mean, or at zero
  context.fillRect(0, places.origin[1], wide, 1);
  context.fillRect(places.origin[0], 0, 1, high);
  const most = places.unit * wide / 5, ten = 10 ** Math.floor(Math.log10(most)), length = ten * [5, 2, 1].find((one) => one * ten <= most);
  context.fillStyle = ink; // a round length, at most a fifth of the picture
  context.fillRect(12, high - 12, length / places.unit, 1.5);
  context.fillText(String(Number(length.toPrecision(1))), 12, high - 17);
  for (let i = 0; i < n; i++) {
    const share = Math.round((255 * i) / Math.max(1, n - 1));
    context.fillStyle = colourOf(i, share);
    context.beginPath();
    context.arc(...places[i], size, 0, 7);
    context.fill();
    ring(i, size, faint, 1);
  }
  for (const i of near) ring(i, size + 2, ink, 1.5);
  context.fillStyle = ink;
  const half = size + 2.5, side = 2 * half; // a square of four thin bars: what a picture's pen can draw, too
  for (const [x, y] of among.map((i) => places[i])) {
    for (const top of [-half, half]) context.fillRect(x - half, y + top, side, 1);
    for (const left of [-half, half]) context.fillRect(x + left, y - half, 1, side + 1);
  }
  if (at >= 0) ring(at, size + 4, accent, 3);
  context.fillStyle = ink;
  const some = new Set([...near, ...found.odd.slice(0, SPACE_ODD_LISTED), ...(at < 0 ? [] : [at])]);
  for (const i of n <= SPACE_NAMED ? labels.keys() : some)
    context.fillText(shortened(labels[i], 16), places[i][0] + size + 5, places[i][1] + 4);
}

/** The chosen token and its neighbours: what the picture shows, as text. */
function spaceChosen(page, {at}, {x, y, norms, odd}, near, choose) {
  if (at < 0) return [element("h3", {}, "Neighbours"),
    element("p", {class: "quiet"}, "Choose a point, or a token of the text, to see which tokens are nearest to it.")];
  const key = (i) => {
    const look = {type: "button", class: "plain space-near", "data-key": i, tabindex: i === near[0].i ? 0 : -1};
    return element("button", {...look, onclick: () => choose(i)}, `${i} `, tokenName(page.facts, i));
  };
  const rows = near.map(({i, cosine, distance}) => element("tr", {}, element("td", {}, key(i)),
    numberCell(cosine), numberCell(distance)));
  const names = ["token", "cosine", "distance"].map((name) => element("th", {scope: "col"}, name));
  const onkeydown = (event) => rovingKeys(event, ".space-near", "ArrowUp", "ArrowDown");
  return [
    element("h3", {}, `Nearest to token ${at} `, tokenName(page.facts, at)),
    element("p", {class: "small"}, "Norm ", digits(norms[at]), odd.includes(at) ? ", beyond 5 robust deviations" : "",
      "; drawn at ", digits(x[at], shortNumber), " across, ", digits(y[at], shortNumber), " up."),
    near.length === 0 ? null : element("table", {class: "numbers", onkeydown},
      element("thead", {}, element("tr", {}, ...names)), element("tbody", {}, ...rows)),
  ];
}

function spaceOdd(facts, {odd, norms}) {
  if (odd.length === 0) return ["No norm lies beyond 5 robust deviations from the median."];
  const more = odd.length - SPACE_ODD_LISTED;
  return [`Marked: ${odd.length} beyond 5 robust deviations from the median (a sink or scratch space, possibly):`,
    ...odd.slice(0, SPACE_ODD_LISTED).flatMap((i) => [` ${i} `, tokenName(facts, i), " ", digits(norms[i])]),
    more > 0 ? ` and ${more} more` : ""];
}
