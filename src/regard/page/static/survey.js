// Every head over held-out text: means in place of one text's numbers, and the windows that they come from.

import {asking, choiceOf, digits, keepFocus, noticeOf, plainButton} from "./controls.js";
import {element, fill} from "./dom.js";
import {exactNumber, shownNumber} from "./numbers.js";

const SURVEY_ON = "held-out"; // the address's numbers=
const SURVEY_MISSING = "This saved page has none; in Python, run.survey() before run.look(text).save(page) adds them.";
const SURVEY_OPENED = "Opened, it is read as a text: its ends may be cut otherwise, and its numbers differ.";
const surveyDerived = () => element("span", {class: "derived"}, "Derived");

/**
 * The switch between this text and held-out text. place: of the view, whose numbers are dimmed while others are
 * awaited; numbers: [name, words] of each; changed(): is called when those to be shown are others.
 * shown() -> the survey, or null as long as this text's numbers are shown; means(cell) -> a head's, or null;
 * beside(cell, name) -> what stands beside a mean of the chosen head; over() -> what is saved of it, or null.
 */
export function surveyPanel(page, {place, numbers, changed}) {
  const {state, ask} = page, client = Math.random().toString(36).slice(2), notice = element("div");
  const buttons = [["this text", ""], ["held-out text", SURVEY_ON]].map(([words, to]) =>
    plainButton(words, () => state.set({numbers: to})));
  const look = {class: "page-pick", role: "group", "aria-label": "numbers of"};
  const choice = element("span", look, "numbers of", ...buttons);
  const progress = element("p", {class: "quiet small"}), told = element("div", {}, progress, notice);
  const windows = surveyWindows(page, numbers), refuse = noticeOf(page, notice, load);
  let on = false, found = null, going = new AbortController(), asked = 0, chosen = [];
  const shown = () => (on ? found : null), ofHead = (part, {layer, head}) => found[part][layer][head];

  /** What is awaited, if anything. */
  function tell(words) {
    fill(progress, words);
    place.classList.toggle("survey-waiting", Boolean(words));
  }

  /** The server measures some windows each time it is asked, until all are done; a saved page has them all, or none. */
  async function load() {
    const {signal} = (going = new AbortController());
    refuse(null);
    tell("Held-out text is measured");
    try {
      let done = 0, of = ask.live; // some, as long as nobody has said how many
      while (done < of) {
        ({done, of} = await ask.post(`${page.key}/survey`, {client, number: asked++}, signal));
        if (signal.aborted) return;
        tell(`${done} of ${of} windows are measured; until then the numbers are this text's.`);
      }
      const answer = await ask.json(`${page.key}/survey`, signal);
      if (signal.aborted) return;
      found = answer;
      buttons[1].textContent = found.source; // a text that was named in Python is called by its name
      page.say("Numbers of held-out text");
      changed();
      windows.update(found, ...chosen);
    } catch (error) {
      if (signal.aborted) return;
      ask.live ? refuse(error) : page.refuse(notice, SURVEY_MISSING);
    }
    tell("");
  }

  function stop() {
    going.abort();
    tell("");
  }

  const words = () => (!shown() ? `Numbers are means over this ${page.kind}'s rows` : `Numbers are means over ` +
    `${found.windows.length} windows of ${found.size} tokens of ${found.source} (seed ${found.seed}), in each over its rows`);
  const means = (cell) => shown() && ofHead("mean", cell);

  return {
    choice, told, windows: windows.node, shown, means,
    /** What the numbers are, in a sentence. */
    source: () => [words(), " ", surveyDerived(), shown() ? "; ± is their standard deviation, in brackets " +
      "their number. Pictures are of this text." : ""],
    beside: (cell, name) => (shown() ?
      [element("span", {}, "± ", digits(ofHead("spread", cell)[name]), ` (${ofHead("count", cell)[name]})`)] : []),
    over: () => shown() && {means, words: words(), facts: surveyFacts(found), columns: numbers.flatMap(([name]) =>
      ["spread", "count"].map((part) => [`${name} ${part}`, (cell) => ofHead(part, cell)[name]]))},
    /** sort: what the heads are sorted by, which is also what windows are listed by unless that is chosen. */
    update({layer, head, numbers: given, windows: by}, sort) {
      const before = on;
      on = given === SURVEY_ON;
      buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(on === Boolean(k))));
      told.hidden = !on;
      if (!on) stop();
      else if (!before && !found) load();
      chosen = [layer, head, numbers.some(([name]) => name === by) ? by : sort || "induction"];
      windows.update(shown(), ...chosen);
    },
    destroy() {
      stop();
      windows.forget();
    },
  };
}

/** The chosen head's windows: those with its largest numbers, and some at random. */
function surveyWindows(page, numbers) {
  const title = element("h3"), about = element("p", {class: "quiet small"}), notice = element("div");
  const lists = element("div", {class: "survey-lists"});
  const names = numbers.map(([name, words]) => [name, words]);
  const [label, select] = choiceOf("by", names, (windows) => page.state.set({windows}));
  const node = element("div", {class: "survey"}, element("div", {class: "row"}, title, label), about, notice, lists);
  let drawn = "", again = null;
  const asked = asking(page, lists, notice, () => again());

  function update(survey, layer, head, by) {
    const wanted = `${layer} ${head} ${by}`;
    node.hidden = !survey;
    select.value = by;
    if (!survey || wanted === drawn) return;
    drawn = wanted;
    again = () => {
      drawn = "";
      update(survey, layer, head, by);
    };
    const {tokens, seed, source, windows: {length}} = survey, words = select.selectedOptions[0].text;
    fill(title, `Layer ${layer}, head ${head}: windows of ${source}`);
    fill(about, `One lies at a random place in each of ${length} equal parts of ${tokens.toLocaleString("en")} ` +
      `tokens (seed ${seed}). Numbers are means over a window's rows `, surveyDerived(),
    by === "induction" ? "; * fewer than 20. " : ". ", page.ask.live ? SURVEY_OPENED : "");
    asked.ask(() => page.ask.json(`${page.key}/windows/${by}/${layer}/${head}`), ({strongest, random}) => {
      const table = (which, rows) => surveyTable(page, survey, words, `${rows.length} ${which}`, rows);
      keepFocus(lists, () => fill(lists,
        table("with the largest", strongest), table(`at random (seed ${seed})`, random)));
    });
  }
  return {node, update, forget: asked.forget};
}

/** What is said of its numbers in a file: they are of other recordings than the pictures. */
function surveyFacts({windows: {length}, size, tokens, source, digest, seed}) {
  const numbers = {of: source, tokens, digest, windows: length, size, seed, proven: "no: the badge is of this text's recording, so of the pictures"};
  return {numbers, edits: "none: the pictures are of the recorded run, the numbers of others, none of them edited"};
}

function surveyTable(page, {windows, size}, words, caption, rows) {
  const line = ([k, value, few]) => {
    const {start, text, labels} = windows[k], exact = value === null ? null : exactNumber(value);
    const open = plainButton("open", () => surveyOpen(page, text, open.getRootNode()),
      {"data-key": `${caption} ${k}`, "aria-label": `open the window from ${start} on`});
    return element("tr", {"data-window": k},
      element("td", {"data-value": exact}, exact === null ? "-" : shownNumber(value), few ? "*" : ""),
      element("td", {class: "survey-text"}, element("span", {class: "quiet"}, `from ${start} on: `),
        element("bdi", {}, ...labels, labels.length < size ? "…" : "")),
      element("td", {}, page.ask.live && text ? open : ""));
  };
  const names = [words, "first tokens", ""].map((name) => element("th", {scope: "col"}, name));
  return element("table", {class: "numbers small"}, element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...names)), element("tbody", {}, ...rows.map(line)));
}

/** The window's text in place of the page's, as if it had been typed. */
async function surveyOpen(page, text, root) {
  await page.look(text);
  root.querySelector(".page-head").scrollIntoView();
  root.querySelector('.heads-cell[tabindex="0"]')?.focus({preventScroll: true});
}
