// What a page of a picture offers: its views, and a place to choose or drop another file.

import {classesView} from "./classes.js";
import {element} from "./dom.js";
import {headsView} from "./heads.js";
import {lookupView} from "./lookup.js";
import {matrixView} from "./matrix.js";
import {overlayView} from "./overlay.js";
import {pictureEdits} from "./pictureedits.js";
import {spaceView} from "./space.js";

const PICTURE_BYTES = 8 << 20; // what a server takes (page/guard.py)

export const PICTURES = {
  views: [
    ["heads", "Heads", headsView], ["matrix", "Matrix", matrixView], ["overlay", ({picture}) => (picture.sound ? "Spectrogram" : "Picture"), overlayView],
    ["lookup", "Look-up", lookupView], ["prediction", "Prediction", classesView],
    ["space", "Representations", spaceView], ["edits", "Edits", pictureEdits],
  ],
  tour: null,
  input: pictureField,
};

/** look(bytes) is called with the file that was chosen or dropped; refuse(words): why a file is not even sent. */
function pictureField(look, refuse) {
  const choose = element("input", {type: "file", accept: "image/*,audio/*", "aria-label": "File that the model looks at",
    onchange: () => take(choose.files[0])});
  const node = element("div", {class: "page-drop row",
    ondragover: (event) => event.preventDefault(),
    ondrop: (event) => {
      event.preventDefault();
      take(event.dataTransfer.files[0]);
    }}, choose, element("span", {class: "quiet"}, "or drop a file here"));
  const take = async (file) => {
    if (file?.size > PICTURE_BYTES) refuse(`the file is over ${PICTURE_BYTES >> 20} MB; give a smaller one`);
    else if (file) look(await file.arrayBuffer());
  };
  return {node, empty: "Choose a file above; the model looks at it, and every head is drawn here.",
    focus: () => choose.focus(), close: () => {}, show: () => {}};
}
