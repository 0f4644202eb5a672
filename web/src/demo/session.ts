/** What this tab keeps across reloads, until it is closed: its jobs and the API key. */

import { isRecord, parseJson } from "./json";

export interface Kept {
  readonly requestId: string;
  readonly prompt: string;
}

export type Box = Pick<Storage, "getItem" | "setItem">;

const JOBS = "hookcast.jobs";
const KEY = "hookcast.key";
const LIMIT = 12;

/** Return the kept jobs, newest first. */
export function recall(box: Box): Kept[] {
  const value = parseJson(read(box, JOBS));
  return Array.isArray(value) ? value.filter(isKept).slice(0, LIMIT) : [];
}

export function keep(box: Box, { requestId, prompt }: Kept): void {
  const others = recall(box).filter((kept) => kept.requestId !== requestId);
  write(box, JOBS, JSON.stringify([{ requestId, prompt }, ...others]));
}

export function drop(box: Box, requestId: string): void {
  write(box, JOBS, JSON.stringify(recall(box).filter((kept) => kept.requestId !== requestId)));
}

/** Return the API key or token that was entered; null if there is none. */
export function recallKey(box: Box): string | null {
  return read(box, KEY) || null;
}

export function keepKey(box: Box, key: string): void {
  write(box, KEY, key);
}

function read(box: Box, name: string): string {
  try {
    return box.getItem(name) ?? "";
  } catch {
    return "";
  }
}

function write(box: Box, name: string, text: string): void {
  try {
    box.setItem(name, text);
  } catch {
    // Storage is full or blocked: the tab works, but forgets its jobs on reload.
  }
}

function isKept(value: unknown): value is Kept {
  return isRecord(value) && typeof value.requestId === "string" && typeof value.prompt === "string";
}
