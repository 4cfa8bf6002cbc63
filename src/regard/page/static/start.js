// The only file that does something when it is loaded.

import {begin} from "./main.js";

begin();
