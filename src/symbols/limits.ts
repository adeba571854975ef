/** Bounds on what an untrusted file or process can make the symbol reader hold or do. Sizes are bytes, times seconds. */
export interface SymbolLimits {
  /** Program headers read of one ELF file. A normal file has 10 to 15. */
  readonly segments: number;
  /** Section headers read of one ELF file. */
  readonly sections: number;
  /** Entries read of one ELF symbol table; what is beyond is ignored. */
  readonly symbols: number;
  /** Longest string table held in memory; a file with a longer one has no symbols. */
  readonly stringTableBytes: number;
  /** Longest `.eh_frame` read of a stripped file; one with a longer one has its addresses shown as they are. */
  readonly unwindBytes: number;
  /** Symbol and string table bytes held for all files together; later files stay `[module]+0x…`. */
  readonly totalBytes: number;
  /** ELF files held open because none of their addresses was asked for yet. */
  readonly openFiles: number;
  /** Lines used of one /proc/PID/maps. The kernel's own default is 65,530 mappings a process. */
  readonly mappings: number;
  /** Processes remembered; the one not seen for longest goes first. */
  readonly processes: number;
  /** Address spaces (before and after exec) remembered of one process. */
  readonly generations: number;
  /** Bytes read of one /tmp/perf-PID.map. */
  readonly perfMapBytes: number;
  /** Entries kept of one perf map. */
  readonly perfMapEntries: number;
  /** Perf map entries kept of all processes together (about 80 bytes each while they are indexed). */
  readonly totalPerfMapEntries: number;
  /** Longest name kept, in bytes; longer ones are cut. */
  readonly nameBytes: number;
  /** Least time between two readings of the same process' maps, and of the same growing perf map. */
  readonly rereadSeconds: number;
  /** How long `notice` waits for a /proc file: a read can hang while the process holds its mmap lock. */
  readonly noticeSeconds: number;
}

export const DEFAULT_LIMITS: SymbolLimits = {
  segments: 512,
  sections: 65_536,
  // 2^21: with 64-bit entries 48 MB of file. The largest binaries met in practice (Chromium with symbols) have 1.2 million.
  symbols: 2_097_152,
  stringTableBytes: 268_435_456,
  // LLVM has 5 MB for 95,000 functions, read in 0.1 s.
  unwindBytes: 67_108_864,
  totalBytes: 536_870_912,
  openFiles: 256,
  mappings: 131_072,
  processes: 16_384,
  generations: 4,
  perfMapBytes: 536_870_912,
  perfMapEntries: 4_194_304,
  totalPerfMapEntries: 8_388_608,
  nameBytes: 4096,
  rereadSeconds: 0.05,
  noticeSeconds: 2,
};
