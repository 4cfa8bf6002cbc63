// The page of a picture begins.

import {begin} from "./main.js";
import {PICTURES} from "./pictures.js";

begin(PICTURES);
