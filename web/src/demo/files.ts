/** The files of a job while the server copies them, and its copies afterwards; pure. */

import type { Job, MediaFile } from "../lib/index.js";
import { type Media, type MediaKind, mediaOf, safeUrl } from "./media";

/** A file as the screen shows it. */
export interface Tile {
  /** `file`: a link to it. */
  readonly kind: MediaKind | "file";
  /** The copy, or where the file was until it is kept; null if neither can be loaded, as the data of a `data:` URI. */
  readonly url: string | null;
  readonly name: string;
  /** The bytes in total, null while unknown. */
  readonly size: number | null;
}

/** A file that is not kept, and why, in words. */
export interface Trouble {
  readonly file: string;
  readonly sentence: string;
}

const KINDS: readonly MediaKind[] = ["video", "image", "audio"];
const EXTENSIONS: Readonly<Record<MediaKind, RegExp>> = {
  video: /\.(mp4|m4v|mov|webm|ogv)$/i,
  image: /\.(png|jpe?g|webp|gif|avif|svg|bmp)$/i,
  audio: /\.(mp3|wav|ogg|oga|opus|flac|m4a|aac)$/i,
};
const UNITS = ["kB", "MB", "GB", "TB"];

/** Return whether the server copies the job's files right now: fal is done, the job is pending. */
export function isCopying(job: Job | null): boolean {
  return job?.status === "pending" && job.progress.phase === "saving" && filesOf(job).length > 0;
}

/** Return the files of the result: empty without storage, and from servers that know none. */
export function filesOf(job: Job): readonly MediaFile[] {
  return job.media ?? [];
}

/** Return what the screen shows of a job; `base` is the server's URL. */
export function tilesOf(job: Job | null, base: string): readonly Tile[] {
  if (job === null) return [];
  const named = mediaOf(job.result);
  const files = filesOf(job);
  if (files.length === 0) return named.map(({ kind, url }) => ({ kind, url, name: nameOf(url, kind), size: null }));
  return files.map((file) => tileOf(file, named, base));
}

function tileOf(file: MediaFile, named: readonly Media[], base: string): Tile {
  const url = safeUrl(file.url, base) ?? safeUrl(file.source);
  const kind = kindOf(file) ?? named.find((media) => media.url === url)?.kind ?? "file";
  return { kind, url, name: nameOf(file.source, kind), size: file.size };
}

/** Return the kind by the type; before that is known, by the name. */
function kindOf({ contentType, source }: MediaFile): MediaKind | null {
  const type = contentType ?? (source.startsWith("data:") ? source.slice("data:".length) : null);
  const path = safeUrl(source)?.replace(/[?#].*$/, "") ?? "";
  const fits = (kind: MediaKind) => (type === null ? EXTENSIONS[kind].test(path) : type.startsWith(`${kind}/`));
  return KINDS.find(fits) ?? null;
}

function nameOf(source: string, other: string): string {
  const url = safeUrl(source);
  const name = url === null ? "" : (new URL(url).pathname.split("/").at(-1) ?? "");
  try {
    return decodeURIComponent(name) || other;
  } catch {
    return name;
  }
}

/**
 * Return the share of the bytes that is copied; null while no size is known. A file whose size is not known yet counts
 * as much as the others do on average.
 */
export function copiedShare(files: readonly MediaFile[]): number | null {
  const copied = files.filter(({ status }) => status !== "left");
  const sizes = copied.flatMap(({ size }) => (size === null ? [] : [size]));
  const known = sum(sizes);
  if (known === 0) return copied.length > 0 ? null : 1;
  const total = (known / sizes.length) * copied.length;
  return Math.min(1, sum(copied.map(({ bytes }) => bytes)) / total);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** Return how many files of how many are kept, and while they are copied their bytes; null if none are kept. */
export function copyWords(job: Job): string | null {
  const files = filesOf(job);
  const kept = files.filter(({ status }) => status === "kept").length;
  const all = countWords(files.length);
  if (isCopying(job)) return `${kept} of ${all}, ${bytesWords(sum(files.map(({ bytes }) => bytes)))}`;
  if (kept === 0) return null;
  return kept === files.length ? `${all} kept` : `${kept} of ${files.length} kept`;
}

/** `1 file`, `3 files`. */
export function countWords(count: number): string {
  return `${count.toLocaleString("en")} ${count === 1 ? "file" : "files"}`;
}

/** Return the files that are left where they were, and those that are tried again, with the reason. */
export function troublesOf(job: Job | null): readonly Trouble[] {
  if (job === null) return [];
  const files = filesOf(job);
  return files.flatMap(({ source, status, error }, index) => {
    if (error === null || status === "kept") return [];
    const name = nameOf(source, "");
    const file = `File ${index + 1}${name && ` (${name})`}`;
    return [{ file, sentence: `${status === "left" ? "was left where it is" : "is tried again"}. ${error}` }];
  });
}

/** Format a number of bytes: `999 bytes`, `4.2 MB`. */
export function bytesWords(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  let value = bytes;
  let unit = -1;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}
