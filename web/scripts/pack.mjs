/** Packs this package beside the demo page: what the server offers as `/hookcast.tgz`. */

import { execFileSync } from "node:child_process";
import { readFileSync, renameSync } from "node:fs";

const folder = "../server/hookcast/static";
const { name, version } = JSON.parse(readFileSync("package.json", "utf8"));
execFileSync("npm", ["pack", "--silent", "--pack-destination", folder]);
renameSync(`${folder}/${name}-${version}.tgz`, `${folder}/hookcast.tgz`);
