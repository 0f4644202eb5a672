import { expect, it } from "vitest";
import { curlsOf } from "../../src/demo/curl";
import { run } from "./fixtures";

const lines = (...given: Parameters<typeof curlsOf>) => curlsOf(...given).map(({ line }) => line);

it("the commands submit, watch and poll the job, quoted for a shell", () => {
  expect(lines(run({ requestId: "a'b", prompt: "it's" }), "http://h", false)).toEqual([
    `curl -H "Content-Type: application/json" -d '{"endpointId":"fal-ai/flux/dev","input":{"prompt":"it'\\''s"},"owner":"demo"}' http://h/api/fal-jobs`,
    "curl -N 'http://h/api/fal-jobs/a'\\''b/events'",
    "curl 'http://h/api/fal-jobs/a'\\''b'",
  ]);
});

it("before there is a job, the commands leave a place for its id", () => {
  expect(lines(undefined, "http://h", false)[1]).toBe("curl -N 'http://h/api/fal-jobs/REQUEST_ID/events'");
});

it("a key is named without showing it", () => {
  for (const line of lines(run(), "http://h", true)) expect(line).toContain(`-H "Authorization: Bearer $KEY"`);
});
