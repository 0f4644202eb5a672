// Runs a client of docs/clients.md: node documented.mjs <file> <server> <requestId> <token> …
// Prints each state, one JSON object a line, and exits by itself once nothing is left that could send a request.
// Each token is given once, the last one over and over. What pages have and Node lacks is put in place.
import { pathToFileURL } from "node:url";
import { EventSource } from "eventsource";

const [file, server, requestId, ...tokens] = process.argv.slice(2);
const page = { addEventListener() {}, removeEventListener() {}, hidden: false };
Object.assign(globalThis, { EventSource, window: globalThis, document: page });

const getToken = async () => (tokens.length > 1 ? tokens.shift() : tokens[0]);
const report = ({ version, status }) => process.stdout.write(`${JSON.stringify([version, status])}\n`);
const { watchJob } = await import(pathToFileURL(file));
await watchJob(server, getToken, requestId, report);
