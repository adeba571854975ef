import type { Finding } from "../diagnose/finding.ts";

export type Tone = "plain" | "strong" | "good" | "warn" | "bad" | "dim";

export interface Column {
  readonly header: string;
  readonly align?: "left" | "right";
  /** The column that gives way when the terminal is narrow; at most a few should. Higher gives way first. */
  readonly shrink?: number;
  /** A cell that does not fit goes on a line of its own under the row, instead of being cut. */
  readonly overflow?: boolean;
}

/** A piece of a report; how it looks is the view's business (src/view/). Texts may hold hostile data: views escape. */
export type Block =
  | {
      readonly kind: "headline";
      readonly text: string;
      readonly spark?: readonly number[];
      readonly tone?: Tone;
    }
  | { readonly kind: "findings"; readonly findings: readonly Finding[] }
  | {
      readonly kind: "table";
      readonly title?: string;
      readonly columns: readonly Column[];
      readonly rows: readonly (readonly string[])[];
      /** Said under the table: how many rows are not shown, and how to see them. */
      readonly more?: string;
    }
  | { readonly kind: "text"; readonly text: string; readonly tone?: Tone }
  /** A heading word and what belongs to it, the body wrapped and indented. */
  | {
      readonly kind: "entry";
      readonly label: string;
      readonly text: string;
      readonly details?: readonly {
        readonly label: string;
        readonly text: string;
        readonly verbatim?: boolean;
      }[];
    };

/** What the live view shows between two redraws. */
export interface LiveView {
  readonly headline: string;
  /** Events a second per interval, oldest first. */
  readonly spark: readonly number[];
  readonly table: Extract<Block, { kind: "table" }> | null;
  readonly lost: number;
}
