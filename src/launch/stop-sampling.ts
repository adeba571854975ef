import { runTool } from "./tool.ts";

/**
 * Node cannot make these calls; perl-base is part of every Debian. Numbers: pidfd_open(2) and pidfd_getfd(2) are the same on every
 * architecture that Node runs on, the requests PERF_EVENT_IOC_QUERY_BPF and _DISABLE (include/uapi/linux/perf_event.h) on x86, ARM, s390x and RISC-V.
 * Only events of tracepoints answer the query: those that take samples (`profile:`, `interval:`) are left alone.
 */
const SCRIPT = `
my ($pid) = @ARGV;
my $process = syscall(434, $pid + 0, 0);
exit 1 if $process < 0;
opendir(my $folder, "/proc/$pid/fd") or exit 1;
my $count = 0;
for my $fd (readdir $folder) {
  next unless (readlink("/proc/$pid/fd/$fd") // "") eq "anon_inode:[perf_event]";
  my $copy = syscall(438, $process, $fd + 0, 0);
  next if $copy < 0;
  open(my $event, "<&=", $copy) or next;
  my $query = pack("LL", 0, 0);
  next unless defined ioctl($event, 0xc008240a, $query);
  $count++ if defined ioctl($event, 0x2401, 0);
}
print $count;
`;

/**
 * Stops the samples that a bpftrace takes of its tracepoints beside running its programs. bpftrace up to 0.23 opens a perf event for each on CPU 0
 * that samples every hit with its call chain (libbcc, bpf_attach_tracing_event), into a buffer that does not exist. The programs do
 * not need it to be enabled: they run from the tracepoint's list on every CPU (kernel/trace/bpf_trace.c, trace_call_bpf; seen on 6.18). In a
 * flood on CPU 0 that is a tenth of the packet rate. Gives how many were stopped, null where that cannot be done: then it only costs time. Never rejects.
 */
export async function stopSampling(pid: number | null): Promise<number | null> {
  if (pid === null) return null;
  const outcome = await runTool("perl", ["-e", SCRIPT, String(pid)], { timeout: 1 });
  return outcome.ok && /^\d+$/.test(outcome.stdout) ? Number(outcome.stdout) : null;
}
