import { createActiveController, createMetadataFeed } from "@tidemark/controller-link";
import type { ControllerEpoch } from "@tidemark/ids";
import { findReceipt, findTopicById, type MetadataImage, type Partition } from "@tidemark/metadata";
import { createChannelPool, type Transport } from "@tidemark/rpc";
import type { SimProcess } from "../engine/sim-process.ts";
import type { Violations } from "./violations.ts";

/** Follows the metadata as a gateway does, from a machine that no fault reaches, and checks every step. */
export interface MetadataWatch {
  readonly image: MetadataImage;
  /** Leaders that were elected after the first of a partition. */
  readonly elections: number;
  /** Those of them that were unclean. */
  readonly uncleanElections: number;
  readonly stop: () => void;
}

/**
 * Of each partition: leader in the ISR, ISR within the replicas, ISR and ELR apart, ELR empty at min ISR (R13); nobody
 * enters the ISR but a broker with a running session (R10); epochs
 * only grow, and a leader epoch has one leader (P14); an unclean election was allowed or commanded, and has its receipt
 * (P5); damage is told of disks that were harmed, and of no others (L4).
 */
export function startMetadataWatch(
  process: SimProcess,
  given: {
    readonly transport: Transport;
    readonly controllers: readonly string[];
    readonly violations: Violations;
    /** Told of the metadata after each step. */
    readonly onImage: (image: MetadataImage) => void;
    /** Whether a broker's disk still has the file of a replica in which a bit has changed. */
    readonly hasDamage: (broker: number, replica: string) => boolean;
    /** Whether nothing was ever done to a broker's disk but what a disk may do: losing what was not flushed. */
    readonly isSound: (broker: number) => boolean;
    /** False where a power cut may take what counts as held. */
    readonly isFlushed: boolean;
  },
): MetadataWatch {
  const { runtime } = process;
  const pool = createChannelPool({ runtime, transport: given.transport });
  const stopping = new AbortController();
  const leaders = new Map<string, number>();
  const { report } = given.violations;
  let elections = 0;
  let uncleanElections = 0;
  let known: ControllerEpoch | undefined;

  const checkLeader = (key: string, { leader, leaderEpoch }: Partition) => {
    if (leader === undefined) return;
    const of = `${key} leader epoch ${leaderEpoch}`;
    const known = leaders.get(of);
    if (known === undefined) {
      leaders.set(of, leader);
      if (leaderEpoch > 0) elections += 1;
    } else if (known !== leader) report("a leader epoch has two leaders", `${of}: ${known} and ${leader}`);
  };
  const feed = createMetadataFeed({
    controller: createActiveController({ endpoints: given.controllers, pool, runtime }),
    runtime,
    controllerEpochFloor: 0 as ControllerEpoch,
    onUpdate({ delta, image, controllerEpoch }) {
      // Each epoch begins with a snapshot, and so perhaps between two batches that belong together.
      const isStep = known === controllerEpoch;
      known = controllerEpoch;
      given.onImage(image);
      for (const { before, after } of delta.partitions) {
        if (after === undefined) continue;
        const key = `${after.topicId}-${after.partition}`;
        checkLeader(key, after);
        for (const text of checkMembers(after))
          report("metadata of a partition contradict themselves", `${key}: ${text}`);
        const isUnclean = isUncleanElection(before, after);
        if (isUnclean) uncleanElections += 1;
        const unclean = isUnclean ? checkUnclean(image, after, isStep ? undefined : before) : undefined;
        if (unclean !== undefined) report("an unclean election is not as it must be", `${key}: ${unclean}`);
        if (before === undefined) continue;
        for (const text of checkEpochs(before, after)) report("an epoch of a partition fell", `${key}: ${text}`);
        for (const broker of damagedIn(before, after)) {
          if (!given.isSound(broker)) continue;
          given.violations.reportAtEnd("a sound replica was called damaged", `${key}: on broker ${broker}`);
        }
        for (const broker of healedIn(before, after)) {
          if (!given.hasDamage(broker, key)) continue;
          report("a damaged replica is in the ISR again", `${key}: broker ${broker}, whose damage was told`);
        }
        if (!isStep) continue;
        for (const text of checkEntries(before, after, image))
          report("a fenced broker entered the ISR", `${key}: ${text}`);
        for (const text of checkElection(before, after, image)) report("nobody living was elected", `${key}: ${text}`);
        const isLeftToTheSystem = findTopicById(image, after.topicId)?.settings.get("flush") === "async";
        if (!given.isFlushed || isLeftToTheSystem) continue;
        for (const text of checkEligible(before, after)) report("the ELR is not what R13 says", `${key}: ${text}`);
      }
    },
  });
  const running = feed.run(stopping.signal);
  running.catch(() => undefined);
  return {
    get image() {
      return feed.image;
    },
    get elections() {
      return elections;
    },
    get uncleanElections() {
      return uncleanElections;
    },
    stop: () => stopping.abort(),
  };
}

function checkMembers({ replicas, isr, elr, leader, minIsr }: Partition): readonly string[] {
  const broken: string[] = [];
  const assigned = new Set(replicas.map(({ brokerId }) => brokerId));
  if (leader !== undefined && !isr.includes(leader))
    broken.push(`leader ${leader} is not in the ISR (${isr.join(",")})`);
  for (const member of isr) if (!assigned.has(member)) broken.push(`ISR member ${member} is not assigned`);
  for (const member of elr) {
    if (!assigned.has(member)) broken.push(`ELR member ${member} is not assigned`);
    if (isr.includes(member)) broken.push(`${member} is in ISR and ELR`);
  }
  if (elr.length > 0 && isr.length >= minIsr) broken.push(`ELR (${elr.join(",")}) though the ISR reaches min ISR`);
  return broken;
}

/**
 * Whether what is recovering now was elected uncleanly since. A leader that dies while it recovers goes on to recover when
 * it is elected anew: it was eligible then, alone.
 */
export function isUncleanElection(
  before: Partition | undefined,
  { recovering, leader, leaderEpoch }: Partition,
): boolean {
  if (!recovering || leader === undefined || leaderEpoch === before?.leaderEpoch) return false;
  return before?.recovering !== true || ![...before.isr, ...before.elr].includes(leader);
}

/**
 * Of an unclean election: its receipt came with it, and it was allowed or commanded (P5, D3). `skippedFrom`: what was known
 * before several elections, of which the unclean one need not be the last.
 */
function checkUnclean(
  image: MetadataImage,
  { topicId, partition, leaderEpoch }: Partition,
  skippedFrom: Partition | undefined,
): string | undefined {
  const receipt = findReceipt(image, { topicId, partition });
  const isOfOneBefore =
    receipt !== undefined &&
    skippedFrom !== undefined &&
    receipt.leaderEpoch > skippedFrom.leaderEpoch &&
    receipt.leaderEpoch < leaderEpoch;
  if (receipt?.leaderEpoch !== leaderEpoch && !isOfOneBefore) return `leader epoch ${leaderEpoch} has no receipt`;
  const isAllowed = findTopicById(image, topicId)?.settings.get("unclean.leader.election.enable") === "true";
  return isAllowed || receipt.commanded ? undefined : `leader epoch ${leaderEpoch} was neither allowed nor commanded`;
}

function checkEpochs(before: Partition, after: Partition): readonly string[] {
  const broken: string[] = [];
  if (after.partitionEpoch < before.partitionEpoch) {
    broken.push(`partition epoch from ${before.partitionEpoch} to ${after.partitionEpoch}`);
  }
  if (after.leaderEpoch < before.leaderEpoch) {
    broken.push(`leader epoch from ${before.leaderEpoch} to ${after.leaderEpoch}`);
  }
  return broken;
}

/** Brokers that tell of damage which they did not tell of before (L4). */
function damagedIn(before: Partition, after: Partition): readonly number[] {
  const known = new Map(before.replicas.map(({ brokerId, damagedIn: epoch }) => [brokerId, epoch]));
  const told = after.replicas.filter((replica) => replica.damagedIn !== undefined);
  return told.filter(({ brokerId, damagedIn: epoch }) => known.get(brokerId) !== epoch).map(({ brokerId }) => brokerId);
}

/** Brokers whose damaged replica is in the ISR again, as if it had been copied anew (L10). */
function healedIn(before: Partition, after: Partition): readonly number[] {
  const wasDamaged = (id: number) =>
    before.replicas.some(({ brokerId, damagedIn }) => brokerId === id && damagedIn !== undefined);
  return after.isr.filter((id) => !before.isr.includes(id) && wasDamaged(id));
}

/** Whoever enters the ISR has a session that is neither fenced nor about to stop (R10, KIP-841). */
export function checkEntries(
  before: Pick<Partition, "isr">,
  after: Pick<Partition, "isr">,
  { sessions }: Pick<MetadataImage, "sessions">,
): readonly string[] {
  const entered = after.isr.filter((id) => !before.isr.includes(id));
  return entered.flatMap((id) => {
    const state = sessions.get(id)?.state;
    return state === "running" ? [] : [`broker ${id} is ${state ?? "without a session"}`];
  });
}

/** Whoever is elected has a session (D2). */
function checkElection(before: Partition, { leader, leaderEpoch }: Partition, image: MetadataImage): readonly string[] {
  if (leader === undefined || leaderEpoch === before.leaderEpoch || image.sessions.has(leader)) return [];
  return [`leader ${leader} of leader epoch ${leaderEpoch} has no session`];
}

/**
 * R13, KIP-966: below min ISR whoever was in ISR or ELR and is not in the ISR stays eligible, unless it is damaged; and
 * nobody else is. After an unclean election another history counts.
 */
function checkEligible(before: Partition, after: Partition): readonly string[] {
  if (after.isr.length >= after.minIsr || after.recovering) return [];
  const held = [...before.isr, ...before.elr].filter((id) => !after.isr.includes(id));
  const isSound = (id: number) =>
    after.replicas.some(({ brokerId, damagedIn }) => brokerId === id && damagedIn === undefined);
  const missing = held.filter((id) => isSound(id) && !after.elr.includes(id));
  const strange = after.elr.filter((id) => !held.includes(id));
  return [
    ...missing.map((id) => `${id} held everything and is not eligible`),
    ...strange.map((id) => `${id} is eligible and was not in ISR or ELR`),
  ];
}
