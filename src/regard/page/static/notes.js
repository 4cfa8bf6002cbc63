// What attention tells and what not: the claims with their sources, at the foot of every view.

import {element} from "./dom.js";

const NOTES = [
  ["Weights show where a head read from, not why the model answered so.", "Jain & Wallace 2019", "https://arxiv.org/abs/1902.10186"],
  ["Nor is attention proven useless: test it here with an edit.", "Wiegreffe & Pinter 2019", "https://arxiv.org/abs/1908.04626"],
  ["Look at weight and contribution together: a large weight on a small value does little.", "Kobayashi et al. 2020", "https://arxiv.org/abs/2004.10102"],
  ["Mass on the first token often means that there was nothing to fetch.", "Xiao et al. 2024", "https://arxiv.org/abs/2309.17453"],
  ["From layer 1 on, a column is a position, not the word written there: tokens mix.", "Abnar & Zuidema 2020", "https://arxiv.org/abs/2005.00928"],
  ["With more tokens than numbers in a head, other rows could give this output; the row drawn is the one that the kernel used (check C).", "Brunner et al. 2020", "https://arxiv.org/abs/1908.04211"],
  ["A lens reading is one way to read a layer.", "Belrose et al. 2023", "https://arxiv.org/abs/2303.08112"],
  ["One text is one example: a head may do something else elsewhere.", "", ""],
];

export function notesOf() {
  return element("details", {class: "page-notes"}, element("summary", {}, "What attention tells, and what not"),
    element("ul", {}, ...NOTES.map(([text, source, address]) => element("li", {}, text, " ",
      source ? element("a", {href: address, rel: "noreferrer", class: "quiet"}, source) : null))));
}
