// Small controls, numbers as text, one Tab stop with arrows inside, and when to ask and to draw anew.

import {element, fill} from "./dom.js";
import {exactNumber, shownNumber} from "./numbers.js";

/** A number to be read, selected and copied, with the digits that name it exactly; null is a number there is none of. */
export function digits(value, show = shownNumber, name = "span") {
  if (value === null || value === undefined) return element(name, {class: "number quiet"}, "-");
  return element(name, {class: "number", "data-value": exactNumber(value)}, show(value));
}

/** The same in a table. */
export const numberCell = (value, text = null) => digits(value, text === null ? shownNumber : () => text, "td");

/** Beside what was summed or otherwise made of the model's own numbers. */
export const derivedBadge = () => element("span", {class: "derived"}, "Derived");

export const plainButton = (text, onclick, more = {}) =>
  element("button", {class: "plain", type: "button", onclick, ...more}, text);

/** A labelled choice: options are [value, words, disabled]; returns [label, select]. */
export function choiceOf(words, options, choose, look = "small") {
  const made = options.map(([value, text, disabled]) => element("option", {value, disabled}, text));
  const select = element("select", {class: look, onchange: () => choose(select.value)}, ...made);
  return [element("label", {class: look}, `${words} `, select), select];
}

/** refuse(error or null): shows an error with a way to try again until it is over; the same one stays as it is. */
export function noticeOf(page, status, retry) {
  let shown = null;
  return (error) => {
    if (error === shown) return;
    shown = error;
    if (error) page.refuse(status, error, retry);
    else fill(status);
  };
}

/** An input with a button, or Enter: use(what was written). */
export function formOf(input, words, use) {
  const onsubmit = (event) => {
    event.preventDefault();
    use(input.value.trim());
  };
  return element("form", {class: "row", onsubmit}, input, element("button", {class: "plain"}, words));
}

/** draw() in the next frame whenever soon() is called, the stage changes its size, or the theme turns. */
export function redrawing(stage, draw) {
  let due = 0;
  const run = () => {
    due = 0;
    draw();
  };
  const soon = () => { due ||= requestAnimationFrame(run); };
  const resized = new ResizeObserver(soon);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  resized.observe(stage);
  dark.addEventListener("change", soon);
  const stop = () => {
    resized.disconnect();
    dark.removeEventListener("change", soon);
    cancelAnimationFrame(due);
  };
  return {soon, stop};
}

/**
 * Questions of which the newest wins: `place` is stale meanwhile, and where one fails the last good drawing is kept.
 * ask(question, then, waiting): question makes a promise, waiting says what is awaited where nothing is drawn yet.
 */
export function asking(page, place, notice, retry) {
  let newest = 0;
  return {
    async ask(question, then, waiting = "") {
      const mine = ++newest;
      place.classList.add("stale");
      if (waiting) fill(notice, element("p", {class: "quiet"}, waiting));
      try {
        const answer = await question();
        if (mine !== newest) return;
        fill(notice);
        then(answer);
      } catch (error) {
        if (mine !== newest) return;
        page.refuse(fill(notice, element("div")).firstChild, error, retry);
      }
      place.classList.remove("stale");
    },
    forget() {
      newest++;
      place.classList.remove("stale");
    },
  };
}

/** One Tab stop for many buttons: arrows go from one to the next, and the page's own keys are not meant then. */
export function rovingKeys(event, selector, back, on) {
  const all = [...event.currentTarget.querySelectorAll(selector)], at = all.indexOf(event.target);
  const next = {[on]: all[at + 1], [back]: all[at - 1], Home: all[0], End: all.at(-1)}[event.key];
  if (at < 0 || !next) return;
  event.preventDefault();
  event.stopPropagation();
  for (const one of all) one.tabIndex = one === next ? 0 : -1;
  next.focus();
}

/** Whoever has the focus and a data-key has it again after everything was made anew. */
export function keepFocus(place, redraw) {
  const held = place.getRootNode().activeElement, key = held && place.contains(held) ? held.dataset.key : undefined;
  redraw();
  if (key !== undefined) place.querySelector(`[data-key="${key}"]`)?.focus({preventScroll: true});
}

/** Where an arrow key leads on a picture of so many things in a row, or null for another key. */
export function arrowTo(event, at, count) {
  const by = {ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity}[event.key];
  if (by === undefined) return null;
  event.preventDefault();
  event.stopPropagation();
  return Math.max(0, Math.min(count - 1, at + by));
}

/** A number that is typed; `show` sets it, but not while another one is being typed into it. */
export function numberInput(onchange, more) {
  let typing = false;
  const input = element("input", {type: "number", oninput: () => (typing = true), onblur: () => (typing = false),
    onchange: () => ((typing = false), onchange(input.valueAsNumber)), ...more});
  input.show = (value) => typing || (input.value = value);
  return input;
}
