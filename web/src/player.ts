/** The elements that show a result's files. */

import type { Media } from "./media";

export function mediaElements(media: readonly Media[], title: string): HTMLElement[] {
  return media.map((item) => figure(item, title));
}

function figure(item: Media, title: string): HTMLElement {
  const figure = document.createElement("figure");
  const element = item.kind === "image" ? image(item.url, title) : playable(item.kind, item.url, title);
  const caption = document.createElement("figcaption");
  const link = document.createElement("a");
  link.href = item.url;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  link.textContent = `Open the ${item.kind}`;
  caption.append(link);
  element.addEventListener("error", () => {
    element.remove();
    caption.prepend(`This ${item.kind} could not be loaded. `);
  });
  figure.append(element, caption);
  return figure;
}

function image(url: string, title: string): HTMLImageElement {
  const element = document.createElement("img");
  element.alt = title;
  element.decoding = "async";
  element.src = url;
  return element;
}

function playable(kind: "video" | "audio", url: string, title: string): HTMLMediaElement {
  const element = document.createElement(kind);
  element.controls = true;
  element.setAttribute("aria-label", title);
  if (element instanceof HTMLVideoElement) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    element.muted = true;
    element.loop = true;
    element.autoplay = !calm;
    element.playsInline = true;
  }
  element.src = url;
  return element;
}
