/** What elections and changes of the ISR waited for, and whom they tell of. */
import { attributeNames, spanNames } from "@tidemark/telemetry";
import type { TraceSpan } from "../span.ts";
import type { Blame } from "./blame.ts";
import { attributeOf, msOf, numberOf, type TraceTree } from "./tree.ts";

/** A transaction of etcd that lasts longer than this is one of an etcd that hangs. */
const transactionMsMax = 500;

/**
 * An election is told of a broker that was lost, which costs what its session had still to run; and it lasts as long as
 * the backend takes to commit it. `backend`: what brokers that wait for the controllers wait for.
 */
export function blameElections(tree: TraceTree, backend: string): readonly Blame[] {
  return [
    ...tree.named(spanNames.sessionEnd).flatMap(lostBroker),
    ...tree.named(spanNames.commitBatch).flatMap(slowCommit),
    ...tree.named(spanNames.isrShrink).flatMap(laggards),
    ...[...tree.named(spanNames.isrShrink), ...tree.named(spanNames.isrExpand)].map((span) =>
      slowChange(span, backend),
    ),
    ...tree.named(spanNames.etcdWatchGap).map((span) => backendOf("etcd", span, "no watch of etcd stood")),
    ...tree.named(spanNames.etcdTransaction).flatMap(hungTransaction),
    ...tree.named(spanNames.controllerLost).flatMap((span) => lostController(tree, span)),
    // What a deposed controller had yet to tell came from its successor, when is not known here.
    ...tree
      .named(spanNames.publish)
      .filter(({ error }) => error !== "NOT_CONTROLLER")
      .map(slowPublish),
  ];
}

function lostBroker(span: TraceSpan): readonly Blame[] {
  const broker = attributeOf(span, attributeNames.broker);
  const cause = attributeOf(span, attributeNames.cause) ?? "";
  // One that said that it stops is nobody's fault.
  if (broker === undefined || !(cause === "session timeout" || cause === "connection lost")) return [];
  const silent = numberOf(span, attributeNames.lastHeartbeatMs) ?? msOf(span);
  const what = cause === "connection lost" ? "its port refused" : "it was silent";
  const text = `session of broker-${broker} ended by ${cause}: ${what}, last heard ${silent} ms before`;
  return [{ traceId: span.traceId, process: `broker-${broker}`, part: "process", ms: silent, text }];
}

function slowCommit(span: TraceSpan): readonly Blame[] {
  const backend = attributeOf(span, attributeNames.backend) ?? "consensus";
  return [backendOf(backend, span, "a batch was committed")];
}

/** From the proposal to its commit: the controller's word was waited for. */
function slowChange(span: TraceSpan, backend: string): Blame {
  const attempts = attributeOf(span, attributeNames.attempt) ?? "1";
  const text = `${span.name} waited ${msOf(span).toFixed(1)} ms for the controllers, attempts: ${attempts}`;
  return { traceId: span.traceId, process: backend, part: "consensus backend", ms: msOf(span), text };
}

function laggards(span: TraceSpan): readonly Blame[] {
  const list = (name: string) => (attributeOf(span, name) ?? "").split(",");
  const [lags, heard] = [list(attributeNames.lagMs), list(attributeNames.lastFetchMs)];
  return list(attributeNames.follower).flatMap((follower, index) => {
    const lag = Number(lags[index] ?? 0);
    if (follower === "" || !(lag > 0)) return [];
    const text = `broker-${follower} left the ISR: not caught up for ${lag} ms, last heard ${heard[index] ?? "?"} ms before`;
    return [{ traceId: span.traceId, process: `broker-${follower}`, part: "process" as const, ms: lag, text }];
  });
}

function hungTransaction(span: TraceSpan): readonly Blame[] {
  const hangs = span.error === "LOST" || msOf(span) > transactionMsMax;
  return hangs
    ? [backendOf("etcd", span, `a transaction ${span.error === "LOST" ? "had no answer" : "took long"}`)]
    : [];
}

/** The first start is nobody's fault. Where the backend hung meanwhile, its own spans weigh more than this one. */
function lostController(tree: TraceTree, span: TraceSpan): readonly Blame[] {
  const election = tree.parentOf(span);
  const lost = attributeOf(span, attributeNames.controller);
  if (election === undefined || attributeOf(election, attributeNames.cause) === "start" || lost === undefined)
    return [];
  const backend = attributeOf(election, attributeNames.backend);
  const won = attributeOf(election, attributeNames.controller);
  // It was there all the time, and is the active one again: what it could not reach was the store.
  if (won === lost && backend === "etcd")
    return [backendOf("etcd", span, `controller-${lost} lost its lease and got it back`)];
  const text = `controller-${lost} was lost: nobody was active for ${msOf(span).toFixed(1)} ms`;
  return [{ traceId: span.traceId, process: `controller-${lost}`, part: "process", ms: msOf(span), text }];
}

function slowPublish(span: TraceSpan): Blame {
  const broker = attributeOf(span, attributeNames.broker) ?? "";
  const how = span.error === undefined ? "had the new metadata" : "did not have the new metadata";
  const text = `broker-${broker} ${how} after ${msOf(span).toFixed(1)} ms`;
  return { traceId: span.traceId, process: `broker-${broker}`, part: "process", ms: msOf(span), text };
}

function backendOf(process: string, span: TraceSpan, what: string): Blame {
  const ms = msOf(span);
  return { traceId: span.traceId, process, part: "consensus backend", ms, text: `${what}: ${ms.toFixed(1)} ms` };
}
