import { closeSync, openSync, readSync } from "node:fs";

// The bound for every reader of text in Node: read a file a megabyte at a time and find its newlines.
const fd = openSync(process.argv[2] ?? "", "r");
const buffer = Buffer.allocUnsafeSlow(1 << 20);
let lines = 0;
for (let size = readSync(fd, buffer); size > 0; size = readSync(fd, buffer)) {
  const block = buffer.subarray(0, size);
  for (let place = block.indexOf(10); place >= 0; place = block.indexOf(10, place + 1)) lines += 1;
}
closeSync(fd);
process.stdout.write(`${lines} lines\n`);
