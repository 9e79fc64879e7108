/** Questions about several partitions, put to all of their leaders at once. */
import type { ErrorDetail } from "@tidemark/proto/common/v1";
import { fromErrorDetail, TidemarkError } from "@tidemark/rpc";
import { abortWith } from "@tidemark/runtime";
import { missingAnswer } from "../errors.ts";
import { mayRepeat } from "./call-leader.ts";
import type { Pauses, Refused } from "./patience.ts";
import { type CallingContext, untilReplaced } from "./replaced-leaders.ts";
import type { Route, RoutedPartition, RouteTable } from "./route-table.ts";

/** What is said of one partition in an answer about many. */
export interface PartitionAnswer {
  readonly partition: number;
  /** Set where this partition failed. */
  readonly error?: ErrorDetail | undefined;
  /** The text beside `error`. */
  readonly message: string;
}

/** Partitions with one leader. */
export interface LeaderGroup {
  readonly endpoint: string;
  readonly partitions: readonly RoutedPartition[];
}

export interface LeaderQuestion<Item extends PartitionAnswer> extends CallingContext {
  /** Each partition once. */
  readonly partitions: readonly RoutedPartition[];
  /** The caller's. */
  readonly signal: AbortSignal;
  /**
   * Asks one leader about its partitions. `groups`: how many are asked at the same time. `over`: aborted with the caller's
   * signal, and when another broker leads and this one is not waited for any more.
   */
  readonly ask: (group: LeaderGroup, groups: number, over: AbortSignal) => Promise<readonly Item[]>;
  /** What stands for a partition that could not be asked. */
  readonly failed: (partition: number, error: TidemarkError) => Item;
}

/** Answers by partition. */
export type Answers<Item> = ReadonlyMap<number, Item>;

/** The partitions by their leaders, and those that have none now. */
export function groupByLeader(
  table: RouteTable,
  partitions: readonly RoutedPartition[],
): { readonly groups: readonly LeaderGroup[]; readonly without: readonly RoutedPartition[] } {
  const groups = new Map<string, RoutedPartition[]>();
  const without: RoutedPartition[] = [];
  for (const partition of partitions) {
    const endpoint = table.route(partition)?.endpoint;
    const group = endpoint === undefined ? without : groups.get(endpoint);
    if (group !== undefined) group.push(partition);
    else if (endpoint !== undefined) groups.set(endpoint, [partition]);
  }
  return { groups: Array.from(groups, ([endpoint, each]) => ({ endpoint, partitions: each })), without };
}

/** Asks each leader once. Resolves with an answer for every partition; only defects are thrown. */
export async function askOnce<Item extends PartitionAnswer>(question: LeaderQuestion<Item>): Promise<Answers<Item>> {
  const { table, partitions, failed } = question;
  const { groups, without } = groupByLeader(table, partitions);
  const answers = new Map<number, Item>();
  for (const each of without) answers.set(each.partition, failed(each.partition, table.noRoute(each)));
  const askGroup = async (group: LeaderGroup) => {
    for (const item of await answersOf(group, groups.length, question)) answers.set(item.partition, item);
  };
  await Promise.all(groups.map(askGroup));
  return answers;
}

/**
 * Asks the leaders, and again those of partitions whose failure may pass, until every partition is settled, time is up,
 * or `isEnough` says that the caller is served better by an answer now. For reads alone.
 */
export async function askPatiently<Item extends PartitionAnswer>(
  question: LeaderQuestion<Item>,
  pauses: Pauses,
  isEnough: (answers: Answers<Item>) => boolean = () => false,
): Promise<Answers<Item>> {
  const { table } = question;
  const answers = new Map<number, Item>();
  let open = question.partitions;
  for (;;) {
    const asked = new Map(open.map((each): [number, Route | undefined] => [each.partition, table.route(each)]));
    for (const [partition, item] of await askOnce({ ...question, partitions: open })) answers.set(partition, item);
    let last: TidemarkError | undefined;
    const refused: Refused[] = [];
    open = open.filter((partition) => {
      const error = errorOf(answers.get(partition.partition));
      if (error === undefined || !mayRepeat(error, true)) return false;
      table.learn(partition, error.fields.leader);
      refused.push({ partition, leaderEpoch: asked.get(partition.partition)?.leaderEpoch });
      last = error;
      return true;
    });
    if (last === undefined || isEnough(answers) || !(await pauses.next(refused, last))) return answers;
  }
}

/** Throws the failure of a question about one partition: it is the failure of the call. */
export function throwIfOnlyFailed<Item extends PartitionAnswer>(answers: Answers<Item>): void {
  const [only] = answers.values();
  const error = answers.size === 1 ? errorOf(only) : undefined;
  if (error !== undefined) throw error;
}

function errorOf(answer: PartitionAnswer | undefined): TidemarkError | undefined {
  return answer?.error === undefined ? undefined : fromErrorDetail(answer.error, answer.message);
}

/**
 * The leader's answers; where the call failed as a whole, its error for each partition. A leader that does not answer is
 * left a moment after another one took its place at one of them.
 */
async function answersOf<Item extends PartitionAnswer>(
  group: LeaderGroup,
  groups: number,
  { table, runtime, signal, ask, failed }: Omit<LeaderQuestion<Item>, "partitions">,
): Promise<readonly Item[]> {
  const asked = group.partitions.flatMap((partition) => {
    const route = table.route(partition);
    return route === undefined ? [] : [{ partition, route }];
  });
  const over = new AbortController();
  const unbind = abortWith(over, signal);
  try {
    const work = () => ask(group, groups, over.signal);
    const items = await untilReplaced({ table, runtime }, asked, work, () => over.abort());
    const answered = new Map(items.map((item) => [item.partition, item]));
    return group.partitions.map(
      (each) => answered.get(each.partition) ?? failed(each.partition, missingAnswer(each, group.endpoint)),
    );
  } catch (error) {
    if (!(error instanceof TidemarkError)) throw error;
    return group.partitions.map((each) => failed(each.partition, error));
  } finally {
    unbind();
  }
}
