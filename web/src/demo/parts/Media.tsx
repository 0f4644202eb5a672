/** One file of a result. */

import { useState } from "react";
import { bytesWords, type Tile } from "../files";
import { useSource } from "../hooks/useSource";

const CALM = "(prefers-reduced-motion: reduce)";

interface MediaProps {
  readonly file: Tile;
  readonly title: string;
  /** Whether it is the only one: a video starts by itself then. */
  readonly alone: boolean;
}

export function Media({ file, title, alone }: MediaProps) {
  const { kind, url, name, size } = file;
  const [broken, setBroken] = useState<string | null>(null);
  if (url === null || kind === "file") {
    return (
      <figure className="document">
        {url === null ? name : <Link url={url}>{name}</Link>}
        {size !== null && <span className="small">{bytesWords(size)}</span>}
      </figure>
    );
  }
  const isBroken = broken === url;
  const player = { url, title, onBroken: () => setBroken(url) };
  return (
    <figure>
      {!isBroken && kind === "image" && <Image {...player} />}
      {!isBroken && kind === "audio" && <Audio {...player} />}
      {!isBroken && kind === "video" && <Video {...player} alone={alone} />}
      <figcaption>
        {isBroken && `This ${kind} could not be loaded. `}
        <Link url={url} label={`Open the ${kind} in a new tab`}>
          Open
        </Link>
      </figcaption>
    </figure>
  );
}

function Link({ url, label, children }: { readonly url: string; readonly label?: string; readonly children: string }) {
  return (
    <a href={url} target="_blank" rel="noopener noreferrer" aria-label={label}>
      {children}
    </a>
  );
}

interface PlayerProps {
  readonly url: string;
  readonly title: string;
  readonly onBroken: () => void;
}

function Image({ url, title, onBroken }: PlayerProps) {
  return <img src={url} alt={title} decoding="async" onError={onBroken} />;
}

function Audio({ url, title, onBroken }: PlayerProps) {
  const ref = useSource<HTMLAudioElement>(url);
  // biome-ignore lint/a11y/useMediaCaption: fal's models return no captions
  return <audio ref={ref} controls preload="metadata" aria-label={title} onError={onBroken} />;
}

function Video({ url, title, onBroken, alone }: PlayerProps & { readonly alone: boolean }) {
  const ref = useSource<HTMLVideoElement>(url);
  const play = alone && !matchMedia(CALM).matches;
  return (
    <video
      ref={ref}
      controls
      muted
      loop
      playsInline
      preload={alone ? "auto" : "metadata"}
      autoPlay={play}
      aria-label={title}
      onError={onBroken}
    />
  );
}
