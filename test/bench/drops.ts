import { sh } from "../live/support/shell.ts";
import { startTrace } from "../live/support/trace.ts";
import { createWorld, type Host } from "../live/support/world.ts";

const PACKETS = 600_000;
const ROUNDS = 5;
/** Share of the untraced packet rate that `trace drops` has to leave. */
const WANTED = 0.8;

/**
 * One sender as fast as it can; prints packets a second of wall clock, and of its CPU time. The whole path up to the drop runs in the
 * sender's context, so CPU time is what the tracer adds to, and it does not move when something else wants the CPU. perl-base is on every Debian.
 */
const FLOOD = `use Socket; use Time::HiRes 'time'; my ($ip,$n)=@ARGV;
socket(my $s,PF_INET,SOCK_DGRAM,17) or die; connect($s,sockaddr_in(9999,inet_aton($ip))) or die;
my $m='x' x 64; my $t=time; for(my $i=0;$i<$n;$i++){send($s,$m,0)} my ($u,$k)=times; printf "%d %d", $n/(time-$t), $n/($u+$k);`;

/**
 * What `trace drops` costs where it hurts most: one sender floods a namespace whose firewall drops every packet. Rates with and
 * without trace are taken in turns; the median of their ratios counts. Needs root. Returns whether the goal is met and nothing was lost.
 */
export async function benchDrops(print: (line: string) => void): Promise<boolean> {
  await using world = await createWorld();
  await world.server.run("iptables", "-A", "INPUT", "-p", "udp", "-j", "DROP");
  const ratios: number[] = [];
  let isExact = true;
  for (let round = 0; round < ROUNDS; round += 1) {
    const untraced = await flood(world.client, world.server);
    await using run = startTrace(["drops", "--no-profile", "--proto", "udp", "--netns", world.server.netns]);
    await run.ready();
    const traced = await flood(world.client, world.server);
    const { summary } = await run.stop();
    isExact &&= summary["drops"].total + summary["lost"] === PACKETS && summary["lost"] === 0;
    ratios.push(traced.cpu / untraced.cpu);
    print(
      `drops: ${untraced.wall} packets/s untraced, ${traced.wall} traced (${(traced.wall / untraced.wall).toFixed(2)}); ` +
        `per CPU second it keeps ${(traced.cpu / untraced.cpu).toFixed(2)}; counted ${summary["drops"].total} of ${PACKETS}`,
    );
  }
  const median = ratios.toSorted((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? 0;
  print(
    `drops: keeps ${median.toFixed(2)} of the untraced packet rate (median of ${ROUNDS}; wanted ${WANTED})`,
  );
  return isExact && median >= WANTED;
}

async function flood(client: Host, server: Host): Promise<{ wall: number; cpu: number }> {
  const out = await sh(
    "ip",
    "netns",
    "exec",
    client.netns,
    "perl",
    "-e",
    FLOOD,
    server.address,
    String(PACKETS),
  );
  const [wall = 0, cpu = 0] = out.split(" ").map(Number);
  return { wall, cpu };
}
