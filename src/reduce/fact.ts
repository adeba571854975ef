/** A question to the machine that came up during a run; its answer arrives as a fact. */
export interface Ask {
  readonly fact: string;
  readonly key: string;
}

/** An answer. `value` is JSON, null where there is none. */
export interface Answer extends Ask {
  readonly value: unknown;
}

/** How a reducer asks: once per key is enough, later calls for the same are ignored. */
export type Asker = (ask: Ask) => void;
