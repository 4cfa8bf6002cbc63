// View 3, lines through the text from one token: in reading order, where does it look?

import {cellHatch, cellInk} from "./cells.js";
import {choiceOf, digits, formOf, plainButton, redrawing} from "./controls.js";
import {element, fill, themeColour, tokenName} from "./dom.js";
import {exactNumber, shortNumber} from "./numbers.js";
import {plainText, svgPen, svgText} from "./picture.js";
import {lineTable, lineWeights, ROWS_WHOLE} from "./rows.js";
import {linesChosen, linesCurve, linesHead, linesMean, linesParts, linesPercent, linesSeries} from "./series.js";
import {linesSlice} from "./slices.js";
import {LINES_ROWS, LINES_TOKENS, LINES_WINDOW} from "./series.js";

const LINES_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]; // Okabe-Ito; the last is ink
const LINES_DASHES = [[], [9, 4], [2, 3], [10, 3, 2, 3], [5, 5], [16, 4], [1, 5]];

export function linesView(place, page) {
  const {facts, state, facts: {n, generated}} = page;
  let now = null, shown = null, other = -1, laidOut = "", seen = "", inkAs = "", round = 0, settle = 0, alive = true;
  const directions = [["at", "looks at"], ["by", "is looked at by"]];
  const [byLabel, bySelect] = choiceOf("the chosen token", directions, (direction) =>
    state.set({direction, [direction === "by" ? "column" : "row"]: now.at}));
  const leasts = [["0.1", "0.1"], ["0.01", "0.01"], ["0.001", "0.001"], ["0", "0 (all)"]];
  const [leastLabel, leastSelect] = choiceOf("lines from a weight of", leasts, (least) => state.set({least}));
  const input = (name, placeholder) => element("input", {class: "small", size: 7, placeholder, "aria-label": name});
  const token = input("token's number", "token");
  const [togetherLabel, togetherSelect] = choiceOf("several tokens", [["", "side by side"], ["mean", "their mean"]],
    (together) => state.set({together}));
  const only = [["", "all tokens"], ["generated", "only generated tokens"]];
  const [onlyLabel, onlySelect] = choiceOf("show", only, (one) =>
    state.set({only: one, from: undefined, ...(one && {[now.by ? "column" : "row"]: Math.max(now.at, generated.start)})}));
  const [chips, beside, around] = [0, 0, 0].map(() => element("div", {class: "row small"}));
  const [complaint, readout] = ["small", ""].map((kind) => element("p", {class: `lines-line ${kind}`}));
  const [masses, status, table] = [0, 0, 0].map(() => element("div"));
  const canvas = element("canvas", {class: "lines-canvas", "aria-hidden": "true"});
  const hear = {onclick: click, onkeydown: key, ondblclick: lookUp, onpointerleave: () => tellPair(-1),
    onpointerover: (event) => tellPair(tokenAt(event))};
  const text = element("div", {class: "lines-text", role: "listbox", "aria-label": "tokens in reading order", ...hear});
  const stubs = Object.fromEntries(["mean", "first", "before", "others", "after"].map((name) =>
    [name, element("span", {class: `lines-stub small lines-${name}`})]));
  const stage = element("div", {class: "lines-stage"}, canvas,
    element("div", {class: "lines-ends"}, stubs.mean, stubs.first, stubs.before), text,
    element("div", {class: "lines-ends"}, stubs.others, stubs.after));
  fill(
    place, element("h2", {}, "In reading order, where does this token look?"),
    element("p", {class: "quiet"}, "Choose a token with a click or the arrow keys; with shift they read another " +
      "token's weight, space takes that one beside the chosen, Enter shows how the row came about. A line's width is " +
      "1 + 13 x weight in pixels, its opacity the weight (at least 12 %). The strip under a token has the weight's colour " +
      "on the page's scale; hatched: not allowed."),
    element("div", {class: "row"}, byLabel, leastLabel, formOf(input("head to add", "layer.head"), "add head", addHead),
      formOf(token, "jump", (wanted) => numbered(wanted, jump)),
      plainButton("take beside", () => numbered(token.value.trim(), toggle)), togetherLabel,
      generated ? onlyLabel : null),
    complaint, chips, beside, around, stage, readout, masses, status, element("div", {class: "scroll"}, table),
  );
  const {soon, stop} = redrawing(stage, draw);
  const colour = (k) => LINES_COLOURS[k] ?? themeColour("--ink");
  const complain = (words) => page.say(fill(complaint, words).textContent);

  function setHeads(pairs) {
    const one = pairs.length === 1 && {layer: pairs[0][0], head: pairs[0][1]}; // one alone follows the page's head
    state.set({...one, heads: one ? "" : pairs.map((pair) => pair.join(".")).join(",")});
  }

  function addHead(wanted) {
    const [layer, head] = /^\d+\.\d+$/.test(wanted) ? wanted.split(".").map(Number) : [];
    const known = now.heads.some(([l, h]) => l === layer && h === head);
    if (!(layer < facts.layers && head < facts.heads))
      return complain(`Write layer.head, such as 0.1: layers 0 to ${facts.layers - 1}, heads 0 to ${facts.heads - 1}.`);
    if (!known && now.heads.length >= LINES_ROWS) return complain("7 heads have 7 colours: remove one first.");
    complain("");
    if (!known) setHeads([...now.heads, [layer, head]]);
  }

  function numbered(wanted, use) {
    if (!/^\d+$/.test(wanted) || Number(wanted) >= n) return complain(`Write a token's number, 0 to ${n - 1}.`);
    complain("");
    use(Number(wanted));
  }

  function jump(at) {
    choose(at);
    text.children[now.at - now.from]?.focus();
  }

  /** Takes a token beside the chosen one, or away again. */
  function toggle(at) {
    const {members, together, heads, by} = now, others = members.filter((one) => one !== at);
    const [room, what] = together ? [LINES_TOKENS, "tokens make one mean"] :
      [Math.floor(LINES_ROWS / heads.length), `tokens of ${heads.length} heads have a colour each`];
    if (others.length === members.length && members.length >= room)
      return complain(`At most ${room} ${what}: take one away first${together ? "" : ", or choose their mean"}.`);
    complain("");
    const after = others.length < members.length ? others : [...members, at];
    if (at !== now.at) state.set({tokens: after.slice(1).join(",")});
    else if (others.length) state.set({[by ? "column" : "row"]: others[0], tokens: others.slice(1).join(",")});
  }

  /** Another token; the window moves only if it is outside. */
  function choose(at, options = {}) {
    other = -1;
    const outside = at < now.from || at >= now.from + LINES_WINDOW;
    state.set({[now.by ? "column" : "row"]: at, ...(outside && {from: undefined})}, options);
  }

  /** Where the window starts: where the address says, else so that the chosen token is in it. */
  function windowOf(from, at, by, least) {
    const most = Math.max(least, n - LINES_WINDOW); // where the last window starts
    return Math.max(least, Math.min(Number.isInteger(from) ? from : Math.floor(at / 128) * 128 - (by ? 0 : 128), most));
  }

  function layOut() {
    laidOut = `${now.from} ${now.first}`;
    canvas.width = 0; // lines of other places
    const last = Math.min(n, now.from + LINES_WINDOW) - 1;
    fill(text, ...Array.from({length: last + 1 - now.from}, (_, k) => {
      const node = tokenName(facts, now.from + k);
      node.classList.add("lines-token");
      node.classList.toggle("strip-said", Boolean(generated) && now.from + k >= generated.start);
      node.setAttribute("role", "option");
      node.tabIndex = now.from + k === now.at ? 0 : -1;
      return node;
    }));
    const to = (from) => () => state.set({from: windowOf(from, 0, false, now.first)});
    fill(around, `Tokens ${now.from} to ${last} of ${n}.`,
      now.from > now.first ? plainButton("earlier", to(now.from - 128), {"aria-label": "earlier tokens"}) : null,
      last < n - 1 ? plainButton("later", to(now.from + 128), {"aria-label": "later tokens"}) : null);
  }

  function layChips() {
    inkAs = themeColour("--ink");
    const {heads, picked, members, together, by, left, several} = now;
    const remove = (pair) => plainButton("×", () => setHeads(heads.filter((one) => one !== pair)),
      {"aria-label": `remove ${linesHead(pair)}`});
    const away = (at) => element("span", {class: "lines-chip"}, `${at} `, tokenName(facts, at), " ",
      plainButton("×", () => toggle(at), {"aria-label": `take token ${at} away`}));
    const rows = `${members.length} ${by ? "columns" : "rows"}`;
    fill(beside, ...(several ? ["Tokens ", ...members.map(away)] : []),
      together ? element("span", {}, `Drawn is the mean of these ${rows} `,
        element("span", {class: "derived"}, "Derived"),
        "; what one of them may not see adds nothing to it.") : null,
      picked > heads.length ? element("span", {class: "failed"}, `${heads.length} of ${picked} picked heads are ` +
        "drawn, as there are 7 colours.") : null,
      left.length ? element("span", {class: "failed"}, `Left out: tokens ${left.join(", ")}, as there are ` +
        `${LINES_ROWS} colours; a mean has room for ${LINES_TOKENS}.`) : null);
    fill(chips, ...linesSeries(now).map(({pair, name}, k) => {
      const sample = element("canvas", {class: "lines-sample", width: 72, height: 12, "aria-hidden": "true"});
      const pen = sample.getContext("2d");
      Object.assign(pen, {strokeStyle: colour(k), lineWidth: 6});
      pen.setLineDash(LINES_DASHES[k].map((length) => 2 * length));
      pen.moveTo(0, 6);
      pen.lineTo(72, 6);
      pen.stroke();
      return element("span", {class: "lines-chip"}, sample, ` ${name} `,
        heads.length > 1 && (together || !several || k % members.length === 0) ? remove(pair) : null);
    }));
  }

  async function load() {
    const mine = ++round;
    const {site, by, asks} = now, series = linesSeries(now);
    const rowsOf = ({pair: [layer, head], members}) => Promise.all(members.map((at) =>
      lineWeights(page, {site, layer, head}, by ? "column" : "row", at)));
    try {
      const rows = await Promise.all(series.map(rowsOf));
      if (!alive || mine !== round || asks !== now.asks) return;
      const weights = rows.map((all) => all.length > 1 ? linesMean(all.map((one) => one.weights)) : all[0].weights);
      shown = {...now, series, weights};
      fill(status);
      place.classList.remove("stale");
      tell();
    } catch (error) {
      if (alive && mine === round && asks === now.asks) page.refuse(status, error, load);
    }
  }

  /** Everything that is said of the chosen token: stubs, masses, the table; then the drawing. */
  function tell() {
    const {by, series, at, members, several, together, weights} = shown;
    shown.parts = weights.map((row) => linesParts(row, now));
    const words = {first: "first token", before: now.first === now.from && now.first ? "prompt" : "before these tokens", others: `others, under ${now.least}`,
      after: "after these tokens"};
    stubs.mean.hidden = !together;
    const rows = by ? "columns" : "rows";
    fill(stubs.mean, `mean of ${members.length} ${rows}, `, element("span", {class: "derived"}, "Derived"));
    for (const [name, node] of Object.entries(stubs)) {
      if (name === "mean") continue;
      node.hidden = !shown.parts.some((parts) => parts[name] > 0);
      const numbers = shown.parts.flatMap((parts, k) => [k ? " · " : " ", digits(parts[name], shortNumber)]);
      fill(node, words[name], ...numbers);
    }
    fill(masses, ...shown.parts.map(({lines, drawn, first, before, after, others, fewer, total}, k) => {
      const share = (drawn + first) / total;
      return element("p", {class: "lines-line small"}, `${series[k].name}: drawn: `,
        element("span", {class: "number lines-drawn", "data-value": exactNumber(share)}, linesPercent(share)),
        by ? " of what the token receives: " : " of the mass: ", `${lines.length} lines `, digits(drawn),
        ...(by ? [] : [", first token ", digits(first)]), "; others ", digits(before + after + others),
        ` (${fewer} smaller ones here, and what is outside these tokens); together `, digits(total), ".");
    }));
    const columns = series.map(({name}, k) => ({name, values: weights[k], adds: true}));
    const names = members.flatMap((one) => [` ${one} `, tokenName(facts, one)]);
    const caption = [several ? "Tokens" : "Token", ...names,
      by ? ` ${several ? "are" : "is"} looked at by` : ` look${several ? "" : "s"} at`];
    fill(table, lineTable(facts, caption, columns, at));
    [...text.children].forEach((node, k) => {
      node.classList.toggle("chosen", now.from + k === at);
      node.classList.toggle("lines-beside", members.indexOf(now.from + k) > 0);
      node.setAttribute("aria-selected", members.includes(now.from + k));
      node.tabIndex = now.from + k === at ? 0 : -1;
    });
    if (!text.children[at - now.from]) text.children[0].tabIndex = 0;
    tellPair(-1);
    soon();
  }

  /** The chosen token and another one: that under the pointer, else that of shift and arrows, else itself. */
  function tellPair(under, aloud = false) {
    if (!shown) return;
    const {by, at, series, several, weights} = shown;
    const end = under >= 0 ? under : other >= 0 ? other : at;
    const [i, j] = by ? [end, at] : [at, end], token = (one) => [`${one} `, tokenName(facts, one)];
    const pair = ["Row ", ...token(i), " looks at column ", ...token(j)];
    fill(readout, ...(several ? [by ? "Row " : "Column ", ...token(end)] : pair), ": ",
      ...series.flatMap(({name}, k) => [k ? "; " : "", `${name}: weight `, digits(weights[k][end])]), ".");
    if (aloud) page.say(readout.textContent);
  }

  function draw() {
    if (!alive || shown?.asks !== now?.asks || !shown) return;
    if (inkAs !== themeColour("--ink")) layChips();
    text.style.rowGap = text.style.paddingBottom = `${22 + 5 * shown.series.length}px`; // room for strips and arcs
    const [wide, high, ratio] = [stage.clientWidth, stage.clientHeight, window.devicePixelRatio || 1];
    [canvas.width, canvas.height] = [wide, high].map((length) => Math.round(length * ratio));
    [canvas.style.width, canvas.style.height] = [`${wide}px`, `${high}px`];
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    paintOn(pen, high, wide);
  }

  function paintOn(pen, high, wide) {
    const spotOf = (node) => {
      const [left, top, width] = [node.offsetLeft, node.offsetTop, node.offsetWidth];
      return {left, width, x: left + width / 2, top, bottom: top + node.offsetHeight};
    };
    const spots = [...text.children].map(spotOf);
    const ends = Object.entries(stubs).filter(([name, node]) => !node.hidden && name !== "mean")
      .map(([name, node]) => [name, spotOf(node)]);
    drawStrips(pen, spots);
    const startOf = ({members: [at, ...more]}) => {
      const edge = at < now.from ? 0 : high; // from there come the lines of a token outside
      return more.length ? spotOf(stubs.mean) : spots[at - now.from] ?? {x: edge && wide, top: edge, bottom: edge};
    };
    shown.parts.forEach((parts, k) => {
      const aside = 3 * (k - (shown.series.length - 1) / 2), start = startOf(shown.series[k]);
      const moved = (spot) => ({...spot, x: spot.x + aside});
      const line = (spot, weight) => {
        Object.assign(pen, {lineWidth: 1 + 13 * Math.min(1, weight), globalAlpha: Math.min(1, Math.max(0.12, weight))});
        linesCurve(pen, moved(start), moved(spot));
      };
      pen.strokeStyle = colour(k);
      pen.setLineDash(LINES_DASHES[k]);
      for (const [at, weight] of parts.lines) line(spots[at - now.from], weight);
      for (const [name, spot] of ends) if (parts[name] > 0) line(spot, parts[name]);
    });
  }

  /** Under each token a strip a head: its weight's colour. */
  function drawStrips(pen, spots) {
    const hatch = cellHatch(pen);
    shown.weights.forEach((row, k) => spots.forEach((spot, t) => {
      const index = page.colourOf(row[now.from + t]);
      pen.fillStyle = index < 0 ? hatch : cellInk(page.palette, index);
      pen.fillRect(spot.left, spot.bottom + 1 + 5 * k, spot.width, 4);
    }));
  }

  /** What is shown: the rows or columns of which lines are drawn, each whole; and the picture as it is. */
  function slice() {
    if (!shown) throw new Error("The lines are not there yet: wait until they are drawn, then save again.");
    const series = shown.series.map(({name}, k) => ({name, weights: shown.weights[k]}));
    const [layer, head] = shown.heads.length === 1 ? shown.heads[0] : [], [width, height] = [stage.clientWidth, stage.clientHeight];
    const share = shown.parts.map(({drawn, first, total}) => linesPercent((drawn + first) / total)).join(", ");
    return linesSlice(page, {...shown, layer, head, series, least: now.least, share}, () => {
      const pen = svgPen(), nodes = [...text.children, ...Object.values(stubs).filter((node) => !node.hidden)];
      paintOn(pen, height, width);
      const names = nodes.map((node) => svgText(node.offsetLeft + 4, node.offsetTop + node.offsetHeight - 7,
        plainText(node.textContent, 60), 14, themeColour("--ink"), "start", Math.max(4, node.offsetWidth - 8)));
      return {width, height, inside: pen.parts.join("") + names.join("")};
    });
  }

  /** The token at an event, or -1. */
  function tokenAt(event) {
    const k = [...text.children].findIndex((node) => node.contains(event.target));
    return k < 0 ? -1 : now.from + k;
  }

  function click(event) {
    const at = tokenAt(event);
    if (at < 0) return;
    if (event.ctrlKey || event.metaKey) return toggle(at);
    if (!event.shiftKey) return choose(at);
    other = at;
    tellPair(-1, true);
  }

  function lookUp() {
    const row = now.by ? other : now.at;
    if (row >= 0) state.set({row, column: now.by ? now.at : other, view: "lookup"});
    else complain("First choose, with shift and the arrow keys, the token that looks: the row to open.");
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -n, End: n}[event.key];
    if (!step && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === " ") return toggle(other >= 0 ? other : now.at);
    if (!step) return lookUp();
    const next = (at) => Math.min(n - 1, Math.max(0, at + step));
    if (event.shiftKey) {
      other = next(other < 0 ? now.at : other);
      tellPair(-1, true);
    } else {
      choose(next(now.at), {replace: true});
      text.children[now.at - now.from]?.focus();
    }
  }

  return {
    slice,
    update(all) {
      const by = all.direction === "by";
      const wanted = by ? all.column : all.row;
      const at = wanted >= 0 && wanted < n ? wanted : n - 1;
      const least = leasts.some(([value]) => value === all.least) ? all.least : "0.01";
      const first = generated && all.only === "generated" ? generated.start : 0; // of what is shown
      const next = {site: all.site, by, at, ...linesChosen(all, facts, at)};
      const asks = JSON.stringify(next);
      Object.assign(next, {asks, least: Number(least), first, from: windowOf(all.from, at, by, first)});
      const sight = JSON.stringify([next, page.scale()]);
      if (sight === seen) return;
      seen = sight;
      const before = now;
      now = next;
      [bySelect.value, leastSelect.value, onlySelect.value] = [by ? "by" : "at", least, first ? "generated" : ""];
      [togetherSelect.value, togetherSelect.disabled] = [all.together === "mean" ? "mean" : "", !next.several];
      if (laidOut !== `${now.from} ${first}`) layOut();
      if (before?.asks !== asks) layChips();
      if (before?.asks === asks) return shown?.asks === asks ? tell() : undefined;
      clearTimeout(settle);
      if (shown) place.classList.add("stale");
      settle = setTimeout(load, n > ROWS_WHOLE ? 100 : 0); // of a long text, tokens that flash by are not asked for
    },
    destroy() {
      alive = false;
      clearTimeout(settle);
      stop();
    },
  };
}
