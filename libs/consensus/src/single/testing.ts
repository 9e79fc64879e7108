/** What the tests of the single-node backend have in common. */
import { crc32c } from "@tidemark/compression";
import type { Disk } from "@tidemark/disk";
import { type ControllerEpoch, controllerId, directoryId } from "@tidemark/ids";
import { createNodeRuntime } from "@tidemark/runtime";
import { fromUtf8, utf8 } from "../bytes.ts";
import type { AppendOutcome, CandidateIdentity, Change, Consensus } from "../consensus.ts";
import type { ConsensusEvent } from "../events.ts";
import { openSingleStore, type SingleStore, type SingleStoreOptions } from "./open.ts";

export const directory = "/data/metadata";
export const path = `${directory}/metadata.log`;
const runtime = createNodeRuntime();

/** A process on the disk: its store, its one candidate that leads, and what they reported. */
export interface Controller {
  readonly store: SingleStore;
  readonly consensus: Consensus;
  readonly epoch: ControllerEpoch;
  readonly events: readonly ConsensusEvent[];
  append(key: string, value: string): Promise<AppendOutcome>;
  /** The tree as its watch has it after a barrier. */
  tree(): Promise<ReadonlyMap<string, string>>;
  close(): Promise<void>;
}

export function openOn(disk: Disk, options: Partial<SingleStoreOptions> = {}): Promise<SingleStore> {
  return openSingleStore({ disk, directory, crc32c, runtime, ...options });
}

export async function startController(disk: Disk, options: Partial<SingleStoreOptions> = {}): Promise<Controller> {
  const events: ConsensusEvent[] = [];
  const store = await openOn(disk, { onEvent: (event) => events.push(event), ...options });
  const consensus = store.candidate();
  await consensus.join(identity(1));
  const epoch = await leadingEpoch(consensus);
  return {
    store,
    consensus,
    epoch,
    events,
    append: (key, value) => consensus.append(epoch, [put(key, value)]),
    tree: () => treeOf(consensus),
    async close() {
      await consensus.close();
      await store.close();
    },
  };
}

export function identity(id: number): CandidateIdentity {
  return {
    controllerId: controllerId(id),
    directoryId: directoryId(`00000000-0000-4000-8000-00000000000${id}`),
    endpoint: `controller-${id}.test:4650`,
  };
}

export function put(key: string, value: string): Change {
  return { kind: "put", key, value: utf8(value) };
}

async function leadingEpoch(consensus: Consensus): Promise<ControllerEpoch> {
  for await (const belief of consensus.leadership()) if (belief.kind === "leading") return belief.epoch;
  throw new Error("The candidate was closed before it led");
}

async function treeOf(consensus: Consensus): Promise<ReadonlyMap<string, string>> {
  const stop = new AbortController();
  await consensus.sync(stop.signal);
  for await (const event of consensus.watch(stop.signal)) {
    if (event.kind === "snapshot") return new Map([...event.entries].map(([key, value]) => [key, fromUtf8(value)]));
  }
  throw new Error("The watch ended");
}
