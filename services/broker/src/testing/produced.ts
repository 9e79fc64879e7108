import type { ProduceOutcome } from "../partition/partition.ts";
import { one, type ReplicaCluster } from "./replica-cluster.ts";

type Acks = Parameters<ReplicaCluster["produce"]>[2];

/** How a record ends that is produced at a broker, the first unless another is named. Time goes until that is known. */
export async function produced(
  cluster: ReplicaCluster,
  text: string,
  { at = one, acks = "all" }: { readonly at?: typeof one; readonly acks?: Acks } = {},
): Promise<ProduceOutcome> {
  let settled: ProduceOutcome | undefined;
  cluster.produce(at, text, acks).then(
    (outcome) => {
      settled = outcome;
    },
    () => undefined,
  );
  await cluster.until(() => settled !== undefined);
  if (settled === undefined) throw new Error("not settled");
  return settled;
}
