/** The jobs of this tab, so that a reload finds them again. */

import type { Ticket } from "./api";
import { isRecord, parseJson } from "./job";

export interface Kept extends Ticket {
  readonly prompt: string;
}

const KEY = "hookcast.jobs";
const LIMIT = 12;

type Box = Pick<Storage, "getItem" | "setItem">;

/** The kept jobs, newest first. */
export function recall(box: Box): Kept[] {
  try {
    const value = parseJson(box.getItem(KEY) ?? "[]");
    return Array.isArray(value) ? value.filter(isKept).slice(0, LIMIT) : [];
  } catch {
    return [];
  }
}

export function keep(box: Box, job: Kept): void {
  const others = recall(box).filter((kept) => kept.requestId !== job.requestId);
  write(box, [job, ...others].slice(0, LIMIT));
}

export function drop(box: Box, requestId: string): void {
  write(
    box,
    recall(box).filter((kept) => kept.requestId !== requestId),
  );
}

function write(box: Box, jobs: readonly Kept[]): void {
  try {
    box.setItem(KEY, JSON.stringify(jobs));
  } catch {
    // A full or forbidden storage only costs the memory of this tab.
  }
}

function isKept(value: unknown): value is Kept {
  if (!isRecord(value) || !isRecord(value.links)) return false;
  const { status, events, cancel } = value.links;
  const links = [status, events, cancel].every((link) => typeof link === "string" && link.startsWith("/"));
  const token = value.token === null || typeof value.token === "string";
  return links && token && typeof value.requestId === "string" && typeof value.prompt === "string";
}
