/** From the form's fields to a submission, and back from a job; pure. */

import type { Job, Submission } from "../lib/index.js";

/** The owner of the page's jobs: all tabs show them, whoever submitted them. */
export const OWNER = "demo";

/** What a user asks for. */
export interface Wish {
  readonly prompt: string;
  readonly endpointId: string;
  /** A name of `FAULTS`. */
  readonly fault: string;
}

export interface Model {
  readonly endpointId: string;
  readonly kind: string;
  readonly name: string;
}

export const MODELS: readonly [Model, ...Model[]] = [
  { endpointId: "fal-ai/kling-video/v2.5-turbo/pro/text-to-video", kind: "Video", name: "Kling 2.5 Turbo Pro" },
  { endpointId: "fal-ai/flux/dev", kind: "Image", name: "FLUX.1 dev" },
];

/** The emulator's faults, by their names in docs/emulator.md. */
export const FAULTS: readonly (readonly [name: string, words: string])[] = [
  ["none", "Nothing"],
  ["model_error", "The model fails"],
  ["infrastructure_error", "fal's infrastructure fails"],
  ["webhook_lost", "The webhook never arrives"],
  ["webhook_thrice", "The webhook arrives three times"],
  ["webhook_late", "The webhook arrives 5 s late"],
  ["payload_error", "The webhook has no payload"],
  ["big_result", "The result is very big"],
  ["files", "Several files, one of them gone"],
];

/** Several files for a server that keeps them: a slow video, an image, a 3D model, and one that is no file any more. */
const FILES = [
  { bytes: 2_000_000, bytes_per_second: 500_000 },
  { content_type: "image/png" },
  { content_type: "model/gltf-binary", bytes: 300_000 },
  { content_type: "image/png", fault: "web_page" },
];

/** Return `input._emulator`, null for no fault. */
function emulatorOptions(fault: string): Record<string, unknown> | null {
  if (fault === "none") return null;
  if (fault === "files") return { files: FILES };
  return fault === "webhook_late" ? { faults: [fault], seconds: 5 } : { faults: [fault] };
}

/** Return the submission of a wish. The server keeps no input, so the metadata have what other tabs show; `run`: its id. */
export function submissionOf({ prompt, endpointId, fault }: Wish, run: string): Submission {
  const options = emulatorOptions(fault);
  const input = options === null ? { prompt } : { prompt, _emulator: options };
  return { endpointId, input, owner: OWNER, metadata: { prompt, run } };
}

/** Return the id of the run that a page submitted the job with; null if another program did. */
export function runOf({ metadata: { run } }: Job): string | null {
  return typeof run === "string" ? run : null;
}

/** Return the prompt of a job of a page; of others what names them. */
export function promptOf({ metadata: { prompt }, endpointId, requestId }: Job): string {
  return typeof prompt === "string" && prompt !== "" ? prompt : (endpointId ?? requestId);
}

/** Return the wish for the same once more, without its fault; null if the prompt or the model is not known. */
export function again({ metadata: { prompt }, endpointId }: Job): Wish | null {
  return typeof prompt === "string" && endpointId !== null ? { prompt, endpointId, fault: "none" } : null;
}
