/** One media file of a result. */

import { useState } from "react";
import type { Media as File } from "../media";

const CALM = "(prefers-reduced-motion: reduce)";

export function Media({ file, title }: { readonly file: File; readonly title: string }) {
  const [broken, setBroken] = useState(false);
  return (
    <figure>
      {!broken && <Player file={file} title={title} onBroken={() => setBroken(true)} />}
      <figcaption>
        {broken && `This ${file.kind} could not be loaded. `}
        <a href={file.url} target="_blank" rel="noopener noreferrer" aria-label={`Open the ${file.kind} in a new tab`}>
          Open
        </a>
      </figcaption>
    </figure>
  );
}

interface PlayerProps {
  readonly file: File;
  readonly title: string;
  readonly onBroken: () => void;
}

function Player({ file: { kind, url }, title, onBroken }: PlayerProps) {
  if (kind === "image") return <img src={url} alt={title} decoding="async" onError={onBroken} />;
  if (kind === "audio") {
    // biome-ignore lint/a11y/useMediaCaption: fal's models return no captions
    return <audio src={url} controls aria-label={title} onError={onBroken} />;
  }
  const play = !matchMedia(CALM).matches;
  return <video src={url} controls muted loop playsInline autoPlay={play} aria-label={title} onError={onBroken} />;
}
