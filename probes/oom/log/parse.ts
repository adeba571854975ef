import { type KernelLine, secondsOf } from "../../../src/evidence/kernel-log/line.ts";
import type { OomIncident, OomReport } from "../record.ts";
import { buildReport } from "./build.ts";
import type { Draft, Kill, Moment } from "./draft.ts";
import { createJoiner, type Joined, type Joiner } from "./join.ts";
import { createLane, type Lane } from "./lane.ts";
import { mayMatter } from "./lines.ts";
import { createSeen } from "./seen.ts";
import { createSettling } from "./settle.ts";

/** What the parser met besides kills. */
export interface OomLogNotes {
  /** Reports the kernel's rate limit swallowed, by its own count ("callbacks suppressed"). */
  suppressed: number;
  /** Kill lines that repeat one already seen: a log read twice, or a group kill that names its victim again. */
  duplicates: number;
  /** Reports that ended without a kill, the first 1000 of `incidentCount`. */
  incidents: OomIncident[];
  incidentCount: number;
}

export interface OomParser {
  /** Takes one record; returns the kills that are complete by now, in the order of the log. */
  push(line: KernelLine): OomReport[];
  /** Kills held back for what may still follow (group, reaper): for a live log that has gone quiet. */
  flush(): OomReport[];
  /** The end of the log: the rest. */
  end(): OomReport[];
  readonly notes: OomLogNotes;
}

/** The kernel's own records end at 8 KiB with all prefixes (PRINTK_MESSAGE_MAX, older: 1 KiB). */
const MAX_TEXT = 8192;
const MAX_LANES = 64;
const MAX_INCIDENTS = 1000;

interface Source {
  lane: Lane;
  joiner: Joiner;
  /** Wall time minus seconds since boot, by the last line that had both. */
  boot: number | null;
}

/**
 * When a line was printed, in seconds of one clock: since boot where the source has that. Syslog daemons that split the lines of a record put
 * `[12.345678]` before the first only: the others are on the same clock by their wall time.
 */
function clockOf(source: Source | undefined, { time, monotonic }: Moment): number | null {
  const wall = time?.kind === "wall" ? secondsOf(time) : null;
  if (monotonic !== null) {
    if (source !== undefined && wall !== null) source.boot = wall - monotonic;
    return monotonic;
  }
  if (wall === null) return time === null ? null : secondsOf(time);
  return wall - (source?.boot ?? 0);
}

/**
 * Reads OOM reports from kernel records. One report is one `Killed process` line and what belongs to it; a kill
 * without such a line is never reported, a repeated line never twice. Never throws. Memory is bounded.
 */
export function createOomParser(): OomParser {
  const sources = new Map<string, Source>();
  const notes: OomLogNotes = { suppressed: 0, duplicates: 0, incidents: [], incidentCount: 0 };
  const seen = createSeen();
  const settling = createSettling();

  const note = (incidents: readonly OomIncident[]): void => {
    notes.incidentCount += incidents.length;
    for (const incident of incidents)
      if (notes.incidents.length < MAX_INCIDENTS) notes.incidents.push(incident);
  };
  const sourceOf = (key: string): Source => {
    const found = sources.get(key);
    if (found !== undefined) return found;
    if (sources.size >= MAX_LANES) {
      // The one that was idle longest, as far as insertion order tells.
      const victim = [...sources].find(([, source]) => !source.lane.busy) ?? [...sources][0];
      if (victim !== undefined) {
        note(victim[1].lane.end());
        sources.delete(victim[0]);
      }
    }
    const made = { lane: createLane(), joiner: createJoiner(), boot: null };
    sources.set(key, made);
    return made;
  };
  const onKill = (draft: Draft, kill: Kill, seconds: number | null): void => {
    const report = buildReport(draft, kill);
    if (seen.isRepeat(kill.at.host, report.victim, seconds)) notes.duplicates += 1;
    else settling.add(report, kill.prefix, seconds);
  };
  const take = (source: Source, { line, text, at, seconds }: Joined): OomReport[] => {
    const out = line.kind === "other" ? [] : settling.before(at.host, line.kind === "header", seconds);
    if (line.kind === "reaped") settling.reaped(at.host, line);
    if (line.kind === "suppressed") notes.suppressed += line.count;
    const event = source.lane.feed(line, text, at, seconds);
    if (event?.kind === "kill") onKill(event.draft, event.kill, seconds);
    if (event?.kind === "group") settling.group(at.host, event.cgroup, seconds);
    if (event?.kind === "incident") note([event.incident]);
    return out;
  };
  /** Records that wait for a continuation. */
  const drain = (): OomReport[] =>
    [...sources.values()].flatMap((source) => source.joiner.end().flatMap((joined) => take(source, joined)));

  return {
    notes,
    push(line) {
      const host = line.host;
      const key = line.caller === undefined ? (host ?? "") : `${host ?? ""}\n${line.caller}`;
      const text = line.text.length > MAX_TEXT ? line.text.slice(0, MAX_TEXT) : line.text;
      const known = sources.get(key);
      const busy = known !== undefined && (known.lane.busy || known.joiner.waiting);
      if (!busy && !settling.waiting && !mayMatter(text)) return [];
      const source = sourceOf(key);
      const at: Moment = { time: line.time, monotonic: line.monotonic ?? null, host };
      const seconds = clockOf(source, at);
      const out = settling.idle(host, seconds);
      for (const joined of source.joiner.push(text, at, seconds)) out.push(...take(source, joined));
      return out;
    },
    flush: () => [...drain(), ...settling.take()],
    end() {
      const out = drain();
      for (const source of sources.values()) note(source.lane.end());
      sources.clear();
      return [...out, ...settling.take()];
    },
  };
}
