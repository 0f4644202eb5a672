/** The request body the form stands for; pure. */

import type { Submission } from "./api";

/** What the emulator is asked to do wrong, in the words of its `input._emulator`. */
function emulatorOptions(fault: string): Record<string, unknown> | null {
  if (fault === "" || fault === "none") return null;
  return fault === "webhook_late" ? { faults: [fault], seconds: 5 } : { faults: [fault] };
}

export function submissionOf(prompt: string, endpointId: string, fault: string): Submission {
  const options = emulatorOptions(fault);
  const input = options === null ? { prompt } : { prompt, _emulator: options };
  return { endpointId, input };
}
