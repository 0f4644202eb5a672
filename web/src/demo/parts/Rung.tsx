/** One transport of the ladder. */

import type { ReactNode } from "react";

interface RungProps {
  readonly title: string;
  readonly live: boolean;
  readonly blocked: boolean;
  readonly children: ReactNode;
}

export function Rung({ title, live, blocked, children }: RungProps) {
  return (
    <li className="rung" data-live={live} data-blocked={blocked} aria-current={live || undefined}>
      <span>
        {title} {live && <b className="tag">live</b>} {blocked && <b className="tag bad">blocked</b>}
      </span>
      {children}
    </li>
  );
}
