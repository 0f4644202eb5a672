// The npm packages `eventsource`, `@microsoft/fetch-event-source` and `ws` against Hookcast.
// Usage: node node.mjs events|fetch|socket <url>
// Prints what happens, one JSON object a line; each line of standard input is sent as a message, its end closes.
import { createInterface } from "node:readline";
import { fetchEventSource } from "@microsoft/fetch-event-source";
import { EventSource } from "eventsource";
import { WebSocket } from "ws";

// fetch-event-source expects a page that is always visible.
const document = { hidden: false, addEventListener() {}, removeEventListener() {} };
Object.assign(globalThis, { EventSource, WebSocket, window: globalThis, document });
await import("./streams.mjs");

const [kind, url] = process.argv.slice(2);
const report = (happening) => process.stdout.write(`${JSON.stringify(happening)}\n`);
const watchByFetch = (url, report) => {
  const stopping = new AbortController();
  fetchEventSource(url, {
    signal: stopping.signal,
    onopen: async () => report({ event: "open" }),
    onmessage: ({ event, id, data }) => JSON.parse(data) && report({ event, id, data }),
    onerror: (error) => report({ event: "error", data: String(error) }),
    onclose: () => process.stdout.write("", () => process.exit()),
  });
  return { close: () => stopping.abort() };
};
const open = { events: watchEvents, fetch: watchByFetch, socket: openSocket }[kind];
const client = open(url, report);
for await (const line of createInterface({ input: process.stdin })) client.send(line);
client.close();
