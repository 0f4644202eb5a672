/** Rendering ahead of the first visitor: Next.js ends a build in which that reads a clock or chance. */

import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { expect, it, vi } from "vitest";
import { HookcastProvider, useFalJob, useFalJobs } from "../../src/lib/react/index.js";

function Watching() {
  useFalJobs("group");
  return useFalJob({ requestId: "a" }).status;
}

it("renders a provider and its hooks without a clock, chance or a timer", () => {
  const asked = [
    vi.spyOn(Date, "now"),
    vi.spyOn(Math, "random"),
    vi.spyOn(crypto, "getRandomValues"),
    vi.spyOn(globalThis, "setTimeout"),
    vi.spyOn(globalThis, "setInterval"),
  ];
  const node = createElement(HookcastProvider, { url: "https://hooks.example.com" }, createElement(Watching));
  expect(renderToString(node)).toBe("pending");
  expect(asked.map((spy) => spy.mock.calls)).toEqual([[], [], [], [], []]);
});
