import type { DescribeQuorumResponse, QuorumMember } from "@tidemark/client";
import { delay, pick, type Random } from "@tidemark/runtime";
import type { SimClient } from "../cluster/cluster.ts";
import type { SimNode } from "../cluster/node.ts";
import { directoryOf, endpointOf } from "./format-quorum.ts";

/**
 * The operator of a quorum of controllers: replaces a voter whose disk was lost, and otherwise takes votes away and gives
 * them from time to time. One change at a time, each asked for until the quorum shows that it is done.
 */
export interface QuorumKeeper {
  /**
   * Whether the disk of a voter may be lost now: nobody is being changed, all have their disks, run, and are more than
   * two. What a majority had flushed is then in every majority of the rest.
   */
  mayLose(): boolean;
  /** No further changes but those that replace a lost disk. */
  settle(): void;
  /** A change was asked for and may yet happen. */
  readonly isChanging: boolean;
  /** What is still to be done before the quorum is whole. Undefined: nothing. */
  describe(): string | undefined;
  /** Changes that were done. */
  readonly changes: number;
}

export interface KeeperOptions {
  readonly controllers: readonly SimNode[];
  readonly random: Random;
  /** A client on a machine that no fault reaches. */
  readonly operator: SimClient;
  /** Votes there are at least. */
  readonly votersMin: number;
  /** Mean pause between two changes that nothing asks for, in milliseconds. */
  readonly pauseMs: number;
  readonly note: (text: string) => void;
}

interface Change {
  readonly name: string;
  readonly run: () => Promise<unknown>;
}

/** How often the operator looks, and how long a call may take, in milliseconds. */
const lookMs = 500;
const callMs = 5000;

export function startQuorumKeeper(options: KeeperOptions): QuorumKeeper {
  const { operator, random } = options;
  const { scheduler, clock } = operator.process.runtime;
  let changes = 0;
  let seen: DescribeQuorumResponse | undefined;
  let isChanging = false;
  let isSettled = false;
  let nextMs = clock.monotonicMs() + options.pauseMs;

  const nextChange = (found: DescribeQuorumResponse): Change | undefined => {
    const needed = repair(options, found);
    if (needed !== undefined || isSettled || clock.monotonicMs() < nextMs) return needed;
    nextMs = clock.monotonicMs() + options.pauseMs * 2 * random.next();
    return wish(options, found);
  };
  const look = async () => {
    // What was asked for and not seen is as uncertain as what is asked for now.
    seen = undefined;
    const found = await operator.client.metadata.describeQuorum({}, { timeoutMs: callMs });
    const change = nextChange(found);
    if (change === undefined) {
      seen = found;
      return;
    }
    isChanging = true;
    options.note(`operator: ${change.name}`);
    await change.run();
    changes += 1;
  };
  const keep = async () => {
    for (;;) {
      await look().catch(() => undefined);
      isChanging = false;
      await delay(scheduler, lookMs);
    }
  };
  keep().catch(() => undefined);

  return {
    get changes() {
      return changes;
    },
    get isChanging() {
      return isChanging;
    },
    mayLose() {
      if (isChanging || isSettled || seen === undefined) return false;
      const voters = votersOf(seen);
      return voters.length > 2 && missing(options, seen) === undefined;
    },
    settle() {
      isSettled = true;
    },
    describe: () => (seen === undefined ? "the quorum was not seen whole" : missing(options, seen)),
  };
}

function votersOf({ members }: DescribeQuorumResponse): readonly QuorumMember[] {
  return members.filter(({ voter }) => voter);
}

/** Why the quorum is not whole: a member without its disk, or one that does not live. */
function missing({ controllers }: KeeperOptions, { members, leader }: DescribeQuorumResponse): string | undefined {
  if (leader === undefined) return "no controller is active";
  const lost = members.find((member) => !hasItsDisk(controllers, member));
  if (lost !== undefined) return `controller ${lost.controllerId} has lost the disk ${lost.directoryId}`;
  const dead = members.find(({ alive }) => !alive);
  if (dead !== undefined) return `controller ${dead.controllerId} is not alive`;
  const learner = members.find(({ voter }) => !voter);
  return learner === undefined ? undefined : `controller ${learner.controllerId} does not vote yet`;
}

function hasItsDisk(controllers: readonly SimNode[], { controllerId, directoryId }: QuorumMember): boolean {
  const node = controllers[controllerId - 1];
  const own = node === undefined ? undefined : directoryOf(node);
  return own === directoryId;
}

/** What has to be done: a member without its disk goes, one that is being added is added, and there are votes enough. */
function repair(options: KeeperOptions, found: DescribeQuorumResponse): Change | undefined {
  const { controllers, votersMin } = options;
  const lost = found.members.find((member) => !hasItsDisk(controllers, member));
  if (lost !== undefined) return removal(options, lost);
  const learner = found.members.find(({ voter }) => !voter);
  const node = learner === undefined ? undefined : controllers[learner.controllerId - 1];
  if (node !== undefined) return addition(options, node);
  return votersOf(found).length < votersMin ? anyAddition(options, found) : undefined;
}

/** What could be done: another vote more or less, or another controller that is active. */
function wish(options: KeeperOptions, found: DescribeQuorumResponse): Change | undefined {
  const { random, votersMin, operator } = options;
  if (random.next() < 0.25) {
    return { name: "transfer", run: () => operator.client.metadata.transferController({}, { timeoutMs: callMs }) };
  }
  const voters = votersOf(found);
  const add = anyAddition(options, found);
  if (add !== undefined && (voters.length <= votersMin || random.next() < 0.5)) return add;
  const gone = voters.length > votersMin ? pick(random, voters) : undefined;
  return gone === undefined ? undefined : removal(options, gone);
}

function anyAddition(options: KeeperOptions, { members }: DescribeQuorumResponse): Change | undefined {
  const known = new Set(members.map(({ controllerId }) => controllerId));
  const node = pick(
    options.random,
    options.controllers.filter((each) => !known.has(each.identity.id) && each.process !== undefined),
  );
  return node === undefined ? undefined : addition(options, node);
}

function removal({ operator }: KeeperOptions, { controllerId, directoryId }: QuorumMember): Change {
  const run = () => operator.client.metadata.removeVoter({ controllerId, directoryId }, { timeoutMs: callMs });
  return { name: `removeVoter ${controllerId} ${directoryId}`, run };
}

function addition({ operator }: KeeperOptions, node: SimNode): Change | undefined {
  const directoryId = directoryOf(node);
  if (directoryId === undefined) return undefined;
  const voter = { controllerId: node.identity.id, directoryId, endpoint: endpointOf(node) };
  const run = () => operator.client.metadata.addVoter(voter, { timeoutMs: callMs });
  return { name: `addVoter ${node.identity.id} ${directoryId}`, run };
}
