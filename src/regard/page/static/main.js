// The page: what is looked at above, one view below it, all of it in the address.

import {remembering, serverAnswers, storedAnswers, Refusal} from "./ask.js";
import {cellBar} from "./cells.js";
import {element, fill, focusedBeside} from "./dom.js";
import {editsPanel} from "./edits.js";
import {headsView} from "./heads.js";
import {linesView} from "./lines.js";
import {lookupView} from "./lookup.js";
import {matrixView} from "./matrix.js";
import {notesOf} from "./notes.js";
import {counted} from "./numbers.js";
import {predictionView} from "./prediction.js";
import {proofPanel} from "./proof.js";
import {savePanel} from "./save.js";
import {spaceView} from "./space.js";
import {addressState, ownState, writeState} from "./state.js";
import {tokenStrip} from "./strip.js";
import {tourPanel} from "./tour.js";

const VIEWS = [
  ["heads", "Heads", headsView], ["matrix", "Matrix", matrixView], ["lines", "Lines", linesView],
  ["lookup", "Look-up", lookupView], ["prediction", "Prediction", predictionView],
  ["space", "Representations", spaceView], ["edits", "Edits", editsPanel],
];
const RETYPING = 4000; // milliseconds after a look within which another is no step of its own to go back to
const TYPING = 250; // milliseconds of quiet after which a changed text is looked at

/**
 * Opens the page in `place`. answers: ask.js; state: state.js; first: the key of the recording to begin with, or null;
 * keys: where single keys are heard; again: what is done after a page could not be opened.
 */
export async function openPage(place, {answers, state, first, name, keys = document, again = () => location.reload()}) {
  const page = {ask: remembering(answers), state, name, key: null, facts: null, had: new Map()};
  const live = element("p", {class: "visually-hidden", role: "status", "aria-live": "polite"});
  page.say = (text) => { live.textContent = text; };
  page.refuse = (spot, error, retry) => fill(spot, element("p", {class: "failed"}, String(error.message ?? error), " ",
    retry ? element("button", {class: "plain", onclick: retry}, "try again") : null));
  page.scale = () => state.get().scale || (page.facts.n > page.facts.logAbove ? "log" : "linear");
  page.colourOf = (weight) => colourIndex(weight, page.scale());
  const shell = pageShell(page, live);
  fill(place, shell.root);
  let opening = 0;
  /** The newest wins; -> whether it was this one. typed: the text field has it already. */
  async function open(key, typed = false) {
    const mine = ++opening, facts = key === page.key ? page.facts : await page.ask.json(`${key}/facts`);
    if (mine !== opening) return false;
    Object.assign(page, {key, facts, palette: paletteOf(facts.palette), typed});
    page.had.set(key, facts);
    shell.show();
    return true;
  }
  page.open = open;
  page.look = lookerOf(page, open, shell);
  try {
    const {key, text} = state.get();
    if (key || first) await open(key || first).catch(async (error) => {
      if (!text || !answers.live) throw error;
      await page.look(text);
    });
    else if (text) await page.look(text);
    else shell.empty();
  } catch (error) {
    page.refuse(shell.main, error, again);
  }
  let asked = state.get().key || first;
  state.listen((now) => {
    const wanted = now.key || first;
    if (wanted && wanted !== asked) open((asked = wanted)).catch((error) => page.refuse(shell.main, error, null));
    else if (page.facts) shell.show();
  });
  if (page.facts) shell.show(); // the only head is opened at once: nobody listened yet
  pageKeys(page, shell.root, keys);
  return Object.assign(page, {redraw: shell.redraw, close: shell.close});
}

/** weight -> 0 to 255 on the fixed scale; -1 for what is not allowed. Lowest of the log scale: 1e-6. */
export function colourIndex(weight, scale) {
  if (Number.isNaN(weight)) return -1;
  const share = scale === "log" ? 1 + Math.log10(Math.max(weight, 1e-6)) / 6 : weight;
  return roundHalfEven(255 * Math.min(Math.max(share, 0), 1));
}

/** As NumPy rounds, so that page and pictures have the same colours. */
function roundHalfEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}

function paletteOf(hex) {
  return Uint8ClampedArray.from(hex.match(/../g), (pair) => parseInt(pair, 16));
}

/** Looks at a new text: the newest wins, an older answer is dropped. */
function lookerOf(page, open, shell) {
  const client = Math.random().toString(36).slice(2);
  let number = 0, last = 0;
  return async (text) => {
    const mine = ++number;
    shell.main.classList.add("stale");
    try {
      const found = await page.ask.post("look", {text, client, number: mine});
      if (mine !== number) return;
      if (!(await open(found.key, true))) return; // and going there in the address, below, asks for nothing more
      const replace = Date.now() - last < RETYPING;
      last = Date.now();
      page.state.set({key: found.key, text, row: -1, column: -1, position: undefined,
        from: undefined, zoom: undefined, left: undefined, top: undefined}, {replace});
      shell.said(found.notices ?? []);
    } catch (error) {
      if (mine === number) shell.said([String(error.message ?? error)]);
    } finally {
      if (mine === number) shell.main.classList.remove("stale");
    }
  };
}

function pageShell(page, live) {
  const {state} = page;
  const heading = element("h1", {}, "regard", element("span", {class: "quiet"}, ` ${page.name ?? ""}`));
  const badge = element("div", {class: "page-badge"});
  const way = element("div", {class: "page-tour"});
  const said = element("p", {class: "page-said quiet small", role: "status"});
  const strip = element("div", {class: "page-strip"});
  const tabs = element("nav", {class: "page-tabs", "aria-label": "Views"});
  const main = element("section", {class: "page-view"});
  const choices = element("div", {class: "row"}), saving = savePanel(page, () => current?.view);
  const field = element("textarea", {class: "page-text", rows: 1, spellcheck: "false", "aria-label": "Text that the model reads",
    placeholder: "Type something for the model to read"});
  let waiting = 0;
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => field.value && page.look(field.value), TYPING);
  });
  const root = element("div", {class: "page"},
    element("header", {class: "page-head"}, heading,
      element("button", {class: "plain", "data-tour": true, onclick: () => page.tour?.start()}, "take the tour"), badge),
    page.ask.live ? field : null, said, strip, way, tabs,
    element("div", {class: "page-choices row"}, choices, saving.button), saving.panel, main,
    notesOf(), element("footer", {class: "page-foot quiet small"}), live);
  const foot = root.querySelector(".page-foot");
  let current = null;
  let proof = null;
  let shownStrip = null;
  let key = null;

  function mount(now) {
    const [name, , make] = VIEWS.find(([view]) => view === now.view) ?? VIEWS[0];
    if (current && current.name === name && current.key === page.key) return current.view.update(now);
    current?.view.destroy();
    const spot = element("div", {class: `view ${name}`});
    fill(main, spot);
    current = {name, key: page.key, view: make(spot, page)};
    return current.view.update(now);
  }

  return {
    root, main,
    redraw() {
      current?.view.destroy();
      current = null;
      if (page.facts) mount(state.get());
    },
    close() {
      clearTimeout(waiting);
      current?.view.destroy();
      proof?.destroy();
    },
    empty: () => { fill(main, element("p", {class: "quiet"}, "Type a text above; the model reads it, and every head is drawn here.")); field.focus(); },
    said: (lines) => { said.textContent = lines.join(" "); },
    show() {
      const now = state.get();
      if (key !== page.key) {
        key = page.key;
        if (focusedBeside(field) !== field || !page.typed) field.value = page.facts.text;
        proof?.destroy();
        fill(badge);
        proof = proofPanel(badge, page);
        shownStrip = tokenStrip(strip, page);
        page.tour = tourPanel(way, page);
        fill(foot, footOf(page));
      }
      proof.update(now);
      shownStrip.update(now);
      page.tour.update(now);
      fill(tabs, ...VIEWS.map(([name, title], at) => tabOf(name, `${title}`, at, now, state)));
      fill(choices, ...choicesOf(page, now));
      mount(now);
      saving.update();
    },
  };
}

function tabOf(name, title, at, now, state) {
  const there = now.view === name;
  const address = `#${writeState({...now, view: name, from: undefined})}`;
  return element("a", {href: address, class: there ? "chosen" : null, "aria-current": there ? "page" : null, title: `key ${at + 1}`,
    onclick: (event) => { event.preventDefault(); state.set({view: name, from: undefined}); }}, title);
}

/** Site, layer, head and scale: what every view of one head shares. */
function choicesOf(page, now) {
  const {facts, state} = page;
  const pick = (label, name, count) => element("label", {class: "page-pick"}, label, " ",
    element("select", {"aria-label": label, onchange: (event) => state.set({[name]: Number(event.target.value)})},
      ...Array.from({length: count}, (_, at) => element("option", {value: at, selected: at === now[name]}, String(at)))));
  const scale = page.scale();
  return [
    facts.sites.length > 1 ? element("label", {class: "page-pick"}, "site ", element("select", {onchange: (event) => state.set({site: event.target.value})},
      ...facts.sites.map((site) => element("option", {value: site, selected: site === now.site}, site)))) : null,
    pick("layer", "layer", facts.layers), pick("head", "head", facts.heads),
    element("span", {class: "page-pick"}, "scale ", ...["linear", "log"].map((kind) => element("button", {class: "plain",
      "aria-pressed": String(kind === scale), onclick: () => state.set({scale: kind})}, kind))),
    colourBar(page, scale),
  ].filter(Boolean);
}

/** The fixed scale as a bar with its numbers. */
function colourBar(page, scale) {
  const canvas = cellBar(page.palette, 256, "page-bar");
  const ends = scale === "log" ? ["1e-6", "1e-3", "1"] : ["0", "0.5", "1"];
  return element("span", {class: "page-scale"}, canvas, element("span", {class: "page-ticks number small quiet"}, ...ends.map((end) => element("span", {}, end))));
}

function footOf(page) {
  const {facts} = page;
  return (facts.name ? `${facts.name} | ` : "") + [counted(facts.n, "token"), counted(facts.layers, "layer")].join(", ") + ` of ${counted(facts.heads, "head")} | ${facts.kernel}, ` +
    `${facts.dtype} | recorded ${facts.made.slice(0, 10)} | regard ${facts.version}, torch ${facts.torch}`;
}

const HELP = "Keys: 1 to 7 views, h and l head, j and k layer, arrows cell, Enter inspect, g go to row, column, s scale, u undo an edit, n and p next and previous stop of the tour, ? this help, ! single keys off or on";

/** Single keys, but not while somebody types; "!" switches them off and on. */
function pageKeys(page, root, keys) {
  const {state} = page;
  let on = true;
  const step = (name, count, by) => state.set({[name]: Math.min(Math.max(state.get()[name] + by, 0), count - 1)});
  keys.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !page.facts) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName ?? "")) return;
    if (event.key === "!") { on = !on; page.say(`single keys are ${on ? "on" : "off"}`); return; }
    if (!on) return;
    const act = {
      h: () => step("head", page.facts.heads, -1), l: () => step("head", page.facts.heads, 1),
      k: () => step("layer", page.facts.layers, -1), j: () => step("layer", page.facts.layers, 1),
      s: () => state.set({scale: page.scale() === "log" ? "linear" : "log"}),
      g: () => root.querySelector("[data-go]")?.focus(),
      n: () => page.tour?.step(1), p: () => page.tour?.step(-1),
      u: () => root.querySelector("[data-undo]")?.click(),
      "/": () => root.querySelector(".page-find")?.focus(),
      "?": () => { const help = root.querySelector(".page-help"); help.hidden = !help.hidden; help.scrollIntoView({block: "nearest"}); page.say(HELP); },
    }[event.key] ?? (VIEWS[Number(event.key) - 1] ? () => state.set({view: VIEWS[Number(event.key) - 1][0], from: undefined}) : null);
    if (!act) return;
    event.preventDefault();
    act();
  });
  root.querySelector(".page-foot").before(element("p", {class: "page-help quiet small", hidden: true}, HELP));
}

const TOKEN = "regard-token";

/** The token comes in the address once, is kept for this tab, and leaves the address at once. */
function tokenFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("token")) {
    sessionStorage.setItem(TOKEN, given.get("token"));
    given.delete("token");
    history.replaceState(null, "", `${location.pathname}#${given}`);
  }
  return sessionStorage.getItem(TOKEN) ?? "";
}

/** Asks for the token where the address had none: a copied link. */
function askForToken(place, then) {
  const field = element("input", {type: "password", "aria-label": "token", autocomplete: "off"});
  const form = element("div", {class: "page-ask stack"}, element("h1", {}, "regard"),
    element("p", {}, "This address has no token. Paste the one that regard printed, or open the address that it printed."),
    element("div", {class: "row"}, field, element("button", {class: "plain", onclick: () => {
      sessionStorage.setItem(TOKEN, field.value.replace(/^.*token=/, "").trim());
      then();
    }}, "open")));
  fill(place, form);
  field.focus();
}

export async function begin() {
  const place = document.getElementById("page");
  const stored = document.getElementById("answers");
  if (stored) {
    const answers = storedAnswers(JSON.parse(stored.textContent));
    const {at = ""} = stored.dataset; // where a saved page begins
    const state = location.protocol === "about:" ? ownState(at) : addressState(at); // a frame in a notebook has no address
    await openPage(place, {answers, state, first: "0", name: ""});
    return;
  }
  const token = tokenFromAddress();
  const answers = serverAnswers(token);
  try {
    const start = await answers.json("start");
    document.title = `regard: ${start.name}`;
    await openPage(place, {answers, state: addressState(), first: start.key, name: start.name});
  } catch (error) {
    if (error instanceof Refusal && !/does not answer/.test(error.message)) askForToken(place, begin);
    else fill(place, element("p", {class: "failed"}, error.message));
  }
}
