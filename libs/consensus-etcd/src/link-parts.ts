import type { Runtime } from "@tidemark/runtime";
import type { Calls } from "./calls.ts";
import type { ConnectionPurpose, EtcdEventSink } from "./events.ts";
import type { EtcdGuards } from "./guards.ts";
import type { KeptKeys } from "./kept-keys.ts";
import type { Keyspace } from "./keyspace.ts";
import type { Rotation } from "./rotation.ts";
import type { EtcdSettings } from "./settings.ts";

/** What the sessions of one candidate, one behind the other, share. */
export interface LinkParts {
  readonly settings: EtcdSettings;
  readonly runtime: Runtime;
  readonly guards: EtcdGuards;
  readonly onEvent: EtcdEventSink;
  readonly keyspace: Keyspace;
  readonly kept: KeptKeys;
  readonly calls: Calls;
  readonly rotations: Readonly<Record<ConnectionPurpose, Rotation>>;
  /** Leases of sessions that were lost, and that etcd may still keep. */
  readonly abandoned: Set<string>;
}
