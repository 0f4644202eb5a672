/** The media in a result. fal's models share a few shapes; anything else is shown as JSON. */

import { isRecord } from "./json";

export type MediaKind = "video" | "image" | "audio";

export interface Media {
  readonly kind: MediaKind;
  readonly url: string;
}

/** Return `value` as a URL that is safe in `src` and `href`, absolute and http(s); null if it is none. */
export function safeUrl(value: unknown, base?: string): string | null {
  if (typeof value !== "string" || !URL.canParse(value, base)) return null;
  const url = new URL(value, base);
  return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
}

const KINDS: readonly MediaKind[] = ["video", "image", "audio"];

/** Return the video, image and audio files at the top level of `result`, in that order, without duplicates. */
export function mediaOf(result: unknown): Media[] {
  if (!isRecord(result)) return [];
  const found = KINDS.flatMap((kind) =>
    [result[`${kind}s`], result[kind], result[`${kind}_url`]].flatMap(filesIn).map((url): Media => ({ kind, url })),
  );
  return found.filter((media, index) => found.findIndex((other) => other.url === media.url) === index);
}

function filesIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => filesIn(item));
  const url = safeUrl(isRecord(value) ? value.url : value);
  return url === null ? [] : [url];
}
