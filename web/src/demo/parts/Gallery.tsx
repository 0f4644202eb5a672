/** The files of a job on its screen, which keeps its size whatever their number. */

import type { Tile } from "../files";
import { Media } from "./Media";

const SHOWN = 24;

export function Gallery({ tiles, title }: { readonly tiles: readonly Tile[]; readonly title: string }) {
  const count = tiles.length;
  return (
    <div className="screen media" data-files={Math.min(count, 5)} data-testid="gallery">
      {tiles.slice(0, SHOWN).map((tile, place) => (
        <Media
          // biome-ignore lint/suspicious/noArrayIndexKey: a file keeps its place, and its element when it is copied
          key={place}
          file={tile}
          title={count === 1 ? title : `${title} (${place + 1} of ${count})`}
          alone={count === 1}
        />
      ))}
      {count > SHOWN && <p className="small">and {count - SHOWN} more in the result</p>}
    </div>
  );
}
