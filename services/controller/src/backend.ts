import type { Consensus } from "@tidemark/consensus";
import type { Disk } from "@tidemark/disk";
import type { DirectoryId } from "@tidemark/ids";
import type { ClientTls, ServedService, Transport } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import type { Telemetry, TraceContext } from "@tidemark/telemetry";
import type { CampaignRecorder } from "./tracing/campaigns.ts";
import type { CommitContext } from "./tracing/commit-context.ts";

/** A backend of the consensus interface, opened. */
export interface Backend {
  /** To be shown to people. */
  readonly name: string;
  /** This process's handle. Whoever has it closes it. */
  readonly consensus: Consensus;
  /** What other controllers ask of it, on the `internal` listener. Absent: nothing. */
  readonly services?: readonly ServedService[];
  /** The cluster that the store was made for. Absent: the first controller names it. */
  readonly clusterId?: string;
  /** What the backend knows of its own quorum. Absent: it has none. */
  readonly quorum?: () => QuorumDetails;
  /** Says who is to be active when this controller resigns next, if that one can. Absent: the backend cannot choose. */
  readonly preferNext?: (directory: DirectoryId) => void;
  /** Frees what the backend holds, after the handle was closed. */
  close(): Promise<void>;
}

/** A quorum of the controllers themselves, as one of them sees it. */
export interface QuorumDetails {
  readonly term: number;
  /** Index up to which everything is committed, as far as is known here. */
  readonly commit: number;
  /** Those that this controller replicates to, and itself; empty where it does not lead. */
  readonly members: ReadonlyMap<DirectoryId, MemberProgress>;
}

export interface MemberProgress {
  /** Flushed there, and as the leader's, up to this index. */
  readonly match: number;
  /** Entries behind the leader's log. */
  readonly lag: number;
  readonly lastContactMs: number;
}

/** What a backend's own spans hang below, and its log lines belong to. */
export interface BackendTraces {
  /** What is being committed for an election; undefined where that is nothing. Spans below it are recorded always. */
  readonly commit: Readonly<CommitContext>;
  readonly campaigns: Pick<CampaignRecorder, "won">;
  /** What a loss of the backend comes in between: what is being committed for an election, or this controller's own election. */
  readonly underWay: () => TraceContext | undefined;
}

/** Opens the backend that the settings choose. Only the composition root names one. */
export type OpenBackend = (of: {
  readonly disk: Disk;
  /** The controller's directory; a backend keeps its own under it. Absolute. */
  readonly directory: string;
  readonly directoryId: DirectoryId;
  readonly runtime: Runtime;
  readonly telemetry: Telemetry;
  /** The trace that the backend's own spans belong to. */
  readonly traces: BackendTraces;
  readonly transport: Transport;
  /** For calls of other controllers. Undefined: cleartext. */
  readonly tls: ClientTls | undefined;
  /** Where this controller's `internal` listener is reached, host:port. Undefined before it is bound. */
  readonly endpoint: () => string | undefined;
  /** The controller cannot go on. */
  readonly onFatal: (error: Error) => void;
}) => Promise<Backend>;
