import { describe, expect, it } from "vitest";
import { elapsedSeconds, formatSeconds, fraction, percentOf } from "../../src/demo/progress";
import { copying, file, job } from "./fixtures";

const START = "2026-11-23T10:00:00.000Z";
const at = (seconds: number) => Date.parse(START) + seconds * 1000;

describe("the progress bar", () => {
  it("is unknown until the model has started", () => {
    expect(fraction(null, 100, at(5))).toBeNull();
  });

  it("is unknown while the usual duration is unknown or senseless", () => {
    expect(fraction(START, null, at(5))).toBeNull();
    expect(fraction(START, 0, at(5))).toBeNull();
  });

  it("is unknown when the start cannot be read", () => {
    expect(fraction("soon", 100, at(5))).toBeNull();
  });

  it("grows evenly up to the usual duration", () => {
    expect(fraction(START, 100, at(0))).toBe(0);
    expect(fraction(START, 100, at(50))).toBeCloseTo(0.4);
    expect(fraction(START, 100, at(100))).toBeCloseTo(0.8);
  });

  it("keeps growing afterwards and never reaches the end before completion", () => {
    const late = [100, 120, 150, 200, 400].map((seconds) => fraction(START, 100, at(seconds)) ?? 0);
    expect(late).toEqual([...late].sort((a, b) => a - b));
    expect(new Set(late).size).toBe(late.length);
    expect(fraction(START, 100, at(1_000_000))).toBeLessThan(1);
  });

  it("has no jump in speed where the usual duration ends", () => {
    const step = (from: number) => (fraction(START, 100, at(from + 0.1)) ?? 0) - (fraction(START, 100, at(from)) ?? 0);
    expect(step(100)).toBeCloseTo(step(99.8), 4);
  });

  it("stays at zero when the browser's clock is behind the server's", () => {
    expect(fraction(START, 100, at(-30))).toBe(0);
  });
});

describe("the clock", () => {
  it("runs until now while the job is pending, and stops at its completion", () => {
    expect(elapsedSeconds({ createdAt: START, completedAt: null }, at(7))).toBe(7);
    expect(elapsedSeconds({ createdAt: START, completedAt: "2026-11-23T10:00:03.500Z" }, at(99))).toBe(3.5);
  });

  it("never shows a negative time or none at all", () => {
    expect(elapsedSeconds({ createdAt: START, completedAt: null }, at(-7))).toBe(0);
    expect(elapsedSeconds({ createdAt: "?", completedAt: null }, at(1))).toBe(0);
  });

  it("writes minutes and two digits of seconds", () => {
    expect([0, 9.9, 75.4, 3600].map(formatSeconds)).toEqual(["0:00", "0:09", "1:15", "60:00"]);
  });
});

describe("the percentage", () => {
  const progress = { ...job().progress, startedAt: START, expectedSeconds: 100 };

  it("is unknown before there is something to say, and 100 for a completed job alone", () => {
    expect(percentOf(job(), at(5))).toBeNull();
    expect(percentOf(job({ progress }), at(50))).toBeCloseTo(40);
    expect(percentOf(job({ status: "completed" }), at(50))).toBe(100);
    expect(percentOf(job({ status: "failed" }), at(50))).toBe(0);
  });

  it("is that of the bytes while files are copied, and never 100 before the end", () => {
    expect(percentOf(copying(file()), at(50))).toBeNull();
    expect(percentOf(copying(file({ bytes: 30, size: 100 })), at(50))).toBe(30);
    expect(percentOf(copying(file({ bytes: 100, size: 100 })), at(50))).toBe(99);
  });

  it("stands still where a job failed", () => {
    const failed = job({ progress, status: "failed", completedAt: "2026-11-23T10:00:50.000Z" });
    expect(percentOf(failed, at(99))).toBeCloseTo(40);
  });
});
