import type { Client, Producer } from "@tidemark/client";
import type { ClusterService } from "@tidemark/proto/cluster/v1";
import type { LogService } from "@tidemark/proto/log/v1";
import type { ReplicaService } from "@tidemark/proto/replica/v1";
import type { RpcClient } from "@tidemark/rpc";
import type { Random } from "@tidemark/runtime";
import type { OperatorPlan } from "./operator-task.ts";
import type { SideTopic, SideTopics } from "./side-topics.ts";

/** What the commands of an operator are given with. */
export interface OperatorContext extends Pick<Client, "admin" | "log" | "metadata"> {
  /** One that compresses as this turn has it. */
  readonly producer: () => Producer;
  /** The data service of any gateway or broker: the latter answer of what they lead. */
  readonly anyLog: () => RpcClient<typeof LogService>;
  /** What brokers say to each other, and to a controller: of any broker, of any controller. */
  readonly replica: () => RpcClient<typeof ReplicaService>;
  readonly cluster: () => RpcClient<typeof ClusterService>;
  readonly random: Random;
  readonly plan: OperatorPlan;
  readonly sideTopics: SideTopics;
  readonly options: { readonly timeoutMs: number; readonly signal: AbortSignal };
  /** Milliseconds since 1970, by the operator's clock. */
  readonly wallMs: () => number;
  /** Undefined while there is none. */
  readonly pickTopic: () => SideTopic | undefined;
  /** 1, 2, 3, ... */
  readonly nextNumber: () => number;
  /** A command that must be refused was carried out. */
  readonly reportCarriedOut: (name: string) => void;
}
