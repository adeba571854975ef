/** What is told of a thing that was there at the start of the run and is not at its end. */
export const WAS_REMOVED = "was taken away during the run";

/** The fix of what is gone. */
export const NOTHING_TO_DO = "# nothing to do: it is gone. Should it come back, look for what puts it there";
