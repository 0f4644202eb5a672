/** Pack this package next to the demo page; the server serves it as `/hookcast.tgz`. */

import { execFileSync } from "node:child_process";
import { readFileSync, renameSync } from "node:fs";

const folder = "../server/hookcast/static";
const { name, version } = JSON.parse(readFileSync("package.json", "utf8"));
execFileSync("npm", ["pack", "--silent", "--pack-destination", folder]);
renameSync(`${folder}/${name}-${version}.tgz`, `${folder}/hookcast.tgz`);
