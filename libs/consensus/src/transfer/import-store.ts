/**
 * Brings exported metadata into an empty store. `/import` is in the first batch and names the export, and the last batch
 * takes it away and writes `/cluster`: no controller acts before, and an import that broke off can be begun again. The
 * first batch also moves `/append`: what a controller, or an import before this one, had on its way is refused from then
 * on, however late it arrives (C5).
 */
import { controllerEpoch } from "@tidemark/ids";
import { createDeferred, type Random, randomUuid } from "@tidemark/runtime";
import { bytesOfBatch } from "../batch.ts";
import { utf8 } from "../bytes.ts";
import { appendKey, controllerEpochKey } from "../candidate/store-keys.ts";
import { limits } from "../limits.ts";
import { decodeAppend, decodeControllerEpoch, encodeAppend, encodeControllerEpoch } from "../records.ts";
import type { StoreChange, StoredValue, StoreLink, StoreSession } from "../store/store-link.ts";
import { isStoreKey } from "../store-key.ts";
import type { MetadataExport } from "./metadata-export.ts";

const importKey = "/import";

/**
 * | code              | cause                                                                          |
 * |-------------------|--------------------------------------------------------------------------------|
 * | NOT_EMPTY         | the store holds metadata, or an import of another file                         |
 * | CONTROLLERS_ALIVE | controllers run on the store                                                   |
 * | NOT_WRITTEN       | the store refused, or a controller or another import came between              |
 */
export type ImportErrorCode = "NOT_EMPTY" | "CONTROLLERS_ALIVE" | "NOT_WRITTEN";

export class ImportError extends Error {
  readonly code: ImportErrorCode;

  constructor(code: ImportErrorCode, message: string) {
    super(message);
    this.name = "ImportError";
    this.code = code;
  }
}

export interface ImportOptions {
  /** The controller epoch is this at the least; one above the exported one otherwise. A backup adds a million. */
  readonly epochFloor: number;
  /** What tells the fence of this import from any other's. */
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** What was brought in. */
export interface Imported {
  readonly keys: number;
  readonly batches: number;
  readonly controllerEpoch: number;
}

/** A restored backup may lack epochs that brokers have seen: it begins far above them. */
const backupEpochs = 1_000_000;

/**
 * What a store holds behind the import, and nothing else: for a store that is made with it. The controller epoch is
 * above every one that brokers can have seen.
 */
export function importedContent(
  exported: MetadataExport,
  epochFloor: number,
): { readonly entries: ReadonlyMap<string, Uint8Array>; readonly controllerEpoch: number } {
  const epoch = Math.max(exported.controllerEpoch + (exported.sealed ? 1 : backupEpochs), epochFloor);
  const entries = new Map([...exported.entries, ["/controller_epoch", encodeControllerEpoch(controllerEpoch(epoch))]]);
  const given = entries.get(producerIdsKey);
  if (exported.sealed) return { entries, controllerEpoch: epoch };
  if (given !== undefined) entries.set(producerIdsKey, aboveGivenIds(given));
  for (const [key, value] of exported.entries) {
    if (key.startsWith(knownBrokerKeys)) entries.set(key, aboveGivenEpochs(value));
  }
  return { entries, controllerEpoch: epoch };
}

const producerIdsKey = "/producers/next";
const knownBrokerKeys = "/brokers/known/";

/** A backup may lack blocks of producer ids that were given out behind it; there are 2^63 ids. */
const backupProducerIds = 2n ** 40n;

/**
 * An id that is given out again would be taken for its first owner: records of the second one would be answered as stored
 * that are not. What cannot be read stays as it is, for a controller to report.
 */
function aboveGivenIds(value: Uint8Array): Uint8Array {
  try {
    const record = JSON.parse(new TextDecoder().decode(value)) as { readonly nextProducerId?: string };
    const next = BigInt(record.nextProducerId ?? 0) + backupProducerIds;
    return utf8(JSON.stringify({ ...record, nextProducerId: next.toString() }));
  } catch {
    return value;
  }
}

/**
 * Brokers may have registered again behind the backup. A leader that heard a follower in a later broker epoch takes nothing
 * of it in an earlier one, and a follower that has a later one goes on with it, in which the controller lets it join no ISR
 * (R10): so the next registration begins above all of them. What cannot be read stays as it is here too.
 */
function aboveGivenEpochs(value: Uint8Array): Uint8Array {
  try {
    const record = JSON.parse(new TextDecoder().decode(value)) as { readonly brokerEpoch?: number };
    const given = record.brokerEpoch ?? 0;
    return Number.isInteger(given) ? utf8(JSON.stringify({ ...record, brokerEpoch: given + backupEpochs })) : value;
  } catch {
    return value;
  }
}

/** Throws ImportError; LinkLostError where the store was lost over it: import again then. */
export async function importStore(
  link: StoreLink,
  exported: MetadataExport & { readonly checksum: string },
  { epochFloor, random, signal }: ImportOptions,
): Promise<Imported> {
  const snapshot = createDeferred<ReadonlyMap<string, StoredValue>>();
  const session = await link.connect(
    undefined,
    {
      onFeed: (feed) => {
        if (feed.kind === "snapshot") snapshot.resolve(feed.entries);
      },
      onLost: () => {},
      onFailed: () => {},
    },
    signal,
  );
  try {
    return await write(session, exported, { found: await snapshot.promise, epochFloor, random });
  } finally {
    await session.close();
  }
}

async function write(
  session: StoreSession,
  exported: MetadataExport & { readonly checksum: string },
  {
    found,
    epochFloor,
    random,
  }: {
    readonly found: ReadonlyMap<string, StoredValue>;
    readonly epochFloor: number;
    readonly random: Random;
  },
): Promise<Imported> {
  const marker = utf8(exported.checksum);
  const begun = found.get(importKey)?.value;
  refuseOccupied(found, begun !== undefined && Buffer.compare(begun, marker) === 0);
  const { entries, controllerEpoch: epoch } = importedContent(exported, Math.max(epochFloor, highestEpoch(found)));
  const fence = encodeAppend({ epoch: controllerEpoch(epoch), sequence: 0n, attempt: randomUuid(random) });
  const put = (key: string, value: Uint8Array): StoreChange => ({ kind: "put", key, value });
  const last = new Set(["/cluster", "/controller_epoch"]);
  // Known brokers come with the mark: a controller that finds them and no cluster founds none.
  const first = [...entries].filter(([key]) => key.startsWith(knownBrokerKeys));
  const others = [...entries].filter(([key]) => !last.has(key) && !key.startsWith(knownBrokerKeys));
  const changes = [...first, ...others].map(([key, value]) => put(key, value));
  const batches = inBatches([put(importKey, marker), put(appendKey, fence), ...changes]);
  const before = { mark: begun, fence: found.get(appendKey)?.value };
  for (const [at, batch] of batches.entries()) {
    await commit(session, at === 0 ? before : { mark: marker, fence }, batch);
  }
  const ending = [...entries].filter(([key]) => last.has(key)).map(([key, value]) => put(key, value));
  await commit(session, { mark: marker, fence }, [...ending, { kind: "delete", key: importKey }]);
  return { keys: exported.entries.size, batches: batches.length + 1, controllerEpoch: epoch };
}

/** Whoever claims to lead meanwhile writes the fence: no controller and no import work on one store. */
async function commit(
  session: StoreSession,
  expected: { readonly mark: Uint8Array | undefined; readonly fence: Uint8Array | undefined },
  changes: readonly StoreChange[],
): Promise<void> {
  const guards = [
    { key: importKey, value: expected.mark },
    { key: appendKey, value: expected.fence },
  ];
  const answer = await session.request({ guards, batches: [changes] });
  if (answer.kind === "committed") return;
  const why = "message" in answer ? answer.message : "a controller was started on this store, or another import was";
  throw new ImportError("NOT_WRITTEN", `The import stopped: ${why}. It can be begun again with the same file.`);
}

/** Of a controller that ran here before, or of an import that broke off: the store's epochs never go back. 0: none. */
function highestEpoch(found: ReadonlyMap<string, StoredValue>): number {
  const fence = found.get(appendKey)?.value;
  const epoch = found.get(controllerEpochKey)?.value;
  return Math.max(
    (fence === undefined ? undefined : decodeAppend(fence)?.epoch) ?? 0,
    (epoch === undefined ? undefined : decodeControllerEpoch(epoch)) ?? 0,
  );
}

function refuseOccupied(found: ReadonlyMap<string, StoredValue>, isSameImport: boolean): void {
  if ([...found].some(([key, { held }]) => held && isStoreKey(key))) {
    throw new ImportError("CONTROLLERS_ALIVE", "Controllers run on this store. Stop them, then import.");
  }
  const kept = [...found.keys()].filter((key) => !isStoreKey(key));
  if (kept.length === 0 || isSameImport) return;
  const what = found.has(importKey) ? "an import of another file" : `${kept.length} keys`;
  throw new ImportError("NOT_EMPTY", `The store holds ${what}. Import into an empty one, or under another prefix.`);
}

/** As many changes in each as a batch may have. */
function inBatches(changes: readonly StoreChange[]): readonly (readonly StoreChange[])[] {
  const batches: StoreChange[][] = [];
  let bytes = 0;
  for (const change of changes) {
    const size = bytesOfBatch([change]);
    const last = batches.at(-1);
    if (last === undefined || last.length >= limits.batchChangesMax || bytes + size > limits.batchBytesMax) {
      batches.push([change]);
      bytes = size;
    } else {
      last.push(change);
      bytes += size;
    }
  }
  return batches;
}
