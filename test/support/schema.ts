import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Ajv, type ErrorObject } from "ajv";

const ROOT = join(import.meta.dirname, "..", "..");
const COMMON = "https://trace-ebpf.invalid/records/common.json";

/** Checks NDJSON records of a command against the schemas that ship: the probe's own definition of a type, else the common one. */
export async function createRecordCheck(
  command: string,
): Promise<(record: { readonly type: string }) => ErrorObject[]> {
  const ajv = new Ajv({ allErrors: true, strict: false });
  const common = JSON.parse(await readFile(join(ROOT, "src/session/records.schema.json"), "utf8")) as {
    definitions: object;
  };
  ajv.addSchema(common);
  const path = join(ROOT, "probes", command, "records.schema.json");
  const own = existsSync(path)
    ? (JSON.parse(await readFile(path, "utf8")) as { $id: string; definitions: object })
    : null;
  if (own !== null) ajv.addSchema(own);
  return (record) => {
    const id = own !== null && Object.hasOwn(own.definitions, record.type) ? own.$id : COMMON;
    if (id === COMMON && !Object.hasOwn(common.definitions, record.type)) return [];
    const validate = ajv.getSchema(`${id}#/definitions/${record.type}`);
    if (validate === undefined) throw new Error(`no schema for ${record.type}`);
    return validate(record) === true ? [] : (validate.errors ?? []);
  };
}
