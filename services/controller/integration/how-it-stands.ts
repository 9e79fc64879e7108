import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import type { Client } from "@tidemark/client";
import type { DevCluster } from "@tidemark/testkit";

/** Lines of each log that are told: a minute of a broker that looks for a peer in vain. */
const linesMax = 60;

/**
 * What a wait in vain is read by: the state of a topic, the controllers' quorum, which processes run, and how the log of
 * each ends. Rejects never: what cannot be learned is said in its place.
 */
export async function howItStands(cluster: DevCluster, client: Client, topic: string): Promise<string> {
  const topics = client.admin.describeTopics({ topics: [topic] }, { timeoutMs: 5000 });
  const quorum = client.metadata.describeQuorum({}, { timeoutMs: 5000 });
  const [described, members] = await Promise.all([topics, quorum].map((asked) => asked.then(shown, shown)));
  const processes = cluster.processes();
  const running = processes.map(({ role, id, pid, state }) => `${role}-${id}: ${state}, pid ${pid ?? "none"}`);
  const logs = processes.map(({ role, id }) => `${role}-${id}.log ends with\n${endOf(cluster, `${role}-${id}.log`)}`);
  return [`topic ${topic}: ${described}`, `quorum: ${members}`, ...running, ...logs].join("\n");
}

function shown(found: unknown): string {
  return inspect(found, { depth: 8, breakLength: 160 });
}

function endOf({ data }: DevCluster, log: string): string {
  try {
    return readFileSync(join(data, "logs", log), "utf8")
      .trimEnd()
      .split("\n")
      .slice(-linesMax)
      .join("\n");
  } catch (error) {
    return String(error);
  }
}
