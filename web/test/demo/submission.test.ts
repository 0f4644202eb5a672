import { expect, it } from "vitest";
import { FAULTS, submissionOf } from "../../src/demo/submission";

it("asks for no fault unless one is chosen", () => {
  expect(submissionOf("p", "e", "none")).toEqual({ endpointId: "e", input: { prompt: "p" } });
  expect(submissionOf("p", "e", "model_error").input).toEqual({ prompt: "p", _emulator: { faults: ["model_error"] } });
});

it("says how late a late webhook is", () => {
  expect(submissionOf("p", "e", "webhook_late").input).toEqual({
    prompt: "p",
    _emulator: { faults: ["webhook_late"], seconds: 5 },
  });
});

it("asks for the files of a result", () => {
  const { _emulator } = submissionOf("p", "e", "files").input as { _emulator: { files: unknown[] } };
  expect(FAULTS.map(([name]) => name)).toContain("files");
  expect(_emulator.files).toHaveLength(4);
});
