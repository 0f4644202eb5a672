/** Put the documents that coding assistants need into the package, as `dist/docs`, and check every link in the package. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const REPOSITORY = "https://github.com/hookcast/hookcast/blob/main/docs/";
const PAGES = ["access.md", "protocol.md"];
const OWN = ["README.md", "SPEC.md", "llms.txt"];
const LINK = /(?<=\]\()(?!https?:|#)([^)#]+)/g;

/** Return a page whose links to pages outside the package lead to the repository. */
function adapted(page) {
  return page.replaceAll(LINK, (target) => (PAGES.includes(target) ? target : new URL(target, REPOSITORY).href));
}

mkdirSync("dist/docs", { recursive: true });
for (const page of PAGES) writeFileSync(`dist/docs/${page}`, adapted(readFileSync(`../docs/${page}`, "utf8")));

for (const page of [...OWN, ...PAGES.map((name) => `dist/docs/${name}`)]) {
  for (const [target] of readFileSync(page, "utf8").matchAll(LINK)) {
    if (!existsSync(join(dirname(page), target))) throw new Error(`${page} links to ${target}, which is not there`);
  }
}
