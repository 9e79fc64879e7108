/** What a produce waited for: disks, and the ways between the processes that took part in it. */
import { attributeNames, spanNames } from "@tidemark/telemetry";
import type { TraceSpan } from "../span.ts";
import type { Blame, Hop } from "./blame.ts";
import { attributeOf, betweenMs, msOf, type TraceTree } from "./tree.ts";

/** Flushes and appends, on the leader and its followers: also the wait behind the flush before. */
export function blameDisks(tree: TraceTree): readonly Blame[] {
  const all = [...tree.named(spanNames.flush), ...tree.named(spanNames.append)];
  return all.flatMap(waitedIn(tree)).map((span) => {
    const { traceId, process, name } = span;
    const sync = attributeOf(span, attributeNames.syncMs);
    const of = sync === undefined ? "" : `, of it ${Number(sync).toFixed(1)} ms fdatasync`;
    return {
      traceId,
      process,
      part: "disk",
      ms: msOf(span),
      text: `${name} on ${process}: ${msOf(span).toFixed(1)} ms${of}`,
    };
  });
}

/**
 * The ways from the client to the gateway, on to the leader, and from there to each follower. `linked`: ids of spans that
 * another one links to, in whatever trace.
 */
export function hopsOf(tree: TraceTree, linked: ReadonlySet<string>): readonly Hop[] {
  const waited = waitedIn(tree);
  const below = (call: TraceSpan, name?: string) => tree.childrenOf(call, name).flatMap(waited);
  const hopsBetween = (caller: string, callee: string) => hops(tree.named(caller).flatMap(waited), callee, below);
  const routes = tree.named(spanNames.gatewayRoute);
  const whole = routes.filter(({ spanId, links }) => links.length === 0 && !linked.has(spanId));
  return [
    ...hopsBetween(spanNames.produce, spanNames.gatewayRoute),
    ...hopsBetween(spanNames.produce, spanNames.brokerProduce),
    ...hopsBetween(spanNames.gatewayRoute, spanNames.brokerProduce),
    ...hopsBetween(spanNames.replicate, spanNames.replicaReceive),
    ...[...tree.named(spanNames.replicate), ...whole].flatMap(waited).flatMap((call) => unanswered(call, below)),
  ];
}

/**
 * What of a span somebody waited for. Not what followers do for a batch that only its leader's flush was waited for, nor
 * what any does behind the ack, as one that is out of sync: that goes on, however long it takes.
 */
function waitedIn(tree: TraceTree): (span: TraceSpan) => readonly TraceSpan[] {
  return (span) => {
    const replicate = nearest(tree, span, spanNames.replicate);
    const produce = replicate && tree.parentOf(replicate);
    if (replicate === undefined || produce === undefined) return [span];
    if (ackedAlone.has(attributeOf(produce, attributeNames.acks))) return [];
    // Within it all was waited for, whatever the clock of the follower says.
    if (replicate.endNanos <= produce.endNanos) return [span];
    if (span.startNanos >= produce.endNanos) return [];
    return [span.endNanos <= produce.endNanos ? span : { ...span, endNanos: produce.endNanos }];
  };
}

/** The span itself, or the first above it. */
function nearest(tree: TraceTree, span: TraceSpan, name: string): TraceSpan | undefined {
  let at: TraceSpan | undefined = span;
  while (at !== undefined && at.name !== name) at = tree.parentOf(at);
  return at;
}

const ackedAlone: ReadonlySet<string | undefined> = new Set(["leader", "none"]);

/** The children of a span, as far as they were waited for. */
type Below = (call: TraceSpan, name?: string) => readonly TraceSpan[];

/** Several tries of one call stand one behind the other: the way there is that to the first, the way back from the last. */
function hops(calls: readonly TraceSpan[], calleeName: string, below: Below): readonly Hop[] {
  return calls.flatMap((call) => {
    const served = below(call, calleeName);
    const [first] = served;
    if (first === undefined) return [];
    const start = served.reduce((least, { startNanos }) => (startNanos < least ? startNanos : least), first.startNanos);
    const end = served.reduce((most, { endNanos }) => (endNanos > most ? endNanos : most), first.endNanos);
    return [
      {
        traceId: call.traceId,
        name: call.name,
        caller: call.process,
        callee: first.process,
        thereMs: betweenMs(call.startNanos, start),
        backMs: betweenMs(end, call.endNanos),
      },
    ];
  });
}

/**
 * Whoever was called left no span: all of it is the way there. Not to be asked of a failure that nobody sampled, of which
 * gateway and leader each record their part by itself: the gateway's links to its caller, or else the leader's to it.
 */
function unanswered(call: TraceSpan, below: Below): readonly Hop[] {
  if (below(call).length > 0) return [];
  const id = attributeOf(call, call.name === spanNames.replicate ? attributeNames.follower : attributeNames.leader);
  if (id === undefined) return [];
  const { traceId, name, process } = call;
  return [{ traceId, name, caller: process, callee: `broker-${id}`, thereMs: msOf(call), backMs: 0 }];
}
