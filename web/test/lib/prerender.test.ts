/** Rendering on a server, without a document; Next.js ends a build in which that reads a clock or chance. */

import { createElement } from "react";
import { renderToString as renderReact } from "react-dom/server";
import { render as renderSvelte } from "svelte/server";
import { describe, expect, it, vi } from "vitest";
import { createSSRApp, defineComponent, h } from "vue";
import { renderToString as renderVue } from "vue/server-renderer";
import * as react from "../../src/lib/react/index.js";
import { useMyJobs } from "../../src/lib/react/my-jobs.js";
import * as svelte from "../../src/lib/svelte/index.js";
import * as vue from "../../src/lib/vue/index.js";
import Setup from "./Setup.svelte";
import { job } from "./world.js";

const OPTIONS = { url: "https://hooks.example.com", getToken: () => "token" };
const initialJob = job("a", { status: "completed" });
const initialPage = { jobs: [job("c"), job("b")], nextCursor: "2" };

type Ids = readonly { readonly requestId: string }[];

/** What each component shows: a job that is known, one that is not, a group, and a page. */
function text(known: string, unknown: string, group: Ids, mine: Ids): string {
  return `${known} ${unknown} ${group.length} ${mine.map(({ requestId }) => requestId)}`;
}

function Watching() {
  const known = react.useFalJob({ requestId: "a", initialJob });
  const unknown = react.useFalJob({ requestId: "b" });
  const [group, mine] = [react.useFalJobs("g"), useMyJobs({ initialPage })];
  return createElement("p", null, text(known.status, unknown.status, group.jobs, mine.jobs));
}

function useOfVue() {
  const known = vue.useFalJob({ requestId: "a", initialJob });
  const unknown = vue.useFalJob({ requestId: "b" });
  const [group, mine] = [vue.useFalJobs("g"), vue.useMyJobs({ initialPage })];
  return () => h("p", text(known.status.value, unknown.status.value, group.jobs.value, mine.jobs.value));
}

function useOfSvelte() {
  svelte.setHookcast(OPTIONS);
  const known = svelte.useFalJob(() => ({ requestId: "a", initialJob }));
  const unknown = svelte.useFalJob(() => ({ requestId: "b" }));
  const [group, mine] = [svelte.useFalJobs(() => "g"), svelte.useMyJobs(() => ({ initialPage }))];
  return () => text(known.status, unknown.status, group.jobs, mine.jobs);
}

const RENDERED: Record<string, () => string | Promise<string>> = {
  React: () => renderReact(createElement(react.HookcastProvider, OPTIONS, createElement(Watching))),
  Vue: () => renderVue(createSSRApp(defineComponent(useOfVue)).use(vue.HookcastPlugin, OPTIONS)),
  Svelte: () => renderSvelte(Setup, { props: { setup: useOfSvelte } }).body.replaceAll(/<!--.*?-->/g, ""),
};

describe.each(Object.entries(RENDERED))("%s", (_, rendered) => {
  it("renders what is known, and asks nobody", async () => {
    const [fetch, WebSocket, getToken] = [vi.fn(), vi.fn(), vi.spyOn(OPTIONS, "getToken")];
    vi.stubGlobal("fetch", fetch);
    vi.stubGlobal("WebSocket", WebSocket);
    expect(typeof document).toBe("undefined");
    expect(await rendered()).toBe("<p>completed pending 0 c,b</p>");
    await vi.dynamicImportSettled();
    expect([fetch, WebSocket, getToken].map((spy) => spy.mock.calls)).toEqual([[], [], []]);
    vi.unstubAllGlobals();
  });

  it("needs no clock, chance or timer", async () => {
    const asked = [
      vi.spyOn(Date, "now"),
      vi.spyOn(Math, "random"),
      vi.spyOn(crypto, "getRandomValues"),
      vi.spyOn(globalThis, "setTimeout"),
      vi.spyOn(globalThis, "setInterval"),
    ];
    await rendered();
    expect(asked.map((spy) => spy.mock.calls)).toEqual([[], [], [], [], []]);
  });
});
