/**
 * Members over gRPC. Whether a member's process is gone is asked where a stream to it broke: only a refused connection
 * says so (`onRefused`), silence never does.
 */
import { LinkLostError } from "@tidemark/consensus";
import { detached } from "@tidemark/consensus/store";
import { Outcome } from "@tidemark/proto/common/v1";
import { RaftService } from "@tidemark/proto/raft/v1";
import type { NodeId } from "@tidemark/raft";
import {
  type ChannelOptions,
  createRpcClient,
  type RpcChannel,
  type Transport as RpcTransport,
  type ServedService,
  TidemarkError,
} from "@tidemark/rpc";
import { delay, type Runtime } from "@tidemark/runtime";
import { parseAddress } from "../node/address.ts";
import type { Peer, SubmitAnswer, Transport, TransportHandlers } from "../node/transport.ts";
import { createPeerLink, type PeerLink } from "./peer-link.ts";
import { answerOf, createRaftService } from "./raft-service.ts";

export interface GrpcTransportOptions {
  readonly id: NodeId;
  /** Where the others reach this node: id@host:port. Asked for when somebody is spoken to. */
  readonly address: () => string;
  readonly runtime: Runtime;
  /** What carries calls between processes. */
  readonly rpc: Pick<RpcTransport, "createChannel" | "probe">;
  /** Of the channels to other members. */
  readonly channels?: Pick<ChannelOptions, "tls" | "processBudget" | "observer">;
}

export interface GrpcTransport extends Transport {
  /** To be served on the listener that the address names. */
  readonly service: ServedService;
}

/** How long a probe waits, and how long a leader may take to answer a command, in milliseconds. */
const probeMs = 200;
/**
 * How long after a stream broke its port is probed, in milliseconds. More than once: a process that dies resets its
 * connections one by one, and its port may still take a probe then.
 */
const probesAtMs = [0, 20, 60, 140, 300];
/** A connection that a cut network left behind is given up before a member is missed for long. */
const keepalive = { timeMs: 2_000, timeoutMs: 2_000 };
const submitMs = 5_000;
/** So many strangers are remembered, with the way to each. */
const learnedMax = 32;

interface State {
  readonly options: GrpcTransportOptions;
  readonly links: Map<NodeId, PeerLink>;
  readonly submits: Map<string, RpcChannel>;
  /** Where those were reached that spoke, for who is not in the membership yet. The latest last. */
  readonly learned: Map<NodeId, string>;
  readonly probing: Set<NodeId>;
  handlers: TransportHandlers | undefined;
}

export function createGrpcTransport(options: GrpcTransportOptions): GrpcTransport {
  const state: State = {
    options,
    links: new Map(),
    submits: new Map(),
    learned: new Map(),
    probing: new Set(),
    handlers: undefined,
  };
  const service = createRaftService({
    id: options.id,
    handlers: () => state.handlers,
    onHello(from, address) {
      learn(state, from, address);
      // It is there again: nobody waits for the end of a pause between two attempts to connect.
      const link = state.links.get(from);
      if (link?.isBroken() !== true) return;
      state.links.delete(from);
      link.close();
    },
  });
  return {
    service,
    start(handlers) {
      state.handlers = handlers;
    },
    send: (to, message) => linkTo(state, to)?.send(message),
    submit: (to, command, signal) => submit(state, to, { command, signal }),
    async close() {
      state.handlers = undefined;
      for (const link of state.links.values()) link.close();
      for (const channel of state.submits.values()) channel.close();
    },
  };
}

function openChannel({ options }: State, endpoint: string, trafficClass: "raft" | "replication"): RpcChannel {
  const { runtime, channels, rpc } = options;
  return rpc.createChannel(endpoint, { keepalive, ...channels, runtime, trafficClass });
}

/** Anybody may say that he speaks: who is remembered is limited, and so are the connections to them. */
function learn({ learned, links }: State, id: NodeId, address: string): void {
  if (!isAddress(address)) return;
  learned.delete(id);
  learned.set(id, address);
  const [oldest] = learned.keys();
  if (learned.size <= learnedMax || oldest === undefined) return;
  learned.delete(oldest);
  const link = links.get(oldest);
  if (link?.isToStranger !== true) return;
  links.delete(oldest);
  link.close();
}

function isAddress(text: string): boolean {
  try {
    parseAddress(text);
    return true;
  } catch (error) {
    // Whoever spoke did not say where it is reached.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function endpointOf(state: State, { id, address }: Peer): string | undefined {
  const known = address ?? state.learned.get(id);
  return known !== undefined && isAddress(known) ? parseAddress(known).endpoint : undefined;
}

function linkTo(state: State, peer: Peer): PeerLink | undefined {
  const endpoint = endpointOf(state, peer);
  if (endpoint === undefined || state.handlers === undefined) return undefined;
  const known = state.links.get(peer.id);
  if (known?.endpoint === endpoint) return known;
  known?.close();
  const link: PeerLink = createPeerLink({
    id: peer.id,
    endpoint,
    isToStranger: peer.address === undefined,
    openChannel: (trafficClass) => openChannel(state, endpoint, trafficClass),
    hello: () => ({
      clusterId: state.handlers?.clusterId() ?? "",
      from: state.options.id,
      to: peer.id,
      address: state.options.address(),
    }),
    runtime: state.options.runtime,
    onBroken() {
      state.handlers?.onUnreachable(peer.id);
      detached(probe(state, link));
    },
  });
  state.links.set(peer.id, link);
  return link;
}

async function probe(state: State, link: PeerLink): Promise<void> {
  const { id, endpoint } = link;
  if (state.probing.has(id)) return;
  state.probing.add(id);
  const { rpc, runtime } = state.options;
  const colon = endpoint.lastIndexOf(":");
  const host = endpoint.slice(0, colon).replace(/^\[|\]$/g, "");
  let passedMs = 0;
  for (const atMs of probesAtMs) {
    if (atMs > passedMs) await delay(runtime.scheduler, atMs - passedMs);
    passedMs = atMs;
    // It is reached elsewhere by now, or nobody wants to know any more.
    if (state.handlers === undefined || state.links.get(id) !== link) break;
    if ((await rpc.probe({ host, port: Number(endpoint.slice(colon + 1)) }, probeMs)) !== "refused") continue;
    tellRefused(state, id);
    break;
  }
  state.probing.delete(id);
}

function tellRefused({ handlers }: State, id: NodeId): void {
  handlers?.onRefused(id);
}

async function submit(
  state: State,
  to: Peer,
  { command, signal }: { readonly command: Uint8Array; readonly signal: AbortSignal },
): Promise<SubmitAnswer> {
  const endpoint = endpointOf(state, to);
  if (endpoint === undefined) return { kind: "notLeader" };
  const channel = state.submits.get(endpoint) ?? openChannel(state, endpoint, "raft");
  state.submits.set(endpoint, channel);
  const clusterId = state.handlers?.clusterId() ?? "";
  try {
    const request = { clusterId, to: to.id, command };
    return answerOf(await createRpcClient(RaftService, channel).submit(request, { signal, timeoutMs: submitMs }));
  } catch (error) {
    if (!(error instanceof TidemarkError)) throw error;
    if (error.outcome === Outcome.NOT_APPLIED) return { kind: "notLeader" };
    throw new LinkLostError(error.message);
  }
}
