// Drives fal's own JavaScript client against the emulator. Usage: node fal-client.mjs <emulator's URL>
// It changes nothing but the host, and prints one JSON object.
import { ApiError, ValidationError, createFalClient } from "@fal-ai/client";

const emulator = new URL(process.argv[2]);
const ENDPOINT = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video";
const PROMPT = "a cat";

const fal = createFalClient({
  credentials: "any-key-will-do",
  requestMiddleware: async (request) => {
    const url = new URL(request.url);
    url.protocol = emulator.protocol;
    url.host = emulator.host;
    return { ...request, url: url.toString() };
  },
});

const submit = (wishes = {}) => fal.queue.submit(ENDPOINT, { input: { prompt: PROMPT, _emulator: wishes } });

async function failure(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return {
      api: error instanceof ApiError,
      validation: error instanceof ValidationError,
      status: error.status,
      body: error.body,
    };
  }
}

async function subscribed(mode) {
  const { request_id: requestId } = await submit({ speed: 2 });
  const seen = [];
  const options = { requestId, logs: true, mode, onQueueUpdate: (status) => seen.push(structuredClone(status)) };
  if (mode === "polling") options.pollInterval = 20;
  const last = await fal.queue.subscribeToStatus(ENDPOINT, options);
  return { statuses: [...new Set(seen.map((status) => status.status))], last, lines: seen.at(-1).logs?.length };
}

async function queued() {
  const submitted = await submit({ speed: 0.05 });
  const { request_id: requestId } = submitted;
  const status = await fal.queue.status(ENDPOINT, { requestId, logs: true });
  const early = await failure(() => fal.queue.result(ENDPOINT, { requestId }));
  const cancelled = await fal.queue.cancel(ENDPOINT, { requestId }).then(() => true);
  const again = await failure(() => fal.queue.cancel(ENDPOINT, { requestId }));
  return { submitted, status, early, cancelled, again };
}

async function streamed() {
  const { request_id: requestId } = await submit({ speed: 2 });
  const stream = await fal.queue.streamStatus(ENDPOINT, { requestId, logs: true });
  const statuses = [];
  for await (const status of stream) statuses.push(status.status);
  const last = await stream.done();
  const result = await fal.queue.result(ENDPOINT, { requestId });
  return { requestId, statuses, streamRequestId: stream.requestId, last, result };
}

async function failed() {
  const { request_id: requestId } = await submit({ faults: ["model_error"] });
  const last = await fal.queue.subscribeToStatus(ENDPOINT, { requestId, mode: "streaming" });
  return { last, error: await failure(() => fal.queue.result(ENDPOINT, { requestId })) };
}

async function subscribe() {
  const { data, requestId } = await fal.subscribe(ENDPOINT, { input: { prompt: PROMPT }, mode: "streaming" });
  return { data, requestId };
}

const [queue, stream, polling, streaming, error, whole, unknown] = await Promise.all([
  queued(),
  streamed(),
  subscribed("polling"),
  subscribed("streaming"),
  failed(),
  subscribe(),
  failure(() => fal.queue.status(ENDPOINT, { requestId: "nothing" })),
]);
console.log(JSON.stringify({ queue, stream, polling, streaming, error, whole, unknown }));
