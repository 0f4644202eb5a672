import { describe, expect, it } from "vitest";
import { mediaOf, safeUrl } from "../../src/demo/media";

const V = "https://fal.media/v.mp4";
const I = "https://fal.media/i.png";

describe("what is shown of a result", () => {
  it.each([
    [{ video: { url: V, file_size: null } }, [{ kind: "video", url: V }]],
    [{ video_url: V }, [{ kind: "video", url: V }]],
    [{ image: { url: I } }, [{ kind: "image", url: I }]],
    [{ audio: { url: V } }, [{ kind: "audio", url: V }]],
    [{ audio_url: V }, [{ kind: "audio", url: V }]],
    [
      { images: [{ url: I }, { url: `${I}?2` }], seed: 1 },
      [
        { kind: "image", url: I },
        { kind: "image", url: `${I}?2` },
      ],
    ],
  ])("finds fal's media in %j", (result, media) => {
    expect(mediaOf(result)).toEqual(media);
  });

  it("names a file once even when the result repeats it", () => {
    expect(mediaOf({ video: { url: V }, video_url: V })).toHaveLength(1);
  });

  it.each([[null], ["text"], [[]], [{ text: "hello" }], [{ images: [] }], [{ video: null }], [{ video: { url: 7 } }]])(
    "finds nothing in %j",
    (result) => {
      expect(mediaOf(result)).toEqual([]);
    },
  );

  it.each(["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "blob:https://x/1", "/relative", "", 7])(
    "never uses the address %j",
    (url) => {
      expect(safeUrl(url)).toBeNull();
      expect(mediaOf({ video: { url } })).toEqual([]);
    },
  );
});
