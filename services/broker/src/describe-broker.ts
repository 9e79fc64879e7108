import type { LogDirectory } from "@tidemark/log";
import type { Partition } from "./partition/partition.ts";

/** Partitions that are named one by one. */
const namedMax = 50;

type Described = Pick<Partition, "topic" | "index" | "view">;

/** The log directories as they were configured, each with what it is out of service for, which is nothing where it works. */
export function describeDirectories(
  configured: readonly string[],
  opened: readonly Pick<LogDirectory, "path" | "failure">[],
): Readonly<Record<string, unknown>> {
  const known = new Map(opened.map((directory) => [directory.path, directory]));
  const stateOf = (path: string) => {
    const directory = known.get(path);
    return directory === undefined ? "not open" : (directory.failure?.message ?? "works");
  };
  return { directories: configured.map((path) => ({ path, state: stateOf(path) })) };
}

/** What a broker leads, for people: how many partitions by the size of their ISR, and by name those that lack a replica. */
export function describeLed(led: readonly Described[]): Readonly<Record<string, unknown>> {
  const bySize: Record<string, number> = {};
  const lacking: unknown[] = [];
  let withoutAll = 0;
  for (const partition of led) {
    const { state, highWatermark, logEnd, leadership } = partition.view();
    const isr = state?.isr ?? [];
    bySize[isr.length] = (bySize[isr.length] ?? 0) + 1;
    if (isr.length >= (state?.replicas.length ?? 0)) continue;
    withoutAll += 1;
    if (lacking.length >= namedMax) continue;
    lacking.push({
      topic: partition.topic,
      partition: partition.index,
      isr,
      minIsr: state?.minIsr,
      highWatermark: String(highWatermark),
      logEnd: String(logEnd),
      pendingAcks: leadership?.pendingAcks,
    });
  }
  return { led: led.length, ledByIsrSize: bySize, underReplicated: withoutAll, underReplicatedFirst: lacking };
}
