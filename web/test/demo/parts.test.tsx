// @vitest-environment happy-dom

import { act, type ReactNode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LeavingButton } from "../../src/demo/parts/LeavingButton";
import { Problem } from "../../src/demo/parts/Problem";
import { Progress } from "../../src/demo/parts/Progress";
import { RawResult } from "../../src/demo/parts/RawResult";
import { Screen } from "../../src/demo/parts/Screen";
import { UNSEEN } from "../../src/demo/runs";
import { problemOf } from "../../src/demo/trouble";
import { HookcastError, type Job } from "../../src/lib/index.js";
import { asJob } from "../../src/lib/wire.js";
import { job, run } from "./fixtures";

let root: Root;
let box: HTMLElement;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  box = document.body.appendChild(document.createElement("div"));
  root = createRoot(box);
});
afterEach(async () => {
  await act(async () => root.unmount());
  box.remove();
});

const show = (node: ReactNode) => act(async () => root.render(node));
const part = (name: string) => box.querySelector<HTMLElement>(`[data-testid="${name}"]`);
const seen = (changes: Partial<Job>) => run({ seen: { ...UNSEEN, job: job(changes) } });
const nothing = () => {};

it("a button that goes away leads on whoever was on it, and nobody else", async () => {
  const left = vi.fn();
  const button = (
    <LeavingButton onClick={nothing} onLeave={left} testid="cancel">
      Cancel
    </LeavingButton>
  );
  await show(button);
  await show(null);
  expect(left).not.toHaveBeenCalled();
  await show(button);
  part("cancel")?.focus();
  await show(null);
  expect(left).toHaveBeenCalledTimes(1);
});

it("a button that is of no use now keeps the focus and does nothing", async () => {
  const pressed = vi.fn();
  const button = (off: boolean) => (
    <LeavingButton onClick={pressed} onLeave={nothing} off={off} testid="cancel">
      Cancel
    </LeavingButton>
  );
  await show(button(false));
  part("cancel")?.focus();
  await show(button(true));
  part("cancel")?.click();
  expect(document.activeElement).toBe(part("cancel"));
  expect(part("cancel")?.getAttribute("aria-disabled")).toBe("true");
  expect(pressed).not.toHaveBeenCalled();
});

it("a result is shown with every digit", async () => {
  const text = JSON.stringify(job({ status: "completed" })).replace(
    '"result":null',
    '"result":{"seed":9007199254740993}',
  );
  await show(<RawResult job={asJob(JSON.parse(text), text)} />);
  expect(part("result")?.textContent).toContain("9007199254740993");
});

it("a job that fal refused shows the sentence as an alert, what to do, the code, and fal's answer", async () => {
  const error = new HookcastError("fal_rejected", "no", 502, { falStatus: 422, falBody: { detail: "no prompt" } });
  await show(<Problem run={run({ problem: problemOf(error, false) })} />);
  expect(box.querySelector('[role="alert"]')?.textContent).toBe("fal refused the job with 422.");
  expect(box.querySelector(".advice")?.textContent).toMatch(/\(fal_rejected\)$/);
  expect(part("error-detail")?.textContent).toContain("no prompt");
});

it("a job that had failed before a reload is no alert", async () => {
  await show(<Problem run={{ ...seen({ status: "failed", error: "no" }), submission: null }} />);
  expect(part("error")?.textContent).toBe("no");
  expect(box.querySelector('[role="alert"]')).toBeNull();
});

it("a progress bar has a value once there is one, and words before", async () => {
  await show(<Progress run={seen({})} now={0} />);
  const bar = part("progress");
  expect([bar?.ariaValueNow ?? null, bar?.getAttribute("aria-valuetext")]).toEqual([null, "Queued"]);
  await show(<Progress run={seen({ status: "completed" })} now={0} />);
  expect(part("progress")?.getAttribute("aria-valuenow")).toBe("100");
});

it("a result without media has a screen that says so", async () => {
  await show(<Screen run={seen({ status: "completed", result: { text: "hello" } })} now={0} />);
  expect(box.textContent).toContain("a result without media");
  await show(<Screen run={seen({ status: "completed", result: { audio: { url: "https://h/a.mp3" } } })} now={0} />);
  expect(box.querySelector("audio")?.getAttribute("src")).toBe("https://h/a.mp3");
});
