/** The demo page: the form, the list of jobs, the strip that shows where the newest one is. */

import { byId, copyFrom, say } from "./dom";
import { Run, type RunEvents } from "./run";
import { drop, keep, recall } from "./session";
import { submissionOf } from "./submission";
import { captionOf, curlLine } from "./words";

const form = byId("form", HTMLFormElement);
const prompt = byId("prompt", HTMLTextAreaElement);
const list = byId("jobs", HTMLOListElement);
const flow = byId("flow", HTMLElement);
const curl = byId("curl", HTMLElement);
const runs: Run[] = [];

const events: RunEvents = {
  accepted: (run, ticket) => keep(sessionStorage, { ...ticket, prompt: run.prompt }),
  moved: () => showOverview(),
  lost: (run) => {
    if (run.ticket !== null) drop(sessionStorage, run.ticket.requestId);
    run.card.element.remove();
    runs.splice(runs.indexOf(run), 1);
    showOverview();
  },
};

function showOverview(): void {
  const newest = runs[0];
  const stage = newest?.stage ?? "idle";
  const path = newest?.ticket?.links.events ?? "/api/fal-jobs";
  flow.dataset.stage = stage;
  say(byId("flow-caption", HTMLElement), captionOf(stage));
  say(curl, curlLine(location.origin, path));
  say(byId("count", HTMLElement), runs.length > 0 ? String(runs.length) : null);
  byId("empty", HTMLElement).hidden = runs.length > 0;
}

function generate(): void {
  const fields = new FormData(form);
  const text = prompt.value.trim();
  if (text === "") {
    prompt.focus();
    return;
  }
  const model = String(fields.get("model") ?? "");
  const run = new Run(text, model, events);
  runs.unshift(run);
  list.prepend(run.card.element);
  run.card.element.scrollIntoView({ block: "nearest" });
  void run.submit(submissionOf(text, model, String(fields.get("fault") ?? "none")));
}

function restore(): void {
  for (const kept of recall(sessionStorage)) {
    const run = new Run(kept.prompt, null, events);
    runs.push(run);
    list.append(run.card.element);
    void run.reopen(kept);
  }
}

function checkAll(): void {
  if (document.visibilityState !== "visible") return;
  for (const run of runs) run.check();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  generate();
});
prompt.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  form.requestSubmit();
});
byId("copy-curl", HTMLButtonElement).addEventListener("click", (event) => {
  if (event.currentTarget instanceof HTMLElement) void copyFrom(event.currentTarget, curl.textContent ?? "");
});
document.addEventListener("visibilitychange", checkAll);
window.addEventListener("online", checkAll);
window.setInterval(() => {
  for (const run of runs) run.tick(Date.now());
}, 250);

restore();
showOverview();
