import type { Runtime } from "@tidemark/runtime";
import type { EventSink } from "../events.ts";
import type { WatchHub } from "../watch-hub.ts";
import type { ClaimRight } from "./claim-right.ts";
import type { Connection } from "./connection.ts";
import type { CandidateGuards } from "./guards.ts";
import type { StoreKeys } from "./store-keys.ts";
import type { TakeoverSettings } from "./takeover.ts";

/** What the parts of one candidate share. */
export interface CandidateContext {
  readonly runtime: Runtime;
  readonly hub: WatchHub;
  readonly keys: StoreKeys;
  readonly connection: Connection;
  readonly right: ClaimRight;
  readonly onEvent: EventSink;
  readonly guards: CandidateGuards;
  /** Undefined: only the store ends the leadership of others. */
  readonly takeover: TakeoverSettings | undefined;
  /** Aborted when the candidate closes or its storage failed. */
  readonly signal: AbortSignal;
}
