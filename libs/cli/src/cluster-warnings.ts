import type { DescribeClusterResponse } from "@tidemark/client";
import { counted } from "./output.ts";

/** What the cluster bears for now, with the command that shows where. */
export function warningsOf({
  underReplicatedPartitions,
  underMinIsrPartitions,
  brokers,
}: Pick<
  DescribeClusterResponse,
  "underReplicatedPartitions" | "underMinIsrPartitions" | "brokers"
>): readonly string[] {
  const warnings: string[] = [];
  if (underReplicatedPartitions > 0) {
    const which = areOrIs(underReplicatedPartitions, "under-replicated");
    warnings.push(`${which}: \`tidemark topic describe --under-replicated\``);
  }
  if (underMinIsrPartitions > 0) {
    const which = areOrIs(underMinIsrPartitions, "under min ISR, and not written with acks=all");
    warnings.push(`${which}: \`tidemark topic describe --under-min-isr\``);
  }
  for (const { brokerId, alive, offlineReplicas } of brokers) {
    if (!alive || offlineReplicas === 0) continue;
    const which = `${counted(offlineReplicas, "replica")} of broker ${brokerId} ${offlineReplicas === 1 ? "is" : "are"}`;
    warnings.push(
      `${which} offline though it lives, and its log says why: \`tidemark topic describe --under-replicated\``,
    );
  }
  return warnings;
}

/** `1 partition is under-replicated`. */
export function areOrIs(count: number, what: string): string {
  return `${counted(count, "partition")} ${count === 1 ? "is" : "are"} ${what}`;
}
