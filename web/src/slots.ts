/** A few turns shared by many. Browsers open six HTTP/1.1 connections per origin; a stream keeps one for good. */

export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#free = limit;
  }

  /** Calls `ready` at once when a slot is free, else as soon as one is. The returned function gives it back. */
  readonly acquire = (ready: () => void): (() => void) => {
    let state: "waiting" | "held" | "released" = "waiting";
    const turn = () => {
      state = "held";
      this.#free -= 1;
      ready();
    };
    if (this.#free > 0) turn();
    else this.#waiting.push(turn);
    return () => {
      if (state === "waiting") this.#waiting.splice(this.#waiting.indexOf(turn), 1);
      if (state === "held") {
        this.#free += 1;
        this.#waiting.shift()?.();
      }
      state = "released";
    };
  };
}
