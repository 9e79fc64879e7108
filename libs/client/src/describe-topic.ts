import type { AdminService, BrokerDescription, TopicDescription } from "@tidemark/proto/admin/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { type RpcClient, TidemarkError, unknownTopic } from "@tidemark/rpc";
import type { LogClient } from "./connection.ts";
import type { KnownLeader } from "./routes.ts";
import type { TopicFacts } from "./topic-cache.ts";

/** How long the controller may take to describe a topic before the data service is asked instead, in milliseconds. */
const describeTimeoutMs = 3000;

/** What is asked about topics. */
export interface Directory {
  readonly admin: Pick<RpcClient<typeof AdminService>, "describeTopics" | "describeCluster">;
  readonly log: Pick<LogClient, "listOffsets">;
}

/** A topic, and where its leaders are: empty where nobody tells. */
export interface DescribedTopic {
  readonly facts: TopicFacts;
  readonly leaders: ReadonlyMap<number, KnownLeader>;
}

/**
 * Asks the controller. Producing and consuming go on without one, so where none answers the data service, which knows
 * the partitions too, is asked for them; it does not tell the topic id. Fails with a TidemarkError.
 */
export async function describeTopic({ admin, log }: Directory, topic: string): Promise<DescribedTopic> {
  try {
    const call = { timeoutMs: describeTimeoutMs };
    const [{ topics }, brokers] = await Promise.all([
      admin.describeTopics({ topics: [topic] }, call),
      // Without the brokers everything goes by the bootstrap endpoint, which is no failure.
      admin.describeCluster({}, call).then(
        ({ brokers: described }) => described,
        () => [],
      ),
    ]);
    const [described] = topics;
    if (described === undefined || described.partitions.length === 0) throw unknownTopic(topic);
    const facts = { topicId: described.topicId, partitions: described.partitions.length };
    return { facts, leaders: leadersOf(described, brokers) };
  } catch (error) {
    if (!(error instanceof TidemarkError) || !isWithoutController(error)) throw error;
    const { offsets } = await log.listOffsets({ topic }, { timeoutMs: describeTimeoutMs });
    return { facts: { topicId: "", partitions: offsets.length }, leaders: new Map() };
  }
}

function leadersOf(
  { partitions }: TopicDescription,
  brokers: readonly BrokerDescription[],
): ReadonlyMap<number, KnownLeader> {
  const endpoints = new Map<number, string>();
  for (const { brokerId, endpoints: listeners } of brokers) {
    const client = listeners.find(({ listener }) => listener === "client");
    if (client !== undefined) endpoints.set(brokerId, formatEndpoint(client));
  }
  const leaders = new Map<number, KnownLeader>();
  for (const { partition, leader, leaderEpoch } of partitions) {
    const endpoint = leader === undefined ? undefined : endpoints.get(leader);
    if (endpoint !== undefined) leaders.set(partition, { endpoint, leaderEpoch });
  }
  return leaders;
}

function formatEndpoint({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function isWithoutController({ reason }: TidemarkError): boolean {
  return (
    reason === Reason.UNAVAILABLE ||
    reason === Reason.DEADLINE_EXCEEDED ||
    reason === Reason.NOT_CONTROLLER ||
    reason === Reason.UNSUPPORTED
  );
}
