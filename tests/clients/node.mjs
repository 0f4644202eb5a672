// The npm packages `eventsource` and `ws` against Hookcast. Usage: node node.mjs events|socket <url>
// Prints what happens, one JSON object a line; each line of standard input is sent as a message, its end closes.
import { createInterface } from "node:readline";
import { EventSource } from "eventsource";
import { WebSocket } from "ws";

Object.assign(globalThis, { EventSource, WebSocket });
await import("./streams.mjs");

const [kind, url] = process.argv.slice(2);
const report = (happening) => process.stdout.write(`${JSON.stringify(happening)}\n`);
const open = kind === "events" ? watchEvents : openSocket;
const client = open(url, report);
for await (const line of createInterface({ input: process.stdin })) client.send(line);
client.close();
