/** What becomes of batches that a leader records, on a follower. Costs nothing while there is none. */
import type { Offset } from "@tidemark/ids";
import type { PartitionInput } from "@tidemark/replication";
import { addFetches, noFetches } from "../replication/replica-exchange.ts";
import type { Received, ReplicaState } from "./replica-state.ts";
import type { FlushedEvent, WrittenEvent } from "./timeline.ts";

/** What is waited for at most: beyond it spans are missing, and nothing else. */
const fetchedMax = 64;

/** Takes note of an answer that is being appended. */
export function noteFetched(replica: ReplicaState, input: PartitionInput, received: Received): void {
  const { traces = [] } = received;
  if (traces.length === 0 || input.kind !== "replicaResponse" || replica.fetched.length >= fetchedMax) return;
  const { from, content } = input.response;
  if (content.kind !== "records") return;
  const [first, last] = [content.batches[0], content.batches.at(-1)];
  if (first === undefined || last === undefined) return;
  const upTo = last.endOffset;
  const whole = traces.filter(({ endOffset }) => endOffset <= upTo);
  if (whole.length === 0) return;
  const bytes = received.bytes.length;
  const receivedMs = input.nowMs;
  replica.fetched.push({
    from: first.baseOffset,
    upTo,
    leader: from,
    bytes,
    receivedMs,
    written: undefined,
    traces: whole,
  });
}

export function noteFetchedWritten({ fetched }: ReplicaState, event: WrittenEvent, nowMs: number): void {
  for (const each of fetched) if (each.upTo <= event.upTo) each.written ??= { atMs: nowMs, group: event.group };
}

/** The next report to the leader names the spans of what it reports. */
export function noteFetchedFlushed(
  replica: ReplicaState,
  { upTo: flushed, syncMs }: FlushedEvent,
  nowMs: number,
): void {
  const { fetched, shared, place } = replica;
  if (fetched.length === 0) return;
  replica.fetched = fetched.filter(({ upTo }) => upTo > flushed);
  for (const each of fetched) {
    if (each.upTo > flushed) continue;
    const traceparent = shared.onFetched(place, each, { atMs: nowMs, syncMs });
    if (traceparent === undefined) continue;
    replica.fetchedIn = addFetches(replica.fetchedIn, [{ traceparent, startOffset: each.from, endOffset: each.upTo }]);
  }
}

/** A cut: what was to be flushed may be gone, and other batches come at offsets that were reported. */
export function forgetFetched(replica: ReplicaState): void {
  if (replica.fetched.length > 0) replica.fetched = [];
  replica.fetchedIn = noFetches;
}

/** The log did not take what came from there on: it is fetched again. */
export function forgetTakenBack(replica: ReplicaState, from: Offset): void {
  if (replica.fetched.length > 0) replica.fetched = replica.fetched.filter(({ upTo }) => upTo <= from);
}
