// The proof that the recording is the model's own: its badge always in view, behind it every check with its numbers.

import {plainButton} from "./controls.js";
import {element, fill} from "./dom.js";
import {exactNumber, shortNumber} from "./numbers.js";

const PROOF_EACH = 1000; // milliseconds between questions while it runs
const PROOF_WAIT = 30; // questions for a proof that has not begun yet: it does so by itself after a text was read

const PROOF_WORDS = {
  good: "Every weight drawn is the kernel's own, within the bound above: what each check found is below.",
  wrong: "A check failed or was not made. The numbers are shown, but they are not proven to be the model's own.",
  quiet: "The checks are not done yet. The numbers can be looked at meanwhile, but they are not proven yet.",
};

/** What the badge says: good, wrong, or quiet while it runs or is about to. */
export function proofState({badge, running}, waiting = false) {
  if (running || waiting || /^Proof running/.test(badge)) return "quiet";
  return /^Proven/.test(badge) ? "good" : "wrong";
}

export function proofPanel(place, page) {
  const {key} = page, spot = element("div"), notice = element("div");
  let found = {badge: page.facts.badge, running: false, checks: []}, there = true, timer = 0, left = PROOF_WAIT;
  const badge = plainButton("", open, {class: "plain proof-badge", "aria-haspopup": "dialog"});
  const again = plainButton("repeat the proof", repeat), close = plainButton("close", () => dialog.close());
  const dialog = element("dialog", {class: "proof-dialog", "aria-label": "the proof"},
    element("h2", {}, "Is this what the model computed?"), spot, notice,
    element("div", {class: "row"}, page.ask.live ? again : null, close));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => event.stopPropagation()); // the page's single keys are not meant here
  fill(place, badge, dialog);

  function open() {
    dialog.showModal();
    draw();
    ask();
  }

  const waiting = () => page.ask.live && found.checks.length === 0 && left > 0;

  function draw() {
    const kind = proofState(found, waiting()), text = found.running ? "Proof running" : found.badge;
    if (badge.textContent !== text) page.say(text);
    fill(badge, text);
    badge.className = `plain proof-badge proof-${kind}`;
    again.disabled = found.running;
    if (dialog.open) fill(spot, ...proofTable(found, kind, text));
  }

  function askSoon() {
    clearTimeout(timer);
    timer = setTimeout(ask, PROOF_EACH);
  }

  function refused(error, retry) {
    if (there) page.refuse(fill(notice, element("div")).firstChild, error, retry);
  }

  async function ask() {
    clearTimeout(timer);
    try {
      const answer = await page.ask.fresh(`${key}/proof`);
      if (!there) return;
      found = answer;
      left--;
      fill(notice);
      draw();
      if (page.ask.live && (found.running || waiting())) askSoon();
    } catch (error) {
      refused(error, ask);
    }
  }

  async function repeat() {
    try {
      await page.ask.post(`${key}/prove`, {});
      if (!there) return;
      found = {...found, running: true};
      draw();
      askSoon();
    } catch (error) {
      refused(error, repeat);
    }
  }

  function destroy() {
    there = false;
    clearTimeout(timer);
    if (dialog.open) dialog.close();
  }
  draw();
  ask();
  return {update: () => {}, destroy};
}

function proofTable({checks, running, ...made}, kind, text) {
  const about = [element("p", {class: `proof-text proof-${kind}`}, text),
    element("p", {class: "quiet"}, PROOF_WORDS[kind])];
  if (checks.length === 0) return about;
  const names = ["check", "what is compared", "result", "number", "limit", "where", "note"];
  const table = element("table", {class: "numbers proof-table"},
    element("thead", {}, element("tr", {}, ...names.map((name) => element("th", {scope: "col"}, name)))),
    element("tbody", {}, ...checks.map(proofLine)));
  return [...about, element("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "the checks"}, table),
    element("p", {class: "quiet small proof-made"}, proofMade(made))];
}

function proofLine({name, what, passed, number, limit, place, note}) {
  const result = passed === null ? "not done" : passed ? "passed" : "FAILED";
  const look = passed === null ? "quiet" : passed ? "proof-good" : "proof-wrong";
  const cell = (value, sign = "") => value === null || value === undefined ? element("td", {class: "quiet"}, "-") :
    element("td", {"data-value": exactNumber(value)}, sign + shortNumber(value));
  return element("tr", {}, element("th", {scope: "row"}, name), element("td", {class: "proof-what"}, what),
    element("td", {class: look}, result), cell(number), cell(limit, name === "G" ? "at least " : "at most "),
    element("td", {}, place || "-"), element("td", {class: "proof-what"}, note || ""));
}

/** Whence the proof is: enough to make it again. */
function proofMade({seed, kernel, seconds, made, dtype, threads, bound = null, id, modelHash}) {
  const parts = [`seed ${seed}`, kernel, dtype, threads && `${threads} threads`, `${shortNumber(seconds)} s`, made,
    bound !== null && `every row within ${shortNumber(bound)} (Euclidean)`, id && `recording ${id.slice(0, 12)}`,
    modelHash && `model ${modelHash.slice(0, 12)}`];
  return parts.filter(Boolean).join(" | ");
}
