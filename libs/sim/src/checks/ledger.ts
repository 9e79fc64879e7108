import type { AllowedLosses } from "./losses.ts";
import type { Violations } from "./violations.ts";

/** One record that a producer of the workload gave away. */
export interface Sent {
  /** What its value begins with. */
  readonly id: string;
  readonly producer: string;
  /** It has a producer id: however often it is sent, it stands once and in its place (P11). */
  readonly isIdempotent: boolean;
  readonly topic: string;
  readonly partition: number;
  /** Counts the records of its producer in this partition, from 0. */
  readonly sequence: number;
  readonly value: Uint8Array;
  /** How it ended. Undefined while that is not known. */
  outcome: "acknowledged" | "notApplied" | "unknown" | undefined;
  /** As the ack named it. */
  offset: bigint | undefined;
}

/** What is known of one offset. */
interface Seen {
  readonly id: string;
  readonly leaderEpoch: number | undefined;
}

interface PartitionHistory {
  readonly sent: Map<string, Sent>;
  /** By offset: what a consumer was given, or an ack named. */
  readonly seen: Map<bigint, Seen>;
  /** Where each record of an idempotent producer stands. */
  readonly standsAt: Map<string, bigint>;
  /** First offset behind all that a consumer was given. */
  seenEnd: bigint;
  /** What is broken unless an unclean election cut this offset, which its receipt will say (P5). */
  readonly suspects: Suspect[];
}

interface Suspect {
  readonly offset: bigint;
  readonly rule: string;
  readonly text: string;
  readonly claim: Claim;
}

/**
 * What is said of an offset. At: what stood there is gone. From: something is gone that stood there or above, nobody
 * knows where. Told: nothing is gone yet, but a consumer was told that it was.
 */
type Claim = "at" | "from" | "told";

/**
 * The history of a run, as its clients saw it, and the checks that need nothing else:
 *
 * - an offset never names two records to anyone (P8), and what was read stays there (P10);
 * - a consumer is given every offset, in order, once (P10), below the high watermark of the same answer (P9);
 * - what was called not applied is never seen (P12);
 * - nothing is read that nobody sent, nor other bytes;
 * - at the end: what was acknowledged is read at the offset that its ack named (P1), and acknowledged records of a
 *   producer stand in the order in which it gave them;
 * - a record of an idempotent producer stands at one offset, whatever its producer was told; at the end all of them stand
 *   in the order in which they were given (P11).
 */
export interface Ledger {
  send(sent: Omit<Sent, "outcome" | "offset">): Sent;
  settled(sent: Sent, outcome: NonNullable<Sent["outcome"]>, offset: bigint | undefined): void;
  /** A consumer was told that what it was given of these offsets was cut. */
  truncated(topic: string, partition: number, cut: { readonly from: bigint; readonly to: bigint }): void;
  /** A consumer was given a record. */
  read(topic: string, partition: number, record: ReadRecord): void;
  /** `read` names every record of a partition from its beginning, as found at the end of the run. */
  checkFinal(topic: string, partition: number, read: ReadonlyMap<bigint, Uint8Array>): void;
  /** `held` names the records of a partition that any disk holds, where nobody can be asked for them (P1). */
  checkHeld(topic: string, partition: number, held: ReadonlySet<string>): void;
  readonly counts: LedgerCounts;
}

export interface ReadRecord {
  readonly offset: bigint;
  readonly value: Uint8Array;
  readonly highWatermark: bigint;
}

export interface LedgerCounts {
  readonly sent: number;
  readonly acknowledged: number;
  readonly notApplied: number;
  readonly unknown: number;
  readonly read: number;
}

/** A broken rule, and where. */
type Finding = readonly [rule: string, text: string];

const decoder = new TextDecoder();

/** The id at the beginning of a value. Undefined where there is none. */
export function idOf(value: Uint8Array): string | undefined {
  const end = value.indexOf(0x7c);
  return end < 0 ? undefined : decoder.decode(value.subarray(0, end));
}

const nothingIsLost: AllowedLosses = {
  mayLose: () => false,
  isCut: () => false,
  isCutFrom: () => false,
  mayBeToldCut: () => false,
};

/** `losses`: what unclean elections may take away. Absent: nothing. */
export function createLedger(violations: Violations, losses: AllowedLosses = nothingIsLost): Ledger {
  const { report } = violations;
  const partitions = new Map<string, PartitionHistory>();
  const counts = { sent: 0, acknowledged: 0, notApplied: 0, unknown: 0, read: 0 };

  const historyOf = (topic: string, partition: number): PartitionHistory => {
    const key = `${topic}-${partition}`;
    const known = partitions.get(key) ?? {
      sent: new Map(),
      seen: new Map(),
      standsAt: new Map(),
      seenEnd: 0n,
      suspects: [],
    };
    partitions.set(key, known);
    return known;
  };
  /** Something is gone from an offset, which is broken at once unless an unclean election may have cut it. */
  const gone = (
    of: { readonly topic: string; readonly partition: number },
    offset: bigint,
    [rule, text]: Finding,
    claim: Claim = "at",
  ) => {
    if (losses.mayLose(of.topic)) historyOf(of.topic, of.partition).suspects.push({ offset, rule, text, claim });
    else report(rule, text);
  };
  /** Notes what stands at an offset. */
  const note = (of: Sent, offset: bigint, id: string) => {
    const { seen, standsAt } = historyOf(of.topic, of.partition);
    const stands = standsAt.get(id) ?? offset;
    if (of.isIdempotent) standsAt.set(id, offset);
    if (stands !== offset) {
      const text = `${of.topic}-${of.partition}: ${id} at ${stands} and at ${offset}`;
      gone(of, stands, ["a record of an idempotent producer stands twice", text]);
    }
    const before = seen.get(offset)?.id ?? id;
    seen.set(offset, { id, leaderEpoch: undefined });
    if (before !== id) {
      const text = `${of.topic}-${of.partition} offset ${offset}: first ${before}, then ${id}`;
      gone(of, offset, ["an offset names two records", text]);
    }
  };
  const identify = (topic: string, partition: number, offset: bigint, value: Uint8Array): Sent | undefined => {
    const id = idOf(value);
    const sent = id === undefined ? undefined : historyOf(topic, partition).sent.get(id);
    const where = () => `${topic}-${partition} offset ${offset}`;
    if (sent === undefined) {
      report("a record was read that nobody sent", `${where()}: ${id ?? "without id"}, ${value.length} bytes`);
    } else if (!sameBytes(sent.value, value)) {
      report("a record was read with other bytes", `${where()}: ${sent.id}`);
    } else if (sent.outcome === "notApplied") {
      report("a record was read that was called not applied", `${where()}: ${sent.id}`);
    }
    return sent;
  };

  return {
    counts,
    send(given) {
      const sent: Sent = { ...given, outcome: undefined, offset: undefined };
      historyOf(sent.topic, sent.partition).sent.set(sent.id, sent);
      counts.sent += 1;
      return sent;
    },
    settled(sent, outcome, offset) {
      sent.outcome = outcome;
      sent.offset = offset;
      counts[outcome] += 1;
      if (outcome === "acknowledged" && offset !== undefined) note(sent, offset, sent.id);
    },
    read(topic, partition, { offset, value, highWatermark }) {
      counts.read += 1;
      if (offset >= highWatermark) {
        report(
          "a record was served at or above the high watermark",
          `${topic}-${partition} offset ${offset}, high watermark ${highWatermark}`,
        );
      }
      const sent = identify(topic, partition, offset, value);
      if (sent !== undefined) note(sent, offset, sent.id);
      const history = historyOf(topic, partition);
      if (offset >= history.seenEnd) history.seenEnd = offset + 1n;
    },
    truncated(topic, partition, { from, to }) {
      const text = `${topic}-${partition}: from ${from} to ${to}`;
      for (let offset = from; offset < to; offset++) {
        gone({ topic, partition }, offset, ["a consumer was told of a cut", `${text}, offset ${offset}`], "told");
      }
    },
    checkFinal(topic, partition, read) {
      const { sent, seen, seenEnd, standsAt, suspects } = historyOf(topic, partition);
      const where = `${topic}-${partition}`;
      const of = { topic, partition };
      const placed: { readonly record: Sent; readonly offset: bigint }[] = [];
      for (const [offset, value] of read) {
        const record = identify(topic, partition, offset, value);
        if (record === undefined) continue;
        note(record, offset, record.id);
        placed.push({ record, offset });
      }
      /** Behind the last record that its producer gave before it and that is there. */
      const placeBefore = ({ producer, sequence }: Sent) =>
        placed
          .filter(({ record }) => record.producer === producer && record.sequence < sequence)
          .reduce((place, { offset }) => (offset < place ? place : offset + 1n), 0n);
      for (const record of sent.values()) {
        if (record.outcome !== "acknowledged") continue;
        // What was stored long ago is acknowledged without its offset.
        const offset = record.offset ?? standsAt.get(record.id);
        if (offset !== undefined && read.has(offset)) continue;
        const finding = [
          "an acknowledged record was lost",
          `${where} offset ${offset ?? "unknown"}: ${record.id}`,
        ] as const;
        if (offset === undefined) gone(of, placeBefore(record), finding, "from");
        else gone(of, offset, finding);
      }
      for (const [offset, { id }] of seen) {
        if (!read.has(offset)) gone(of, offset, ["a record that was read is gone", `${where} offset ${offset}: ${id}`]);
      }
      for (let offset = BigInt(read.size); offset < seenEnd; offset++) {
        gone(of, offset, ["the log ends below what was read", `${where}: ${read.size} < ${seenEnd}`]);
      }
      const stands = ({ id, ...record }: Sent) => {
        const value = read.get(standsAt.get(id) ?? record.offset ?? -1n);
        return value !== undefined && idOf(value) === id;
      };
      const inOrder = [...sent.values()].filter((record) => !losses.mayLose(topic) || stands(record));
      checkOrder(where, inOrder, { standsAt, report });
      const isAllowed = ({ offset, claim }: Suspect) => {
        if (claim === "told") return losses.mayBeToldCut(topic, partition, offset);
        return claim === "at" ? losses.isCut(topic, partition, offset) : losses.isCutFrom(topic, partition, offset);
      };
      for (const suspect of suspects) {
        const { rule, text } = suspect;
        if (!isAllowed(suspect)) report(rule, `${text}; no receipt says that it was cut`);
      }
    },
    checkHeld(topic, partition, held) {
      if (losses.mayLose(topic)) return;
      const sent = [...historyOf(topic, partition).sent.values()];
      const [first, ...more] = sent.filter(({ id, outcome }) => outcome === "acknowledged" && !held.has(id));
      if (first === undefined) return;
      const where = `${topic}-${partition} offset ${first.offset ?? "unknown"}`;
      report("an acknowledged record was lost", `${where}: ${first.id} and ${more.length} more are on no disk`);
    },
  };
}

/** Records of one producer have offsets that rise as it gave them: all of an idempotent one, else those acknowledged. */
function checkOrder(
  where: string,
  sent: readonly Sent[],
  of: { readonly standsAt: ReadonlyMap<string, bigint>; readonly report: Violations["report"] },
): void {
  const last = new Map<string, { readonly id: string; readonly offset: bigint }>();
  for (const { id, producer, ...record } of sent.toSorted((left, right) => left.sequence - right.sequence)) {
    const offset = record.isIdempotent ? of.standsAt.get(id) : record.offset;
    if (offset === undefined || (!record.isIdempotent && record.outcome !== "acknowledged")) continue;
    const before = last.get(producer);
    if (before !== undefined && before.offset >= offset) {
      of.report(
        "a producer's records stand in another order",
        `${where}: ${before.id} at ${before.offset}, ${id} at ${offset}`,
      );
    }
    last.set(producer, { id, offset });
  }
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
