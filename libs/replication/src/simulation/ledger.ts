/**
 * What is committed, whoever says so: the record that the invariants compare everything with. It grows with the high
 * watermark of whichever leader goes furthest, and never changes (P8).
 */
import type { BrokerId, LeaderEpoch, Offset } from "@tidemark/ids";
import { checkProgress, checkReplica, checkState, checkSuccession } from "../invariants.ts";
import type { Answer } from "../outputs.ts";
import type { PartitionState } from "../partition-state.ts";
import type { LeadershipView, PartitionView } from "../view.ts";
import type { SimulatedBatch, SimulatedLog } from "./simulated-log.ts";
import type { Cluster, Request, SimulatedBroker } from "./world.ts";

export interface Ledger {
  /** Compares every replica with what must hold; throws what is broken. After every step. */
  check(cluster: Cluster): void;
  /** Compares an answer with what is committed; throws what is broken. */
  answered(cluster: Cluster, broker: SimulatedBroker, answer: Answer, request: Request): void;
  /** One above the last committed offset. */
  end(): Offset;
  /** One above the last offset that was acknowledged with acks=all. */
  ackedEnd(): Offset;
  /** How many acks=all were given. */
  acked(): number;
}

interface Book {
  readonly committed: SimulatedBatch[];
  readonly byOffset: Map<Offset, SimulatedBatch>;
  readonly leaders: Map<LeaderEpoch, BrokerId>;
  readonly views: Map<BrokerId, { readonly run: number; readonly view: PartitionView }>;
  state: PartitionState | undefined;
  /** The highest log start that a leader had. */
  logStart: Offset;
  ackedEnd: Offset;
  acked: number;
  /** The sequence that comes next in the newest producer epoch of each producer. */
  readonly producers: Map<bigint, { readonly epoch: number; readonly next: number }>;
  /** Where each producer's batch is committed, by its value. */
  readonly offsetOf: Map<number, Offset>;
}

export function createLedger(): Ledger {
  const zero = 0n as Offset;
  const book: Book = {
    committed: [],
    byOffset: new Map(),
    leaders: new Map(),
    views: new Map(),
    state: undefined,
    logStart: zero,
    ackedEnd: zero,
    acked: 0,
    producers: new Map(),
    offsetOf: new Map(),
  };
  return {
    check: (cluster) => {
      checkViews(book, cluster);
      checkController(book, cluster);
    },
    answered: (cluster, broker, answer, request) => {
      // What this step committed counts already.
      checkViews(book, cluster);
      checkAnswer(book, broker, answer, request);
    },
    end: () => endOf(book),
    ackedEnd: () => book.ackedEnd,
    acked: () => book.acked,
  };
}

function endOf({ committed }: Book): Offset {
  return committed.at(-1)?.endOffset ?? (0n as Offset);
}

function checkViews(book: Book, cluster: Cluster): void {
  const { views } = book;
  for (const broker of cluster.brokers) {
    const view = broker.partition?.view(cluster.nowMs());
    const before = views.get(broker.id);
    views.delete(broker.id);
    if (view === undefined) continue;
    const progress = before !== undefined && before.run === broker.run ? checkProgress(before.view, view) : [];
    const broken = [...checkReplica(view), ...progress];
    if (broken.length > 0) fail(`${broker.id}: ${broken.join("; ")}`);
    views.set(broker.id, { run: broker.run, view });
    if (view.leadership !== undefined) checkLeader(book, cluster, { broker, view, leadership: view.leadership });
  }
}

interface Leader {
  readonly broker: SimulatedBroker;
  readonly view: PartitionView;
  readonly leadership: LeadershipView;
}

function checkLeader(book: Book, cluster: Cluster, { broker, view, leadership }: Leader): void {
  const { leaderEpoch, maximalIsr } = leadership;
  const other = book.leaders.get(leaderEpoch);
  if (other !== undefined && other !== broker.id) fail(`${other} and ${broker.id} lead epoch ${leaderEpoch}`);
  book.leaders.set(leaderEpoch, broker.id);
  extend(book, broker, view);
  const newest = cluster.controller.state();
  if (leaderEpoch !== newest.leaderEpoch) return;
  for (const member of newest.isr) {
    if (!maximalIsr.includes(member)) fail(`the maximal ISR of ${broker.id} lacks committed member ${member}`);
  }
}

/** Everything below a leader's high watermark is what the ledger holds there, and what it holds from now on. */
function extend(book: Book, broker: SimulatedBroker, view: PartitionView): void {
  if (view.logStart > book.logStart) book.logStart = view.logStart;
  for (const batch of broker.log.batches) {
    if (batch.endOffset > view.highWatermark) return;
    const known = book.byOffset.get(batch.baseOffset);
    if (known === undefined) {
      const end = endOf(book);
      if (batch.baseOffset !== end) fail(`${broker.id} commits ${batch.baseOffset}, committed is ${end}`);
      checkProducer(book, batch);
      book.committed.push(batch);
      book.byOffset.set(batch.baseOffset, batch);
    } else if (known.value !== batch.value) {
      fail(`offset ${batch.baseOffset} names two records: ${known.value} and, on ${broker.id}, ${batch.value}`);
    }
  }
}

/** P11: a producer's records appear once, in order, and nothing is missing between them. */
function checkProducer(book: Book, { producer, value, baseOffset }: SimulatedBatch): void {
  if (producer === undefined) return;
  const { producerId, producerEpoch, baseSequence, lastOffsetDelta } = producer;
  const last = book.producers.get(producerId);
  const first = book.offsetOf.get(value);
  const name = `${producerId}:${producerEpoch}:${baseSequence}`;
  if (first !== undefined) fail(`the batch ${name} is committed at ${first} and at ${baseOffset}`);
  if (last !== undefined && producerEpoch < last.epoch)
    fail(`the batch ${name} of an older producer epoch is committed`);
  const follows = last?.epoch === producerEpoch ? last.next : 0;
  if (baseSequence !== follows) fail(`the batch ${name} is committed where sequence ${follows} comes next`);
  book.offsetOf.set(value, baseOffset);
  book.producers.set(producerId, { epoch: producerEpoch, next: baseSequence + lastOffsetDelta + 1 });
}

function checkController(book: Book, cluster: Cluster): void {
  const { controller } = cluster;
  const newest = controller.state();
  const broken = [...checkState(newest)];
  if (book.state !== undefined && newest !== book.state) broken.push(...checkSuccession(book.state, newest));
  if (broken.length > 0) fail(`controller: ${broken.join("; ")}`);
  book.state = newest;
  for (const member of [...newest.isr, ...newest.elr]) {
    const { disk, log } = cluster.broker(member);
    // A disk that is lost is known to the metadata when its broker is back, and until then nobody elects it.
    if (controller.holdsDisk(member, disk)) checkHolds(book, log, member);
  }
}

/** Everything committed is on every ISR and ELR member, flushed. */
function checkHolds(book: Book, log: SimulatedLog, member: BrokerId): void {
  const { committed } = book;
  const end = endOf(book);
  if (log.durable < end) fail(`member ${member} flushed up to ${log.durable}, committed is ${end}`);
  // A log holds the committed batches above its start one behind the other, and then what is not committed yet.
  let index = committed.length;
  while (index > 0 && (committed[index - 1]?.endOffset ?? 0n) > log.start) index--;
  for (const batch of log.batches) {
    const known = committed[index];
    if (known === undefined) break;
    if (batch.value !== known.value) fail(`member ${member} lacks what is committed at ${known.baseOffset}`);
    index++;
  }
}

function checkAnswer(book: Book, broker: SimulatedBroker, answer: Answer, request: Request): void {
  switch (answer.kind) {
    case "produced":
      if (request.kind === "produce") checkAck(book, broker, answer, request);
      return;
    case "consumerRead":
      if (answer.from === answer.upTo) return;
      if (answer.upTo > answer.highWatermark) fail(`served ${answer.upTo}, high watermark ${answer.highWatermark}`);
      if (answer.upTo > endOf(book)) fail(`served what is not committed: ${answer.upTo}`);
      return;
    case "latestOffset":
      if (request.kind === "latest" && answer.offset < request.atLeast) {
        fail(`latest answered ${answer.offset}, committed and seen was ${request.atLeast}`);
      }
      return;
    case "refused": {
      checkRefusal(book, answer, request);
      if (request.kind !== "fetch" || answer.refusal.reason !== "OFFSET_OUT_OF_RANGE") return;
      const { offset } = request;
      if (offset >= book.logStart && offset <= endOf(book)) {
        fail(`${offset} was called out of range, committed is ${endOf(book)}`);
      }
      return;
    }
    default:
      return;
  }
}

/** What is committed is not called a gap of the log, nor is its repeat refused because few replicas follow. */
function checkRefusal(book: Book, { refusal }: Extract<Answer, { kind: "refused" }>, request: Request): void {
  if (request.kind !== "produce" || request.producer === undefined) return;
  const { producerId, producerEpoch } = request.producer;
  const isCommitted = book.offsetOf.has(request.value);
  if (refusal.outcome === "APPLIED" && !isCommitted) fail("what is not committed was called applied");
  const isNewest = book.producers.get(producerId)?.epoch === producerEpoch;
  if (isCommitted && isNewest && refusal.reason === "NOT_ENOUGH_REPLICAS") fail("a committed repeat was refused");
}

function checkAck(
  book: Book,
  broker: SimulatedBroker,
  answer: Extract<Answer, { kind: "produced" }>,
  request: Extract<Request, { kind: "produce" }>,
): void {
  const { baseOffset, endOffset } = answer;
  if (request.acks === "leader" && broker.log.durable < endOffset) fail("acks=leader came before the flush");
  if (request.acks !== "all") return;
  if (book.byOffset.get(baseOffset)?.value !== request.value) {
    fail(`${baseOffset} was acknowledged and is not committed there`);
  }
  book.acked++;
  if (endOffset > book.ackedEnd) book.ackedEnd = endOffset;
}

function fail(what: string): never {
  throw new Error(`Broken invariant: ${what}`);
}
