// Look-up inspector: how one row came about. Every number is made here, in double precision, from recorded vectors.

import {barStrip} from "./bars.js";
import {asking, choiceOf, derivedBadge, digits, keepFocus, numberCell, numberInput, plainButton, rovingKeys} from "./controls.js";
import {element, fill, tokenName} from "./dom.js";
import {dotProduct, mayLook, mixtureOf, positionsApart, readVectors, rowOf, strongest, turnedBack} from "./exact.js";
import {exactNumber, NOT_ALLOWED, shownNumber} from "./numbers.js";
import {lookupSlice} from "./slices.js";

const LOOKUP_TOP = 50;
const LOOKUP_PRODUCTS = 8;
const LOOKUP_SORTS = ["weight", "score", "contribution", "position"];

/**
 * The numbers of one row's table, in its order. steps: the sums that become the output; rest: keys not listed.
 * changes: {c: x} of the query, keys: {"j.c": x}; special: tokens that are listed whatever their weight.
 */
export function lookupRow(given, i, asked = {}) {
  const {sort = "weight", column = -1, temperature = 1, changes = {}, keys = {}, special = []} = asked;
  const keysChanged = lookupKeys(given, keys), vectors = keysChanged ? {...given, key: keysChanged} : given;
  const {d, m, width, key, scale, value, valueNorms} = vectors;
  const own = vectors.query.subarray(i * d, (i + 1) * d);
  const changed = Object.keys(changes).some((c) => c < d);
  const query = changed ? Float64Array.from(own, (x, c) => changes[c] ?? x) : own;
  const {scores, weights, total} = rowOf(vectors, i, {query: changed || keysChanged ? query : null, temperature});
  const contributions = valueNorms ? weights.map((weight, j) => weight * valueNorms[j]) : null;
  const by = sort === "contribution" && contributions ? contributions : weights;
  const order = sort === "position" ? null : sort === "score" ? scores : by;
  const listed = lookupListed(m, by, [0, i, column, ...special]);
  const of = (j) => (Number.isNaN(order[j]) ? -Infinity : order[j]);
  listed.sort((a, b) => (order && of(b) - of(a)) || a - b); // NaN, of two that are not allowed, falls to position
  const largest = scores.reduce((most, score) => (score > most ? score : most), -Infinity);
  const share = (j) => Math.exp(scores[j] - largest);

  const sum = new Float64Array(width), steps = [];
  let mass = 0;
  const add = (j) => {
    mass += weights[j];
    for (let c = 0; c < width; c++) sum[c] += weights[j] * value[j * width + c];
  };
  const step = () => steps.push({mass, sum: sum.slice(), length: lookupLength(sum)});
  const back = vectors.speeds && turnedBack(vectors, query, i);
  const lines = listed.map((j) => {
    const allowed = mayLook(vectors, i, j), valueNorm = lookupLength(value.subarray(j * width, (j + 1) * width));
    const other = key.subarray(j * d, (j + 1) * d), dot = dotProduct(query, other);
    if (allowed) {
      add(j);
      step();
    }
    const line = {j, allowed, dot, score: (dot * scale) / temperature, exp: share(j), weight: weights[j], valueNorm};
    if (back) line.plain = (dotProduct(back, turnedBack(vectors, other, j)) * scale) / temperature;
    if (back) line.apart = positionsApart(vectors, i, j);
    return {...line, contribution: contributions && contributions[j], at: steps.length, length: lookupLength(sum)};
  });

  const known = new Set(listed), rest = {keys: 0, weight: 0, exp: 0, contribution: contributions && 0, barred: 0};
  for (let j = 0; j < m; j++) {
    if (known.has(j)) continue;
    if (Number.isNaN(weights[j])) rest.barred++;
    else {
      rest.keys++;
      rest.weight += weights[j];
      rest.exp += share(j);
      if (contributions) rest.contribution += contributions[j];
      add(j);
    }
  }
  if (rest.keys) step();
  const recorded = vectors.out.subarray(i * width, (i + 1) * width);
  const whatIf = changed || Boolean(keysChanged) || temperature !== 1;
  const tried = `temperature ${temperature}${changed ? ", another query" : ""}${keysChanged ? ", another key" : ""}`;
  const made = {lines, rest, steps, mass, recorded, ...mixtureOf(vectors, i, weights)};
  const dotsChanged = changed || Boolean(keysChanged);
  return {i, own, query, key, changed, dotsChanged, temperature, whatIf, tried, weights, total, largest, ...made};
}

/** All keys of a short row; of a long one the top 50 and these: the first, itself, the chosen, special ones. */
function lookupListed(m, by, these) {
  if (m <= LOOKUP_TOP + 2) return Array.from({length: m}, (_, j) => j);
  return [...new Set([...strongest(by, LOOKUP_TOP), ...these])].filter((j) => j >= 0 && j < m);
}

/** All keys with some numbers changed, in double precision; null where none of them exists. */
function lookupKeys({d, m, key}, keys) {
  const places = Object.entries(keys).map(([at, x]) => [...at.split(".").map(Number), x])
    .filter(([j, c]) => j < m && c < d);
  const changed = places.length ? Float64Array.from(key) : null;
  for (const [j, c, x] of places) changed[j * d + c] = x;
  return changed;
}

const lookupLength = (vector) => Math.sqrt(dotProduct(vector, vector));

const lookupLargest = (a, b) => [...a, ...b].reduce((most, x) => Math.max(most, Math.abs(x)), 0);

/** What is shown: no layer or head that there is not, and the last token where none was chosen. */
function lookupNow(page) {
  const state = page.state.get(), {facts} = page;
  const layer = Math.min(state.layer, facts.layers - 1), head = Math.min(state.head, facts.heads - 1);
  const special = [...facts.tokens.kinds.keys()].filter((j) => !["text", "patch"].includes(facts.tokens.kinds[j]));
  const number = /^\d+$/.test(state.number ?? "") ? Number(state.number) : 0;
  return {...state, layer, head, number, special: special.slice(0, 6), i: state.row >= 0 ? state.row : facts.n - 1};
}

/** The state's "layer.head.row,t0.5,3:1.25,k7.3:2": {temperature, changes, keys}; another row's is not meant. */
function lookupWhatIf({whatif = "", layer, head, i}) {
  const found = {temperature: 1, changes: {}, keys: {}}, [place, ...parts] = whatif.split(",");
  if (place !== `${layer}.${head}.${i}`) return found;
  for (const part of parts) {
    const [c, x] = part.split(":"), temperature = Number(part.slice(1));
    if (part[0] === "t" && temperature >= 0.01 && temperature <= 100) found.temperature = temperature;
    else if (!x || !Number.isFinite(Number(x))) continue;
    else if (/^\d+$/.test(c)) found.changes[c] = Number(x);
    else if (/^k\d+\.\d+$/.test(c)) found.keys[c.slice(1)] = Number(x);
  }
  return found;
}

function lookupWhatIfText({layer, head, i}, {temperature, changes, keys}) {
  const parts = [changes, Object.fromEntries(Object.entries(keys).map(([at, x]) => [`k${at}`, x]))]
    .flatMap((some) => Object.entries(some).map(([at, x]) => `${at}:${x}`));
  if (temperature !== 1) parts.unshift(`t${temperature}`);
  return parts.length ? [`${layer}.${head}.${i}`, ...parts].join(",") : "";
}

export function lookupView(place, page) {
  let loaded = null, drawn = "", reached = 0;
  const notice = element("div"), end = element("div", {class: "small"});
  const about = element("p", {class: "quiet small lookup-about"});
  const table = element("div", {class: "scroll lookup-scroll"});
  const name = (c) => `number ${c}`;
  const choose = (c) => page.state.set({number: c ? String(c) : ""}, {replace: true});
  const query = barStrip({label: "numbers of the query", name, choose});
  const output = barStrip({label: "numbers of the running sum", name});
  const controls = lookupControls(page), steps = lookupSteps(page);
  const work = [[controls.tried, controls.banner, query.node], [steps.node, output.node, end]];
  const body = element("div", {class: "stack lookup-body", hidden: true},
    element("div", {class: "lookup-work"}, ...work.map((parts) => element("div", {}, ...parts))), about, table);
  fill(place, element("h2", {}, "How did this row come about?"), element("p", {class: "quiet"},
    "The query is multiplied with every key; softmax turns the scores into weights; the weights mix the values into " +
    "the output. A large weight on a small value does little: read weight and contribution together."),
    controls.node, notice, body);

  function draw() {
    const now = lookupNow(page), {i} = now;
    if (loaded?.path !== pathOf(now)) return;
    const {vectors} = loaded;
    body.hidden = i >= vectors.n;
    fill(notice, body.hidden ? `There is no token ${i}: choose a query token from 0 to ${vectors.n - 1}.` : null);
    if (body.hidden) return;
    const number = Math.min(now.number, vectors.d - 1);
    const found = lookupRow(vectors, i, {...now, ...lookupWhatIf(now)});
    const step = steps.show(now, found), sum = step ? found.steps[step - 1].sum : new Float64Array(vectors.width);
    controls.show(now, vectors, found, number);
    const limit = lookupLargest(found.own, found.query), most = lookupLargest(found.recorded, found.mixture);
    query.draw({values: found.query, ghost: found.changed ? found.own : null, limit, at: number});
    fill(about, ...lookupAbout(page, vectors, found));
    keepFocus(table, () => fill(table, lookupTable(page, {...vectors, key: found.key}, found, step)));
    if (step !== reached) lookupReveal(table);
    reached = step;
    output.draw({values: sum, ghost: found.recorded, limit: most});
    fill(end, ...lookupEnd(found, step, sum));
  }

  const again = () => {
    drawn = "";
    update();
  };
  const asked = asking(page, place, notice, again);
  const pathOf = ({site, layer, head}) => `${page.key}/vectors/${site}/${layer}/${head}`;

  function update() {
    const now = lookupNow(page), path = pathOf(now);
    const wanted = [path, now.row, now.column, now.sort, now.step, now.whatif, now.number].join(" ");
    if (wanted === drawn) return;
    drawn = wanted;
    if (loaded?.path !== path) {
      asked.ask(async () => readVectors(await page.ask.bytes(path)), (vectors) => {
        loaded = {path, vectors};
        draw();
      }, loaded ? "" : "Fetching the queries, keys and values of this head …");
      return;
    }
    asked.forget();
    draw();
  }

  /** What is shown: the row's table. */
  async function slice() {
    const now = lookupNow(page), vectors = readVectors(await page.ask.bytes(pathOf(now)));
    if (now.i >= vectors.n) throw new Error(`There is no token ${now.i}: choose a query token from 0 to ${vectors.n - 1}.`);
    return lookupSlice(page, now, lookupRow(vectors, now.i, {...now, ...lookupWhatIf(now)}));
  }

  function destroy() {
    asked.forget();
    query.destroy();
    output.destroy();
  }
  return {update, destroy, slice};
}

/** Which query, in which order, and what is tried: inputs that stay, so that dragging and typing are not cut off. */
function lookupControls(page) {
  const {facts, state} = page, last = facts.n - 1, now = () => lookupNow(page);
  const goTo = (i) => Number.isFinite(i) && state.set({row: Math.max(0, Math.min(last, Math.trunc(i))), column: -1});
  const tryOut = (changed) => {
    const whatif = lookupWhatIfText(now(), {...lookupWhatIf(now()), ...changed});
    state.set({whatif}, {replace: true});
  };
  const heat = (x) => x >= 0.01 && x <= 100 && tryOut({temperature: Number(x.toPrecision(3))});
  const change = (name, at) => (x) => {
    const {[at()]: _, ...others} = lookupWhatIf(now())[name];
    tryOut({[name]: Number.isFinite(x) ? {...others, [at()]: x} : others});
  };
  const query = numberInput(goTo, {min: 0, max: last}), name = element("span"), banner = element("div");
  const [sortLabel, sort] = choiceOf("sort by", LOOKUP_SORTS.map((one) => [one, one]), (by) => state.set({sort: by}), null);
  const range = element("input", {type: "range", min: -3, max: 3, step: 0.1, "aria-label": "temperature, in doublings",
    oninput: () => heat(2 ** range.valueAsNumber)});
  const temperature = numberInput(heat, {min: 0.01, max: 100, step: "any", "aria-label": "temperature"});
  const number = numberInput(change("changes", () => now().number), {step: "any"});
  const keyNumber = numberInput(change("keys", () => `${now().column}.${now().number}`), {step: "any"});
  const [numberName, keyName] = [0, 0].map(() => element("span", {class: "number"}));
  const keyLabel = element("label", {}, keyName, keyNumber);
  return {
    banner,
    node: element("div", {class: "row"},
      plainButton("‹ before", () => goTo(now().i - 1)),
      element("label", {}, "query token ", query),
      plainButton("after ›", () => goTo(now().i + 1)), name,
      sortLabel),
    tried: element("fieldset", {class: "row lookup-try"}, element("legend", {class: "quiet small"}, "What if"),
      element("label", {}, "temperature ", range, " ", temperature), element("label", {}, numberName, number),
      keyLabel),
    show({row, layer, head, column, sort: by}, vectors, found, c) {
      query.show(found.i);
      fill(name, tokenName(facts, found.i), row < 0 ? " (none was chosen, so this is the last)" : "",
        element("span", {class: "quiet"}, ` layer ${layer}, head ${head}`));
      for (const option of sort.options) option.disabled = option.value === "contribution" && !vectors.valueNorms;
      sort.value = LOOKUP_SORTS.includes(by) ? by : "weight";
      range.value = Math.log2(found.temperature);
      temperature.show(found.temperature);
      number.show(Number(found.query[c].toPrecision(9)));
      fill(numberName, `number ${c} of the query `);
      keyLabel.hidden = !(column >= 0 && column < vectors.m);
      if (!keyLabel.hidden) {
        keyNumber.show(Number(found.key[column * vectors.d + c].toPrecision(9)));
        fill(keyName, `of key ${column} `);
      }
      fill(banner, found.whatIf ? element("p", {class: "lookup-banner"}, element("strong", {}, "What if"),
        `: ${found.tried}. These are not the model's numbers. `,
        plainButton("back to the recorded numbers", () => state.set({whatif: ""}))) : null);
    },
  };
}

/** How positions come into the scores. */
function lookupPositions({kind}) {
  if (kind === "rotary") return "Queries and keys are the kernel's, turned by their positions; q° and k°: turned back.";
  if (kind === "none") return "No positions are in these scores.";
  return `Positions (${kind}) are added to the tokens' vectors before layer 0: no column can take them out of a score.`;
}

/** What holds for the whole row: the scale, what is shared, and the weight of the first and of the special tokens. */
function lookupAbout(page, vectors, {i, weights, total, largest, whatIf}) {
  if (largest === -Infinity) return ["This query may look at no key, so nothing is mixed."];
  const kinds = {}, shared = vectors.sharedBy ?? [];
  weights.forEach((weight, j) => {
    const kind = page.facts.tokens.kinds[j];
    const special = j > 0 && !["text", "patch"].includes(kind) && !Number.isNaN(weight);
    if (special) (kinds[kind] ??= []).push(weight);
  });
  const special = Object.entries(kinds).flatMap(([kind, found]) =>
    [`, sum over ${found.length} ${kind} `, digits(found.reduce((a, b) => a + b, 0)), " ", derivedBadge()]);
  return [
    `${whatIf ? "What if: weight" : "Weight"} of the first token `, digits(weights[0]), ", of the token itself ",
    digits(weights[i] ?? NaN), ...special, ". Scale ", digits(vectors.scale), ", largest score ", digits(largest),
    ", L = log Σ exp(s) = ", digits(total), `. ${lookupPositions(vectors.position)}`,
    shared.length > 1 ? ` Heads ${shared.join(", ")} share these keys and values.` : "",
  ];
}

function lookupCell(value, name = "") {
  const cell = numberCell(value), look = Number.isNaN(value) ? "quiet" : name;
  if (look) cell.classList.add(look);
  return cell;
}

function lookupShare(weight) {
  const cell = lookupCell(weight, "lookup-share");
  if (!Number.isNaN(weight)) cell.style.setProperty("--lookup-part", `${100 * Math.min(1, weight)}%`);
  return cell;
}

function lookupHead(vectors, {whatIf, dotsChanged, temperature}) {
  const column = (name, formula, tried = false, more = null) => element("th", {scope: "col"}, name,
    element("span", {class: "lookup-formula quiet small"}, formula, more),
    tried ? element("span", {class: "lookup-formula derived"}, "what if") : null);
  const scale = shownNumber(vectors.scale) + (temperature === 1 ? "" : ` / ${temperature}`);
  const plain = vectors.speeds ? [column("without positions", "q°·k° × scale ", whatIf, derivedBadge()),
    column("i - j", "positions")] : [];
  return element("thead", {}, element("tr", {}, column("key", "token j"),
    column("dot product", "q·k = Σ q_c k_c", dotsChanged), column("score", `s = q·k × ${scale}`, whatIf), ...plain,
    column("mask", "may q look?"), column("exp(s - max)", "largest: 1", whatIf),
    column("weight", "w = exp(s - L)", whatIf), column("|v|", "√ Σ v_c²"),
    column("contribution", vectors.valueNorms ? "w |v W_O|" : "needs the model", whatIf),
    column("running sum", "|Σ w v|", whatIf)));
}

function lookupLine(page, line, open, stop, step) {
  const when = line.at > step ? "lookup-later" : line.at === step && line.allowed ? "lookup-now" : "";
  const key = plainButton(`${line.j} `, () => page.state.set({column: open ? -1 : line.j}), {
    class: "plain lookup-key", "data-key": line.j, tabindex: stop ? 0 : -1, "aria-expanded": String(open)});
  key.append(tokenName(page.facts, line.j));
  const mask = element("td", {class: line.allowed ? "" : "quiet"}, line.allowed ? "allowed" : NOT_ALLOWED);
  const back = line.apart ? [lookupCell(line.plain), element("td", {}, line.apart)] : [];
  return element("tr", {class: `${when} ${open ? "chosen" : ""}`}, element("th", {scope: "row"}, key),
    lookupCell(line.dot), lookupCell(line.score), ...back, mask, lookupCell(line.exp), lookupShare(line.weight),
    lookupCell(line.valueNorm), lookupCell(line.contribution), lookupCell(line.allowed ? line.length : null));
}

function lookupTable(page, vectors, found, step) {
  const {lines, rest, steps} = found, {column} = page.state.get(), more = vectors.speeds ? 2 : 0;
  const words = (count) => `${count} key${count === 1 ? "" : "s"}`;
  const stop = lines.some(({j}) => j === column) ? column : lines[0].j;
  const rows = lines.flatMap((line) => [lookupLine(page, line, line.j === column, line.j === stop, step),
    ...(line.j === column ? [lookupProducts(page, vectors, found.query, line)] : [])]);
  if (rest.keys) rows.push(element("tr", {class: step < steps.length ? "lookup-later" : ""},
    element("th", {scope: "row"}, `rest: sum of ${words(rest.keys)} `, derivedBadge()),
    element("td", {colspan: 2 + more}), element("td", {}, "allowed"), lookupCell(rest.exp), lookupShare(rest.weight),
    lookupCell(null), lookupCell(rest.contribution), lookupCell(steps.at(-1).length)));
  if (rest.barred) rows.push(element("tr", {class: "quiet"},
    element("th", {scope: "row", colspan: 3 + more}, words(rest.barred)), element("td", {colspan: 6}, NOT_ALLOWED)));
  const end = element("tr", {}, element("th", {scope: "row", colspan: 5 + more},
    `${found.whatIf ? "what if: " : ""}the mixture, against the output that the kernel returned`),
    lookupCell(found.mass), element("td", {colspan: 2, class: "number lookup-difference",
      "data-value": exactNumber(found.difference)}, `largest difference ${shownNumber(found.difference)}`),
    lookupCell(lookupLength(found.mixture)));
  const caption = rest.keys + rest.barred === 0 ? `all ${words(lines.length)}` :
    `${lines.length} of ${vectors.m} keys: the ${LOOKUP_TOP} largest, the first, itself, the chosen one, special ones`;
  const onkeydown = (event) => rovingKeys(event, ".lookup-key", "ArrowUp", "ArrowDown");
  return element("table", {class: "numbers lookup-table", onkeydown},
    element("caption", {class: "quiet small"}, caption), lookupHead(vectors, found), element("tbody", {}, ...rows),
    element("tfoot", {}, end));
}

/** A line of the table: the largest products of one dot product by name, and the others summed. */
function lookupProducts(page, {d, key, speeds}, query, {j, dot}) {
  const {layer} = lookupNow(page), item = (words, value) => element("li", {}, words, digits(value));
  const products = Array.from(query, (q, c) => ({c, q, k: key[j * d + c], product: q * key[j * d + c]}));
  products.sort((a, b) => Math.abs(b.product) - Math.abs(a.product) || a.c - b.c);
  const others = products.slice(LOOKUP_PRODUCTS), rest = others.reduce((sum, {product}) => sum + product, 0);
  const items = products.slice(0, LOOKUP_PRODUCTS).map(({c, q, k, product}) =>
    item(`number ${c}: ${shownNumber(q)} × ${shownNumber(k)} = `, product));
  if (others.length) items.push(item(`sum of the other ${others.length}: `, rest));
  const go = () => page.state.set({layer: layer - 1, row: j, column: -1});
  return element("tr", {}, element("td", {colspan: speeds ? 11 : 9, class: "lookup-products"}, "q·k = ", digits(dot),
    ", largest products first:", element("ul", {}, ...items),
    layer ? plainButton(`follow token ${j} into layer ${layer - 1}`, go) : null));
}

function lookupSteps(page) {
  const text = element("span", {class: "quiet small number lookup-step", "aria-live": "polite"});
  let now = 0, all = 0;
  const go = (step) => page.state.set({step: step >= all ? "" : String(Math.max(0, step))}, {replace: true});
  return {
    node: element("div", {class: "row", role: "group", "aria-label": "step through the running sum"},
      text, plainButton("from nothing", () => go(0)), plainButton("‹ one back", () => go(now - 1)),
      plainButton("one more ›", () => go(now + 1)), plainButton("all", () => go(all))),
    show(state, {steps}) {
      all = steps.length;
      now = /^\d+$/.test(state.step ?? "") ? Math.min(all, Number(state.step)) : all;
      fill(text, `running sum after ${now} of ${all} lines`);
      return now;
    },
  };
}

function lookupEnd({whatIf, steps, recorded}, step, sum) {
  const away = lookupLength(sum.map((x, c) => x - recorded[c]));
  return [whatIf ? element("strong", {}, "What if: ") : "", "weight so far ",
    digits(step ? steps[step - 1].mass : 0), "; length of the sum ", digits(lookupLength(sum)),
    ", of the recorded output ", digits(lookupLength(recorded)), ", of their difference ", digits(away),
    element("span", {class: "quiet"}, ". Bars: the running sum; marks: the output that the kernel returned.")];
}

/** Scrolls the table, and only it, to the line that was added last. */
function lookupReveal(table) {
  const line = table.querySelector(".lookup-later") && table.querySelector(".lookup-now");
  const top = (node) => node.getBoundingClientRect().top;
  if (line) table.scrollTop += top(line) - top(table) - table.clientHeight / 2;
}
