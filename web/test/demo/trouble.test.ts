import { describe, expect, it } from "vitest";
import { problemOf } from "../../src/demo/trouble";
import { HookcastError } from "../../src/lib/index.js";

const problem = (code: string, status: number, message = code, detail: unknown = {}, hasKey = false) =>
  problemOf(new HookcastError(code, message, status, detail), hasKey);

describe("what went wrong", () => {
  it.each([
    ["network", 0, "The server did not answer."],
    ["store_unavailable", 503, "The server failed with 503."],
    ["http_500", 500, "The server failed with 500."],
    ["rate_limited", 429, "Too many requests at once."],
    ["fal_unreachable", 502, "Hookcast could not reach fal."],
    ["submit_outcome_unknown", 409, "fal may have accepted the job, but its answer was lost."],
  ])("is told as a sentence with advice for %s, and may be tried again", (code, status, sentence) => {
    expect(problem(code, status)).toMatchObject({ sentence, retryable: true, needsKey: false, code });
    expect(problem(code, status).advice).toMatch(/\.$/);
  });

  it("is the server's own sentence for a request that is wrong in itself, which is not sent again", () => {
    const found = problem("invalid_request", 422, "endpointId: too short");
    expect(found).toMatchObject({ sentence: "endpointId: too short.", retryable: false });
    expect(problem("invalid_request", 422).sentence).toBe("The server cannot use this request.");
  });

  it("shows what fal said when it refused the job", () => {
    const found = problem("fal_rejected", 502, "fal said no", { falStatus: 422, falBody: { detail: "no prompt" } });
    expect(found.sentence).toBe("fal refused the job with 422.");
    expect(found.falBody).toBe('{\n  "detail": "no prompt"\n}');
    expect(problem("fal_rejected", 502, "x", { falStatus: 401, falBody: "Unauthorized" })).toMatchObject({
      falBody: "Unauthorized",
      advice: "Check the server's FAL_KEY.",
    });
    expect(problem("fal_rejected", 502, "x", { falStatus: 503, falBody: null }).falBody).toBeNull();
  });

  it("asks for a key, for another one, and for one that may do more", () => {
    expect(problem("unauthorized", 401)).toMatchObject({ sentence: "The server requires an API key.", needsKey: true });
    expect(problem("unauthorized", 401, "", {}, true).sentence).toBe("The server does not know this key.");
    expect(problem("forbidden", 403)).toMatchObject({ needsKey: true, retryable: false });
  });

  it("says something for any other answer, whatever its body is", () => {
    expect(problem("http_404", 404, "http_404", null).sentence).toBe("The server answered 404.");
  });
});
