/** Packs this package beside the demo page: what the server offers as `/hookcast.tgz`. */

import { execFileSync } from "node:child_process";
import { renameSync } from "node:fs";

const folder = "../server/hookcast/static";
const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", "--pack-destination", folder], { encoding: "utf8" }));
renameSync(`${folder}/${filename}`, `${folder}/hookcast.tgz`);
