import { parentPort, workerData } from "node:worker_threads";
import { listTransfers, readPart, type PartRequest } from "./part.ts";

// The other thread of `readInParts`: reads its part and hands it over.
// oxlint-disable-next-line typescript/no-unsafe-assignment -- readInParts is the only one that starts this
const request: PartRequest = workerData;
const part = await readPart(request);
parentPort?.postMessage(part, listTransfers(part));
