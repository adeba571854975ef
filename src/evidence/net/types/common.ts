/** A network namespace: the inode of its `/proc/PID/ns/net`, and what people call it, where it has a name. */
export type NetnsId = {
  readonly inode: number;
  readonly name: string | null;
};

/** A network namespace that evidence is wanted from. */
export type NetTarget = NetnsId & {
  /** `/proc/PID/ns/net` or `/run/netns/NAME`; null for the one we run in. */
  readonly path: string | null;
};

/** A piece of evidence that could not be had: `what` as the operator knows it (a file, a tool), `why` in one line. */
export type Missing = {
  readonly what: string;
  readonly why: string;
};

/** Items of a source that no parser understood (cut or unexpected output). */
export type Unread = {
  readonly what: string;
  readonly count: number;
};
