/** Replication between the tables of one process: messages take a moment, and links can be cut. */
import type { BrokerId } from "@tidemark/ids";
import type { ReplicaId } from "@tidemark/log";
import { iterateBatches, nextOffsetOf } from "@tidemark/record";
import type { BatchRange, ReplicaFetch, ReplicaResponse } from "@tidemark/replication";
import type { ManualTime } from "@tidemark/runtime";
import { noFetches, type ReplicaFetcher, type ReplicaReply } from "../replication/replica-exchange.ts";
import type { PartitionTable } from "../table/partition-table.ts";

export interface InProcessExchange {
  fetcherOf(broker: BrokerId): ReplicaFetcher;
  /** Nothing passes between the two until the result is called. */
  cut(one: BrokerId, other: BrokerId): () => void;
  /** What a follower received, as it was delivered. */
  readonly delivered: { readonly to: BrokerId; readonly response: ReplicaResponse }[];
}

const latencyMs = 1;
const fetchWaitMs = 500;

/** `tables`: those that run, by broker. One that is gone answers nothing. */
export function createInProcessExchange(
  time: ManualTime,
  tables: ReadonlyMap<BrokerId, PartitionTable>,
): InProcessExchange {
  const cuts = new Set<string>();
  const isCut = (one: BrokerId, other: BrokerId) => cuts.has(`${one} ${other}`) || cuts.has(`${other} ${one}`);
  const delivered: { readonly to: BrokerId; readonly response: ReplicaResponse }[] = [];

  /** Runs `receive` at a broker that lives then and can be reached, and in the process that was meant. */
  const send = (from: BrokerId, to: BrokerId, receive: (table: PartitionTable) => void) => {
    const meant = tables.get(to);
    time.scheduler.after(latencyMs, () => {
      const table = tables.get(to);
      if (table !== undefined && table === meant && !isCut(from, to)) receive(table);
    });
  };

  const answer = async (asked: Asked, reply: ReplicaReply): Promise<void> => {
    const { from, to, partition, fetch } = asked;
    const bytes = await bytesOf(reply);
    const content = contentOf(reply, rangesIn(bytes));
    const response: ReplicaResponse = { from: to, leaderEpoch: fetch.leaderEpoch, session: fetch.session, content };
    send(to, from, (table) => {
      delivered.push({ to: from, response });
      table.receiving.response(partition, response, bytes, () => undefined);
    });
  };

  return {
    delivered,
    fetcherOf: (from) => ({
      fetch(to, partition, fetch) {
        const asker = tables.get(from);
        send(from, to, (leader) => {
          leader.serving.fetch(partition, fetch, time.clock.monotonicMs() + fetchWaitMs, (reply) => {
            if (tables.get(from) !== asker) return;
            answer({ from, to, partition, fetch }, reply).catch(() => undefined);
          });
        });
      },
      flushed(to, partition, report, fetchedIn = noFetches) {
        send(from, to, (leader) => {
          leader.serving.flushed(partition, report, fetchedIn);
        });
      },
    }),
    cut(one, other) {
      const name = `${one} ${other}`;
      cuts.add(name);
      return () => {
        cuts.delete(name);
      };
    },
  };
}

interface Asked {
  readonly from: BrokerId;
  readonly to: BrokerId;
  readonly partition: ReplicaId;
  readonly fetch: ReplicaFetch;
}

async function bytesOf(reply: ReplicaReply): Promise<Uint8Array> {
  if (reply.kind !== "records" || reply.read === undefined) return new Uint8Array();
  return Buffer.concat((await reply.read(64 * 1024)).batches);
}

function rangesIn(bytes: Uint8Array): readonly BatchRange[] {
  const ranges: BatchRange[] = [];
  for (const step of iterateBatches(bytes)) {
    if (step.kind !== "ok") break;
    const { baseOffset, leaderEpoch } = step.header;
    ranges.push({ baseOffset, endOffset: nextOffsetOf(step.header), leaderEpoch });
  }
  return ranges;
}

function contentOf(reply: ReplicaReply, batches: readonly BatchRange[]): ReplicaResponse["content"] {
  switch (reply.kind) {
    case "records":
      return { kind: "records", batches, highWatermark: reply.highWatermark, logStart: reply.logStart };
    case "diverging":
    case "behindLogStart":
      return reply;
    case "refused":
      return { kind: "refused", reason: reply.reason };
  }
}
