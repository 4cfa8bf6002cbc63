// Every head over held-out text: means in place of one text's numbers, and the windows that they come from.

import {asking, choiceOf, digits, keepFocus, noticeOf, plainButton} from "./controls.js";
import {element, fill} from "./dom.js";
import {exactNumber, shownNumber} from "./numbers.js";

const SURVEY_ON = "held-out"; // the address's numbers=
const SURVEY_MISSING = "This saved page has no numbers of held-out text. In Python, after run.survey(), " +
  'run.look(text).save("page.html") makes one that has them.';
const SURVEY_OPENED = "A window that is opened is read as a text: marks between documents are left out, tokens at " +
  "its ends may be cut otherwise, and its numbers differ by that.";
const SURVEY_CLOSED = "On the live page a window can be opened.";
const surveyDerived = () => element("span", {class: "derived"}, "Derived");

/**
 * The switch between this text and held-out text. place: of the view, whose numbers are dimmed while others are
 * awaited; numbers: [name, words] of each; changed(): is called when those to be shown are others.
 * measures(cell) -> its means, or null as long as this text's are shown; tokens() -> of a window, then; beside(cell,
 * name) -> what stands beside a mean of the chosen head; over() -> what is saved of it, or null.
 */
export function surveyPanel(page, {place, numbers, changed}) {
  const {state} = page, client = Math.random().toString(36).slice(2), notice = element("div");
  const [here, held] = [["this text", ""], ["held-out text", SURVEY_ON]].map(([words, to]) =>
    plainButton(words, () => state.set({numbers: to})));
  const look = {class: "page-pick", role: "group", "aria-label": "numbers of"};
  const choice = element("span", look, "numbers of", here, held);
  const progress = element("p", {class: "quiet small"}), told = element("div", {}, progress, notice);
  const windows = surveyWindows(page, numbers), refuse = noticeOf(page, notice, load);
  let on = false, found = null, going = new AbortController(), asked = 0, chosen = [];
  const shown = () => (on ? found : null), waiting = (is) => place.classList.toggle("survey-waiting", is);
  const numberOf = ({layer, head}, name, part) => found.measures[name][part][layer][head];

  /** The server measures some windows each time it is asked, until all are done; a saved page has them all, or none. */
  async function load() {
    going.abort();
    const {signal} = (going = new AbortController());
    const tell = (words) => fill(progress, `${words}; until then the numbers are this text's.`);
    refuse(null);
    waiting(true);
    tell("Held-out text is measured");
    try {
      let done = 0, of = page.ask.live ? 1 : 0;
      while (done < of) {
        ({done, of} = await page.ask.post(`${page.key}/survey`, {client, number: asked++}, signal));
        if (signal.aborted) return;
        tell(`${done} of ${of} windows of held-out text are measured`);
      }
      const answer = await page.ask.json(`${page.key}/survey`, signal);
      if (signal.aborted) return;
      found = answer;
      page.say("The numbers are those of held-out text");
      changed();
      windows.update(found, ...chosen);
    } catch (error) {
      if (signal.aborted) return;
      if (page.ask.live) refuse(error);
      else fill(notice, element("p", {class: "failed"}, SURVEY_MISSING));
    }
    fill(progress);
    waiting(false);
  }

  const words = () => `Numbers are means over ${found.windows.length} windows of held-out text, in each over its rows`;

  return {
    choice, told, windows: windows.node,
    shown: () => Boolean(shown()),
    tokens: () => shown()?.size,
    /** What the numbers are, in a sentence. */
    source: () => (shown() ? [words(), " ", surveyDerived(), "; beside the chosen head's, ± their standard deviation " +
      "and how many windows have the number. Pictures are of this text."] :
      ["Numbers are means over this text's rows ", surveyDerived()]),
    measures: (cell) => shown() && {few: found.few[cell.layer][cell.head],
      ...Object.fromEntries(numbers.map(([name]) => [name, numberOf(cell, name, "mean")]))},
    beside: (cell, name) => (shown() ? [element("span", {}, "± ", digits(numberOf(cell, name, "spread"))),
      element("span", {class: "quiet"}, `(${numberOf(cell, name, "count")})`)] : []),
    over() {
      if (!shown()) return null;
      const columns = numbers.flatMap(([name]) => ["spread", "count"].map((part) =>
        [`${name} ${part}`, (cell) => numberOf(cell, name, part)]));
      const {windows: {length}, size, tokens, seed} = found;
      const facts = {windows: length, windowTokens: size, heldOutTokens: tokens, windowSeed: seed};
      return {measures: this.measures, words: words(), columns, facts};
    },
    /** sort: what the heads are sorted by, which is also what windows are listed by unless that is chosen. */
    update({layer, head, numbers: of = "", windows: by = ""}, sort) {
      const before = on;
      on = of === SURVEY_ON;
      [here, held].forEach((button, k) => button.setAttribute("aria-pressed", String(on === Boolean(k))));
      told.hidden = !on;
      if (on && !before && !found) void load();
      if (!on) {
        going.abort();
        waiting(false);
      }
      chosen = [layer, head, numbers.some(([name]) => name === by) ? by : sort || "induction"];
      windows.update(shown(), ...chosen);
    },
    destroy() {
      going.abort();
      windows.forget();
    },
  };
}

/** The chosen head's windows: those with its largest numbers, and some at random. */
function surveyWindows(page, numbers) {
  const title = element("h3"), about = element("p", {class: "quiet small"}), notice = element("div");
  const lists = element("div", {class: "survey-lists"}), choose = (windows) => page.state.set({windows});
  const [label, select] = choiceOf("by", numbers.map(([name, words]) => [name, words]), choose);
  const node = element("section", {class: "survey", hidden: true, "aria-label": "windows of held-out text"},
    element("div", {class: "row"}, title, label), about, notice, lists);
  let drawn = [], survey = null;
  const again = () => {
    const wanted = drawn;
    drawn = [];
    update(survey, ...wanted);
  };
  const asked = asking(page, lists, notice, again);

  function update(next, ...wanted) {
    const [layer, head, by] = wanted;
    survey = next;
    node.hidden = !survey;
    select.value = by;
    if (!survey || wanted.join() === drawn.join()) return;
    drawn = wanted;
    const {size, tokens, seed, windows} = survey, words = select.selectedOptions[0].text;
    fill(title, `Layer ${layer}, head ${head}: windows of held-out text`);
    fill(about, `Windows of ${size} tokens, one in each of ${windows.length} equal parts of the ` +
      `${tokens.toLocaleString("en")} held-out tokens, at random places (seed ${seed}). A window's number is the ` +
      "mean over its rows ", surveyDerived(), by === "induction" ? "; * over fewer than 20 rows. " : ". ",
    page.ask.live ? SURVEY_OPENED : SURVEY_CLOSED);
    asked.ask(() => page.ask.json(`${page.key}/windows/${by}/${layer}/${head}`), ({strongest, random}) =>
      keepFocus(lists, () => fill(lists,
        surveyTable(page, survey, words, `The ${strongest.length} with the largest`, strongest),
        surveyTable(page, survey, words, `${random.length} at random (seed ${seed})`, random))));
  }
  return {node, update, forget: asked.forget};
}

function surveyTable(page, {windows, size}, words, caption, rows) {
  const line = ([k, value, few]) => {
    const {start, text, labels} = windows[k], more = labels.length < size ? "…" : "";
    const number = value === null ? element("td", {class: "quiet"}, "-") :
      element("td", {"data-value": exactNumber(value)}, `${shownNumber(value)}${few ? "*" : ""}`);
    const open = plainButton("open", () => surveyOpen(page, text, open.getRootNode()), {"data-key": `${caption} ${k}`,
      disabled: !text || !page.ask.live, "aria-label": `open the window from token ${start} on`});
    const from = element("span", {class: "quiet"}, `from ${start} on: `);
    return element("tr", {"data-window": k}, number,
      element("td", {class: "survey-text"}, from, element("bdi", {}, ...labels, more)), element("td", {}, open));
  };
  const names = [words, "first tokens", ""].map((name) => element("th", {scope: "col"}, name));
  return element("table", {class: "numbers small"}, element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...names)), element("tbody", {}, ...rows.map(line)));
}

/** The window's text in place of the page's, as if it had been typed. */
async function surveyOpen(page, text, root) {
  await page.look(text);
  root.querySelector(".page-head")?.scrollIntoView();
  root.querySelector('.heads-cell[tabindex="0"]')?.focus({preventScroll: true});
  page.say("The window is read");
}
