import { describe, expect, it } from "vitest";
import { bytesWords, copiedShare, copyWords, isCopying, tilesOf, troublesOf } from "../../src/demo/files";
import { COPY, completed, copying, file, job, kept, SOURCE } from "./fixtures";

const PAGE = "https://hooks.example.com/";

describe("the files on the screen", () => {
  it("are where fal put them until they are kept, then the copies", () => {
    expect(tilesOf(copying(file()), PAGE)).toEqual([{ kind: "video", url: SOURCE, name: "a.mp4", size: null }]);
    expect(tilesOf(completed(kept()), PAGE)).toEqual([{ kind: "video", url: COPY, name: "a.mp4", size: 100 }]);
  });

  it("are found at the server where it serves them itself", () => {
    const [tile] = tilesOf(completed(kept({ url: "/media/r1/0.mp4" })), PAGE);
    expect(tile?.url).toBe("https://hooks.example.com/media/r1/0.mp4");
  });

  it.each([
    ["https://h/a.webp?x=1.mp4", null, "image"],
    ["https://h/a.bin", "audio/mpeg", "audio"],
    ["https://h/a.png", "application/zip", "file"],
    ["https://h/a.glb", null, "file"],
    ["data:image/png", null, "image"],
  ])("are of the kind of their type, before it is known of their name: %s, %s", (source, contentType, kind) => {
    expect(tilesOf(copying(file({ source, contentType })), PAGE)[0]?.kind).toBe(kind);
  });

  it("have the kind that the result gives them if neither says it", () => {
    const source = "https://fal.media/files/1";
    const ended = { ...completed(file({ source, status: "left" })), result: { video: { url: source } } };
    expect(tilesOf(ended, PAGE)[0]?.kind).toBe("video");
  });

  it.each(["data:image/png", "javascript:alert(1)", "ftp://h/a.png"])("have no address of %s", (source) => {
    expect(tilesOf(copying(file({ source })), PAGE)[0]?.url).toBeNull();
  });

  it("have the names of their addresses", () => {
    const named = (source: string) => tilesOf(copying(file({ source })), PAGE)[0]?.name;
    expect([named("https://h/a%20b.mp4"), named("https://h/%zz.mp4"), named("data:image/png")]).toEqual([
      "a b.mp4",
      "%zz.mp4",
      "image",
    ]);
  });

  it("are those of the result where a server keeps none, or knows nothing of that", () => {
    const { media: _, ...older } = { ...completed(), result: { video: { url: SOURCE } } };
    for (const ended of [older, { ...older, media: [] }]) {
      expect(tilesOf(ended, PAGE)).toEqual([{ kind: "video", url: SOURCE, name: "a.mp4", size: null }]);
    }
    expect(tilesOf(null, PAGE)).toEqual([]);
  });
});

describe("the copies", () => {
  it("are made while a job with files is saving", () => {
    expect([copying(file()), copying(), completed(kept()), job(), null].map(isCopying)).toEqual([
      true,
      false,
      false,
      false,
      false,
    ]);
  });

  it("are counted in bytes, and a file of unknown size as one of the usual size", () => {
    expect(copiedShare([file()])).toBeNull();
    expect(copiedShare([file({ bytes: 50, size: 200 })])).toBe(0.25);
    expect(copiedShare([kept(), file({ bytes: 50, size: 300 })])).toBe(150 / 400);
    expect(copiedShare([kept(), file()])).toBe(0.5);
    expect(copiedShare([file({ bytes: 300, size: 200 })])).toBe(1);
  });

  it("do not wait for what is left where it is", () => {
    const left = file({ status: "left", size: 1000 });
    expect(copiedShare([left, file({ bytes: 50, size: 100 })])).toBe(0.5);
    expect(copiedShare([left])).toBe(1);
  });

  it("are told in a few words", () => {
    const left = file({ status: "left", error: "It is too big." });
    expect(copyWords(copying(kept(), file({ bytes: 4_200_000 })))).toBe("1 of 2 files, 4.2 MB");
    expect(copyWords(completed(kept()))).toBe("1 file kept");
    expect(copyWords(completed(kept(), kept(), left))).toBe("2 of 3 kept");
    for (const none of [completed(left), completed(), job()]) expect(copyWords(none)).toBeNull();
  });

  it("that were not made say why", () => {
    const left = file({ status: "left", error: "The file is empty.", source: "data:image/png" });
    const again = file({ status: "waiting", error: "The host answered 503." });
    expect(troublesOf(copying(kept(), left, again))).toEqual([
      { file: "File 2", sentence: "was left where it is. The file is empty." },
      { file: "File 3 (a.mp4)", sentence: "is tried again. The host answered 503." },
    ]);
    for (const fine of [completed(kept()), job(), null]) expect(troublesOf(fine)).toEqual([]);
  });

  it.each([
    [0, "0 bytes"],
    [999, "999 bytes"],
    [1000, "1.0 kB"],
    [9_940, "9.9 kB"],
    [9_960, "10 kB"],
    [999_600, "1.0 MB"],
    [2_147_483_648, "2.1 GB"],
    [5e15, "5000 TB"],
  ])("have sizes in words: %d", (bytes, words) => {
    expect(bytesWords(bytes)).toBe(words);
  });
});
