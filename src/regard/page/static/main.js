// The page: what is looked at above, one view below it, all of it in the address.

import {remembering, serverAnswers, storedAnswers, Refusal} from "./ask.js";
import {cellBar, cellLogTicks} from "./cells.js";
import {element, fill} from "./dom.js";
import {notesOf} from "./notes.js";
import {counted} from "./numbers.js";
import {proofPanel} from "./proof.js";
import {savePanel} from "./save.js";
import {addressState, ownState, writeState} from "./state.js";
import {tokenStrip} from "./strip.js";

const RETYPING = 4000; // milliseconds after a look within which another is no step of its own to go back to

/**
 * Opens the page in `place`. kind: what it offers, TEXTS or PICTURES; answers: ask.js; state: state.js; first: the key of
 * the recording to begin with, or null; keys: where single keys are heard; again: what is done after a page could not be
 * opened.
 */
export async function openPage(place, {kind, answers, state, first, name, keys = document, again = () => location.reload()}) {
  const page = {ask: remembering(answers), state, name, key: null, facts: null, had: new Map()};
  const live = element("p", {class: "visually-hidden", role: "status", "aria-live": "polite"});
  page.say = (text) => { live.textContent = text; };
  page.refuse = (spot, error, retry) => fill(spot, element("p", {class: "failed"}, String(error.message ?? error), " ",
    retry ? element("button", {class: "plain", onclick: retry}, "try again") : null));
  page.scale = () => state.get().scale || (page.facts.n > page.facts.logAbove ? "log" : "linear");
  page.colourOf = (weight) => colourIndex(weight, page.scale(), page.facts.logFrom);
  const shell = pageShell(page, kind, live);
  fill(place, shell.root);
  let opening = 0;
  /** The newest wins; -> whether it was this one. typed: the text field has it already. */
  async function open(key, typed = false) {
    const mine = ++opening, facts = key === page.key ? page.facts : await page.ask.json(`${key}/facts`);
    if (mine !== opening) return false;
    Object.assign(page, {key, facts, palette: paletteOf(facts.palette), typed, kind: facts.picture ? "picture" : "text"});
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
  pageKeys(page, kind, shell.root, keys);
  return Object.assign(page, {redraw: shell.redraw, close: shell.close});
}

/** weight -> 0 to 255 on the fixed scale; -1 for what is not allowed. from: the lowest of the log scale. */
export function colourIndex(weight, scale, from) {
  if (Number.isNaN(weight)) return -1;
  const share = scale === "log" ? 1 - Math.log10(Math.max(weight, from)) / Math.log10(from) : weight;
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

/** Looks at a new text, or at the bytes of a picture: the newest wins, an older answer is dropped. */
function lookerOf(page, open, shell) {
  const client = Math.random().toString(36).slice(2);
  let number = 0, last = 0;
  return async (given) => {
    const mine = ++number, text = typeof given === "string" ? given : undefined;
    shell.main.classList.add("stale");
    try {
      const found = await (text === undefined ? page.ask.post(`picture/${client}/${mine}`, given) :
        page.ask.post("look", {text, client, number: mine}));
      if (mine !== number) return;
      if (!(await open(found.key, true))) return; // and going there in the address, below, asks for nothing more
      const replace = text !== undefined && Date.now() - last < RETYPING; // another picture is a step of its own
      last = Date.now();
      page.state.set({key: found.key, text, row: -1, column: -1, position: undefined,
        from: undefined, zoom: undefined, left: undefined, top: undefined, box: undefined}, {replace});
      shell.said(found.notices ?? []);
    } catch (error) {
      if (mine === number) shell.said([String(error.message ?? error)]);
    } finally {
      if (mine === number) shell.main.classList.remove("stale");
    }
  };
}

function pageShell(page, {views, tour, input}, live) {
  const {state} = page;
  const heading = element("h1", {}, "regard", element("span", {class: "quiet"}, ` ${page.name ?? ""}`));
  const badge = element("div", {class: "page-badge"});
  const way = element("div", {class: "page-tour"});
  const said = element("p", {class: "page-said quiet small", role: "status"});
  const strip = element("div", {class: "page-strip"});
  const tabs = element("nav", {class: "page-tabs", "aria-label": "Views"});
  const main = element("section", {class: "page-view"});
  const choices = element("div", {class: "row"}), saving = savePanel(page, () => current?.view);
  const field = input((given) => page.look(given), (words) => { said.textContent = words; });
  const root = element("div", {class: "page"},
    element("header", {class: "page-head"}, heading,
      tour ? element("button", {class: "plain", "data-tour": true, onclick: () => page.tour?.start()}, "take the tour") : null, badge),
    page.ask.live ? field.node : null, said, strip, way, tabs,
    element("div", {class: "page-choices row"}, choices, saving.button), saving.panel, main,
    notesOf(), element("footer", {class: "page-foot quiet small"}), live);
  const foot = root.querySelector(".page-foot");
  let current = null;
  let proof = null;
  let shownStrip = null;
  let key = null;

  function mount(now) {
    const [name, , make] = views.find(([view]) => view === now.view) ?? views[0];
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
      field.close();
      current?.view.destroy();
      proof?.destroy();
    },
    empty: () => { fill(main, element("p", {class: "quiet"}, field.empty)); field.focus(); },
    said: (lines) => { said.textContent = lines.join(" "); },
    show() {
      const now = state.get();
      if (key !== page.key) {
        key = page.key;
        field.show(page);
        proof?.destroy();
        fill(badge);
        proof = proofPanel(badge, page);
        shownStrip = tokenStrip(strip, page);
        page.tour = tour?.(way, page);
        fill(foot, footOf(page));
      }
      proof.update(now);
      shownStrip.update(now);
      page.tour?.update(now);
      fill(tabs, ...views.map(([name, title], at) => tabOf(name, typeof title === "string" ? title : title(page.facts), at, now, state)));
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
  const ends = scale === "log" ? cellLogTicks(page.facts, "1e-3") : ["0", "0.5", "1"];
  return element("span", {class: "page-scale"}, canvas, element("span", {class: "page-ticks number small quiet"}, ...ends.map((end) => element("span", {}, end))));
}

function footOf(page) {
  const {facts} = page;
  return (facts.name ? `${facts.name} | ` : "") + [counted(facts.n, "token"), counted(facts.layers, "layer")].join(", ") + ` of ${counted(facts.heads, "head")} | ${facts.kernel}, ` +
    `${facts.dtype} | recorded ${facts.made.slice(0, 10)} | regard ${facts.version}, torch ${facts.torch}`;
}

/** Single keys, but not while somebody types; "!" switches them off and on. */
function pageKeys(page, {views, tour}, root, keys) {
  const {state} = page, help = `Keys: 1 to ${views.length} views, h and l head, j and k layer, arrows cell, Enter inspect, g go to row, column, s scale, ` +
    `u undo an edit, ${tour ? "n and p next and previous stop of the tour, " : ""}? this help, ! single keys off or on`;
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
      "?": () => { const line = root.querySelector(".page-help"); line.hidden = !line.hidden; line.scrollIntoView({block: "nearest"}); page.say(help); },
    }[event.key] ?? (views[Number(event.key) - 1] ? () => state.set({view: views[Number(event.key) - 1][0], from: undefined}) : null);
    if (!act) return;
    event.preventDefault();
    act();
  });
  root.querySelector(".page-foot").before(element("p", {class: "page-help quiet small", hidden: true}, help));
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

/** kind: as openPage has it. */
export async function begin(kind) {
  const place = document.getElementById("page");
  const stored = document.getElementById("answers");
  if (stored) {
    const answers = storedAnswers(JSON.parse(stored.textContent));
    const {at = ""} = stored.dataset; // where a saved page begins
    const state = location.protocol === "about:" ? ownState(at) : addressState(at); // a frame in a notebook has no address
    await openPage(place, {kind, answers, state, first: "0", name: ""});
    return;
  }
  const token = tokenFromAddress();
  const answers = serverAnswers(token);
  try {
    const start = await answers.json("start");
    document.title = `regard: ${start.name}`;
    await openPage(place, {kind, answers, state: addressState(start.at), first: start.key, name: start.name});
  } catch (error) {
    if (error instanceof Refusal && !/does not answer/.test(error.message)) askForToken(place, () => begin(kind));
    else fill(place, element("p", {class: "failed"}, error.message));
  }
}
