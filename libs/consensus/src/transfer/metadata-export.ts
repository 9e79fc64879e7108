/**
 * The metadata of a cluster as a file: what `tidemark metadata export` writes and `import` reads.
 *
 * The first line is JSON about the whole: format, cluster id, revision, controller epoch, whether the store was sealed,
 * how many keys follow, and the SHA-256 of the lines behind it. Each of those is one key: {"key":...,"text":...}, or
 * "base64" where the value is no text. In the order of the keys, so that two exports can be compared.
 */
import { createHash } from "node:crypto";
import { type ControllerEpoch, controllerEpoch, type Revision, revision } from "@tidemark/ids";
import { fromUtf8, utf8 } from "../bytes.ts";

/** The version of the file that this code reads and writes. */
const format = 1;

export interface MetadataExport {
  readonly clusterId: string;
  readonly revision: Revision;
  readonly controllerEpoch: ControllerEpoch;
  /** The store takes nothing more: nothing that it acknowledged is missing here. Otherwise this is a backup. */
  readonly sealed: boolean;
  /** Without the keys that a store writes itself, and with `/cluster` as it was before the seal. */
  readonly entries: ReadonlyMap<string, Uint8Array>;
}

/** Why a file is no export. */
export class ExportFileError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ExportFileError";
  }
}

export function formatExport(exported: MetadataExport): string {
  const lines = [...exported.entries]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, value]) => `${JSON.stringify({ key, ...formatValue(value) })}\n`)
    .join("");
  const head = {
    format,
    clusterId: exported.clusterId,
    revision: String(exported.revision),
    controllerEpoch: exported.controllerEpoch,
    sealed: exported.sealed,
    keys: exported.entries.size,
    sha256: checksumOf(lines),
  };
  return `${JSON.stringify(head)}\n${lines}`;
}

/** Throws ExportFileError on what is damaged, cut off, or of a newer version. */
export function parseExport(text: string): MetadataExport & { readonly checksum: string } {
  const end = text.indexOf("\n");
  const head = parseLine(end === -1 ? text : text.slice(0, end)) as Readonly<Record<string, unknown>>;
  if (typeof head.format !== "number") throw new ExportFileError("The file is no export of metadata.");
  if (head.format > format) {
    throw new ExportFileError(`The file has the format ${head.format}, and this version knows ${format} at most.`);
  }
  const lines = end === -1 ? "" : text.slice(end + 1);
  const checksum = checksumOf(lines);
  if (head.sha256 !== checksum) throw new ExportFileError("The file is damaged or cut off: its checksum does not fit.");
  const entries = new Map(lines.split("\n").flatMap((line) => (line === "" ? [] : [parseEntry(line)])));
  return {
    clusterId: String(head.clusterId),
    revision: revision(BigInt(String(head.revision))),
    controllerEpoch: controllerEpoch(Number(head.controllerEpoch)),
    sealed: head.sealed === true,
    entries,
    checksum,
  };
}

function formatValue(value: Uint8Array): { readonly text: string } | { readonly base64: string } {
  try {
    return { text: fromUtf8(value) };
  } catch {
    return { base64: Buffer.from(value).toString("base64") };
  }
}

function parseEntry(line: string): [string, Uint8Array] {
  const { key, text, base64 } = parseLine(line) as Readonly<Record<string, unknown>>;
  if (typeof key !== "string") throw new ExportFileError("A line of the file names no key.");
  if (typeof text === "string") return [key, utf8(text)];
  return [key, Uint8Array.from(Buffer.from(String(base64), "base64"))];
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new ExportFileError("The file is no export of metadata.", { cause: error });
  }
}

function checksumOf(lines: string): string {
  return createHash("sha256").update(lines).digest("hex");
}
