/** What a produce waited for: disks, and the ways between the processes that took part in it. */
import { attributeNames, spanNames } from "@tidemark/telemetry";
import type { TraceSpan } from "../span.ts";
import type { Blame, Hop } from "./blame.ts";
import { attributeOf, betweenMs, msOf, type TraceTree } from "./tree.ts";

/** Flushes and appends, on the leader and its followers: also the wait behind the flush before. */
export function blameDisks(tree: TraceTree): readonly Blame[] {
  const all = [...tree.named(spanNames.flush), ...tree.named(spanNames.append)];
  return all.filter(isWaitedFor(tree)).map((span) => {
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
  const replicates = tree.named(spanNames.replicate).filter(isWaitedFor(tree));
  return [
    ...hops(tree, tree.named(spanNames.produce), spanNames.gatewayRoute),
    ...hops(tree, tree.named(spanNames.produce), spanNames.brokerProduce),
    ...hops(tree, tree.named(spanNames.gatewayRoute), spanNames.brokerProduce),
    ...hops(tree, replicates, spanNames.replicaReceive),
    ...replicates.flatMap((span) => unanswered(tree, span)),
    ...tree
      .named(spanNames.gatewayRoute)
      .filter(({ spanId, links }) => links.length === 0 && !linked.has(spanId))
      .flatMap((span) => unanswered(tree, span)),
  ];
}

/**
 * Not what followers do for a batch that only its leader's flush was waited for: it goes on behind the ack, however long
 * it takes.
 */
function isWaitedFor(tree: TraceTree): (span: TraceSpan) => boolean {
  return (span) => {
    for (let at: TraceSpan | undefined = span; at !== undefined; at = tree.parentOf(at)) {
      if (at.name !== spanNames.replicate) continue;
      const produce = tree.parentOf(at);
      return produce === undefined || !ackedAlone.has(attributeOf(produce, attributeNames.acks));
    }
    return true;
  };
}

const ackedAlone: ReadonlySet<string | undefined> = new Set(["leader", "none"]);

/** Several tries of one call stand one behind the other: the way there is that to the first, the way back from the last. */
function hops(tree: TraceTree, calls: readonly TraceSpan[], calleeName: string): readonly Hop[] {
  return calls.flatMap((call) => {
    const served = tree.childrenOf(call, calleeName);
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
function unanswered(tree: TraceTree, call: TraceSpan): readonly Hop[] {
  if (tree.childrenOf(call).length > 0) return [];
  const id = attributeOf(call, call.name === spanNames.replicate ? attributeNames.follower : attributeNames.leader);
  if (id === undefined) return [];
  const { traceId, name, process } = call;
  return [{ traceId, name, caller: process, callee: `broker-${id}`, thereMs: msOf(call), backMs: 0 }];
}
