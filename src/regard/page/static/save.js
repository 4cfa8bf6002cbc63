// Saving what a view shows: a button, a small panel, and the provenance that every file carries.

import {cellColours} from "./cells.js";
import {choiceOf, plainButton} from "./controls.js";
import {element, fill} from "./dom.js";
import {csvOf, npzOf, pngOf} from "./export.js";
import {pictureOf, plainText} from "./picture.js";
import {readState, writeState} from "./state.js";

const SAVE_KINDS = {svg: "image/svg+xml", png: "image/png", csv: "text/csv", npz: "application/zip"};
const SAVE_ELSEWHERE = ["view", "key", "text", "site", "layer", "head", "edits", "lock", "tour"]; // by another name, or not at all

/**
 * viewOf() -> the view, whose slice() -> what it shows: {name, title, under, words, facts, scale, empty, columns or
 * cells, arrays, draw, edits}. edits: what is of an edited run, if anything. columns: [{name, values}], values numbers, null or texts; cells: {name, rows, columns,
 * rowTokens, columnTokens, values}; draw() -> {width, height, inside}, a picture's body.
 */
export function savePanel(page, viewOf) {
  const status = element("p", {class: "save-said", role: "status"}), made = element("p", {class: "quiet"});
  const [scaleLabel, scale] = choiceOf("pixels", [1, 2, 3, 4].map((one) => [one, `${one} x`]), () => {});
  const captioned = element("input", {type: "checkbox", checked: true}), quiet = (words) => element("span", {class: "quiet"}, words);
  const [svg, png, csv, npz] = Object.keys(SAVE_KINDS).map((kind) => plainButton(kind.toUpperCase(), () => save(kind), {"data-save": kind}));
  scale.value = "2";
  const panel = element("div", {class: "save-panel stack small", id: "save-panel", role: "group", hidden: true, onkeydown: key,
    "aria-label": "save what is shown"},
    element("div", {class: "row"}, quiet("Picture"), svg, png, scaleLabel, element("label", {}, captioned, " with caption")),
    element("div", {class: "row"}, quiet("Numbers"), csv, npz, quiet("Every file names its recording and model, and has the badge.")), made, status);
  const button = plainButton("Save", toggle, {"aria-expanded": "false", "aria-controls": "save-panel", "data-save": "open"});
  let shown = "";

  function toggle() {
    panel.hidden = !panel.hidden;
    button.setAttribute("aria-expanded", String(!panel.hidden));
    if (!panel.hidden) {
      tell();
      svg.focus();
    }
  }

  function key(event) {
    if (event.key === "Escape") {
      toggle();
      button.focus();
    }
    event.stopPropagation(); // the page's single keys are not meant here
  }

  /** How the same is made again. */
  function tell() {
    const {command, address} = saveAgain(page), code = (text) => element("code", {class: "save-code"}, plainText(text, 400));
    fill(made, "Made again by ", code(command), ...(address ? ["; there at the address ", code(`#${address}`)] : []));
  }

  async function save(kind) {
    status.textContent = `${kind.toUpperCase()} …`;
    try {
      const shows = () => `${page.key} ${writeState(page.state.get())}`, begun = shows();
      const slice = await viewOf().slice(), facts = await saveFacts(page, slice);
      if (shows() !== begun) throw new Error("What is shown changed while it was being saved.");
      const bytes = await saveBytes(page, slice, facts, kind, captioned.checked, Number(scale.value));
      const address = URL.createObjectURL(new Blob([bytes], {type: SAVE_KINDS[kind]})), download = `${saveName(page, slice)}.${kind}`;
      element("a", {href: address, download}).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000); // long enough for any browser to have begun
      status.textContent = `${download} is made.`;
    } catch (error) {
      page.refuse(status, error, () => save(kind));
    }
  }

  return {
    button, panel,
    update() {
      const as = writeState(page.state.get());
      if (as !== shown) fill(status);
      shown = as;
      button.hidden = !viewOf()?.slice;
      if (button.hidden && !panel.hidden) toggle();
      if (!panel.hidden) tell();
    },
  };
}

function saveBytes(page, slice, facts, kind, captioned, scale) {
  if (kind === "csv") return csvOf(slice, facts);
  if (kind === "npz") return npzOf(slice, facts);
  const picture = pictureOf(page, slice, facts, captioned);
  return kind === "svg" ? picture.svg : pngOf(picture, scale, facts);
}

/** A name of plain letters: the run's, the view's, and which head. */
function saveName(page, {name, facts: {layer, head}}) {
  const plain = page.facts.name.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-+/, "").slice(0, 40).replace(/-+$/, "");
  return [plain || "regard", name, layer, head].filter((one) => one !== undefined).join("-").toLowerCase();
}

/** Where the numbers come from, in every file; names as in the pictures that `--save` draws. */
async function saveFacts(page, slice) {
  const {facts, state, key} = page, now = state.get(), {site} = now;
  const [origin, proof] = await Promise.all([page.ask.json(`${key}/origin`), page.ask.fresh(`${key}/proof`)]);
  const switches = Object.fromEntries(Object.entries(readState(writeState(now)))
    .filter(([name, value]) => !SAVE_ELSEWHERE.includes(name) && value !== "" && value !== -1));
  return {
    regard: facts.version, torch: facts.torch, ...origin, name: facts.name, view: slice.name, site, ...(facts.generated && {generated: facts.generated}),
    ...slice.facts, tokens: facts.n, scale: slice.scale ? cellColours(page, slice.scale).name : "", switches,
    edits: slice.edits ?? "none: all numbers are of the recorded run",
    badge: proof.running ? "Proof running" : proof.badge, checks: proof.checks.map(({name, passed, number, limit, place}) =>
      ({name, passed, number, limit, place})), recorded: facts.made, kernel: facts.kernel, dtype: facts.dtype, seed: facts.seed,
    saved: new Date().toISOString(), ...saveAgain(page),
  };
}

/** The command that makes it again or the page on which it is, and the address there. */
function saveAgain(page) {
  const now = page.state.get(), {name, generated} = page.facts, text = generated?.prompt ?? page.facts.text, known = /^\w[\w.-]*$/.test(name);
  const view = now.view === "matrix" && now.what !== "weights" ? "" : now.view; // of a matrix only weights are drawn there
  const elsewhere = now.view === "heads" && now.numbers; // held-out text: measured on the live page, at the address
  const what = elsewhere ? "" : page.facts.picture ? "--save page.html" : {heads: "--save heads.svg", matrix: `--head ${now.layer}.${now.head} --save head.svg`}[view] ?? "--save page.html";
  const run = known ? `runs/${name}` : "RUN", said = Object.entries(generated?.sampling ?? {}).flatMap(([option, value]) => [`--${option.replaceAll("_", "-")}`, value]);
  const asked = page.facts.picture ? ["PICTURE"] : [...(text.startsWith("-") ? ["--"] : []), saveQuoted(text)]; // its file's name was not kept
  const command = ["regard look", run, what, ...said, ...asked].filter(Boolean).join(" ");
  return {command, address: writeState({...now, key: ""})};
}

/** As a shell takes it: in quotes, and signs that cannot be seen by their codes. */
function saveQuoted(text) {
  const unseen = /[\p{C}\p{Zl}\p{Zp}]/u, hex = (sign) => sign.codePointAt(0).toString(16).padStart(8, "0");
  if (!unseen.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const signs = [...text].map((sign) => (unseen.test(sign) ? `\\U${hex(sign)}` : sign.replace(/[\\']/, "\\$&")));
  return `$'${signs.join("")}'`;
}
