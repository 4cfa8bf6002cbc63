// The page of a text begins. This file and its twin for pictures are the only ones that do something when loaded.

import {begin} from "./main.js";
import {TEXTS} from "./texts.js";

begin(TEXTS);
