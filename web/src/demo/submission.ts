/** From the form's fields to a submission; pure. */

import type { Submission } from "../lib/index.js";

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

export function submissionOf(prompt: string, endpointId: string, fault: string): Submission {
  const options = emulatorOptions(fault);
  return { endpointId, input: options === null ? { prompt } : { prompt, _emulator: options } };
}
