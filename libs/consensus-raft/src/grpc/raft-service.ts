/** What other members say to this one. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { LinkLostError } from "@tidemark/consensus";
import { MalformedBytesError } from "@tidemark/consensus/store";
import { directoryId, revision } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import type { SubmitResponseSchema } from "@tidemark/proto/raft/v1";
import {
  type ExchangeRequest,
  type Hello,
  type InstallSnapshotRequest,
  RaftService,
  type SubmitRequest,
  type SubmitResponse,
} from "@tidemark/proto/raft/v1";
import type { Message, NodeId } from "@tidemark/raft";
import { type RawListener, type RawStream, type ServedService, serve, TidemarkError } from "@tidemark/rpc";
import type { SubmitAnswer, TransportHandlers } from "../node/transport.ts";
import { fromWire, MalformedMessageError, plainBytes } from "./message-codec.ts";

export interface RaftServiceOptions {
  readonly id: NodeId;
  /** Undefined: the node has not started, or has ended. */
  readonly handlers: () => TransportHandlers | undefined;
  /** Somebody spoke, and is reached at this address. */
  readonly onHello: (from: NodeId, address: string) => void;
}

export function createRaftService(options: RaftServiceOptions): ServedService {
  return serve(
    RaftService,
    { submit: (request) => submit(options, request) },
    {
      raw: {
        exchange: (stream) => listen(options, stream),
        installSnapshot: (stream) => listen(options, stream),
      },
    },
  );
}

function listen(
  options: RaftServiceOptions,
  stream: RawStream<object>,
): RawListener<ExchangeRequest | InstallSnapshotRequest> {
  let speaker: NodeId | undefined;
  return {
    onMessage({ content }) {
      const handlers = options.handlers();
      try {
        if (handlers === undefined) throw notThere();
        if (content.case === "hello") speaker = greet(options, handlers, content.value);
        else if (speaker === undefined || content.value === undefined) {
          throw new MalformedMessageError("nobody said who speaks");
        } else handlers.onMessage(spokenBy(speaker, fromWire(content.value)));
      } catch (error) {
        stream.end(errorOf(error));
      }
    },
    onEnd: () => stream.end(),
  };
}

/** A node speaks for itself alone. */
function spokenBy(speaker: NodeId, message: Message): Message {
  if (message.from !== speaker) throw new MalformedMessageError(`${speaker} speaks for ${message.from}`);
  return message;
}

/** Refuses other clusters. A node that belongs to none joins the one whose member speaks to it by its id. */
function greet(options: RaftServiceOptions, handlers: TransportHandlers, hello: Hello): NodeId {
  checkCluster(handlers, hello.clusterId);
  const from = idOf(hello.from);
  if (handlers.clusterId() === undefined && hello.to === options.id && hello.clusterId !== "") {
    handlers.joinCluster(hello.clusterId);
  }
  options.onHello(from, hello.address);
  return from;
}

function checkCluster(handlers: TransportHandlers, clusterId: string): void {
  const own = handlers.clusterId();
  if (own === undefined || clusterId === "" || clusterId === own) return;
  const message = `This controller belongs to the cluster ${own}, and a member of ${clusterId} speaks to it. Correct the list of voters.`;
  throw new TidemarkError({ reason: Reason.CLUSTER_ID_MISMATCH, message });
}

async function submit(
  options: RaftServiceOptions,
  request: SubmitRequest,
): Promise<MessageInitShape<typeof SubmitResponseSchema>> {
  const handlers = options.handlers();
  if (handlers === undefined) throw notThere();
  checkCluster(handlers, request.clusterId);
  if (request.to !== options.id) return { outcome: { case: "notLeader", value: {} } };
  try {
    return { outcome: toOutcome(await handlers.onSubmit(plainBytes(request.command))) };
  } catch (error) {
    if (error instanceof MalformedBytesError) throw notTakenUp(error);
    if (!(error instanceof LinkLostError)) throw error;
    throw new TidemarkError({ reason: Reason.METADATA_OUTCOME_UNKNOWN, message: error.message, cause: error });
  }
}

type OutcomeInit = NonNullable<MessageInitShape<typeof SubmitResponseSchema>["outcome"]>;

function toOutcome(answer: SubmitAnswer): OutcomeInit {
  switch (answer.kind) {
    case "committed":
      return { case: "committed", value: { revisions: [...answer.revisions] } };
    case "conflict":
      return { case: "conflict", value: {} };
    case "sessionEnded":
      return { case: "sessionEnded", value: {} };
    case "notLeader":
      return { case: "notLeader", value: {} };
    case "noSpace":
    case "refused":
    case "failed":
      return { case: "notLeader", value: { message: answer.message } };
    case "unknown":
      return { case: "unknown", value: { message: answer.message } };
  }
}

/** What the leader answered. Throws LinkLostError where it did not say. */
export function answerOf({ outcome }: SubmitResponse): SubmitAnswer {
  switch (outcome.case) {
    case "committed":
      return { kind: "committed", revisions: outcome.value.revisions.map((value) => revision(value)) };
    case "conflict":
      return { kind: "conflict" };
    case "sessionEnded":
      return { kind: "sessionEnded" };
    case "notLeader":
      return { kind: "notLeader" };
    case "unknown":
    case undefined:
      throw new LinkLostError("the leader does not know what became of it");
  }
}

function idOf(text: string): NodeId {
  try {
    return directoryId(text);
  } catch (error) {
    throw new MalformedMessageError("who speaks is no directory id", { cause: error });
  }
}

function notThere(): TidemarkError {
  return new TidemarkError({ reason: Reason.UNAVAILABLE, message: "This controller is starting or stopping." });
}

function errorOf(error: unknown): TidemarkError {
  if (error instanceof TidemarkError) return error;
  if (!(error instanceof MalformedMessageError)) throw error;
  return notTakenUp(error);
}

function notTakenUp(error: Error): TidemarkError {
  return new TidemarkError({
    reason: Reason.INVALID_ARGUMENT,
    message: `Not taken up: ${error.message}.`,
    cause: error,
  });
}
