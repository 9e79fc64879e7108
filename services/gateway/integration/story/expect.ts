import type { ReceivedSpan } from "@tidemark/testkit";
import { drawing, drawTraces } from "@tidemark/testkit/traces";
import { expect } from "vitest";
import { type Backend, caller, type Told } from "./tell.ts";

/** Below `commit batch`: what the backend did for it. */
const inner: Readonly<Record<Backend, readonly string[]>> = {
  single: [],
  raft: ["raft append", "raft quorum"],
  etcd: ["etcd transaction"],
};

/** Traces that happen or do not, as the machine has it: campaigns that nobody won, and what a store does by itself. */
const weather = new Set(["campaign", "raft snapshot", "etcd watch gap"]);

/** What is drawn from the gateway on of a produce to so many followers. */
function routeTrace(followers: number): string {
  const replicate = `
          replicate @broker -> replica fetch @broker
            replica receive @broker -> replica fetch @broker
              append @broker
              flush @broker`;
  return drawing(`
      gateway route @gateway
        broker produce @broker
          ack @broker
          append @broker
          flush @broker
          high watermark advance @broker${replicate.repeat(followers)}`);
}

/** The same below the client and the program that uses it. */
function produceTrace(followers: number): string {
  const route = routeTrace(followers).replaceAll(/^/gm, "    ");
  return `application @client\n  tidemark.produce @client\n${route}`;
}

function fetchTrace(links: number): string {
  const linked = `-> tidemark.produce @client${links > 1 ? ` x${links}` : ""}`;
  return drawing(`
      tidemark.fetch @client ${linked}
        broker fetch @broker ${linked}`);
}

function electionTrace(backend: Backend): string {
  const below = inner[backend].map((name) => `\n          ${name} @controller`).join("");
  return drawing(`
      election @controller
        commit batch @controller${below}
        decide @controller
        partition @controller
          become leader @broker
        publish @controller
        publish @controller
        session end @controller`);
}

function controllerElectionTrace(backend: Backend): string {
  const campaign = backend === "single" ? "" : "\n        campaign @controller";
  return drawing(`
      controller election @controller${campaign}
        catch up @controller
        controller lost @controller
        first action @controller
        grant sessions @controller`);
}

/** Exactly what is drawn, no span missing and none too many, by name, parent and link. */
export function expectWhatIsDrawn({ backend, produces, fetches, elections, spans }: Told): void {
  const drawn = [...drawTraces(spans)].filter(([text]) => !weather.has(text.split(" @")[0] ?? ""));
  const expected = [
    [produceTrace(2), produces],
    // While the one that was lost is away.
    [produceTrace(1), elections],
    [`(called) ${routeTrace(2)}`, 1],
    // What the caller's own span is stored with, and nobody here has heard of.
    ["(called) broker fetch @broker -> nothing", 1],
    ["replica fetch @broker", 2 * (produces + 1) + elections],
    // Of the topic when it was made, which is no election.
    ["become leader @broker", 1],
    [fetchTrace(produces), fetches],
    [electionTrace(backend), elections],
    ["isr expand @broker", elections],
    [controllerElectionTrace(backend), 1],
  ] as const;
  expect(Object.fromEntries(drawn)).toEqual(Object.fromEntries(expected.filter(([, count]) => count > 0)));
}

const instanceOf = ({ resource }: ReceivedSpan) => resource["service.instance.id"];

/** What a follower did was told by that follower, and the leader's span links to the very fetch that brought the batch. */
export function expectFollowersSpansToBeTheirOwn({ spans, produces, elections }: Told): void {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const receives = spans.filter(({ name }) => name === "replica receive");
  expect(receives).toHaveLength(2 * (produces + 1) + elections);
  for (const receive of receives) {
    const replicate = byId.get(receive.parentSpanId ?? "");
    const follower = `broker-${replicate?.attributes["tidemark.follower"] as number}`;
    expect(instanceOf(receive)).toBe(follower);
    expect(replicate && instanceOf(replicate)).not.toBe(follower);
    const [fetch] = receive.links;
    expect(byId.get(fetch?.spanId ?? "")?.name).toBe("replica fetch");
    expect(byId.get(fetch?.spanId ?? "")?.resource["service.instance.id"]).toBe(follower);
    expect(replicate?.links.map(({ spanId }) => spanId)).toEqual([fetch?.spanId]);
  }
}

/** How exactly each service knows the wall clock that all of them share. */
const serviceClockNanos = 200_000n;
/**
 * A client's spans carry the times of OpenTelemetry's library: they begin at a whole millisecond of the wall clock, and
 * end as much later as they took. If the process was not run between the two readings, they end too early, by any time:
 * so what stands below one of them lasts no longer, and mostly ends no later.
 */
const clientClockNanos = 1_000_000n;
/** What lasts longer than its parent by its meaning: until somebody produces. */
const outlivesItsParent = new Set(["become leader"]);

/** Each span lies within its parent; those of another process but for what the two clocks are apart. */
export function expectChildrenWithinTheirParents({ spans }: Told): void {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const outside = spans.flatMap((span) => {
    const parent = byId.get(span.parentSpanId ?? "");
    if (parent === undefined || outlivesItsParent.has(span.name)) return [];
    const apart = clocksApart(span, parent);
    const [before, after] = [parent.startNanos - span.startNanos, span.endNanos - parent.endNanos];
    const isLate = isClient(parent) ? before + after > apart : after > apart;
    return before > apart || isLate ? [`${span.name} in ${parent.name}: ${before} ns, ${after} ns`] : [];
  });
  // A text, so that a report of one line names them.
  expect([...outside, ...mostlyLate(spans, byId)].join("; ")).toBe("");
}

/** What stands below a client's spans and ends behind them in the median: a single one of them may be told too early. */
function mostlyLate(spans: readonly ReceivedSpan[], byId: ReadonlyMap<string, ReceivedSpan>): readonly string[] {
  const below = spans.flatMap((span) => {
    const parent = byId.get(span.parentSpanId ?? "");
    if (parent === undefined || !isClient(parent)) return [];
    return [{ name: `${span.name} in ${parent.name}`, after: span.endNanos - parent.endNanos }];
  });
  return [...Map.groupBy(below, ({ name }) => name)].flatMap(([name, ends]) => {
    const nanos = ends.map(({ after }) => after).sort((one, other) => Number(one - other));
    const median = nanos[Math.floor((nanos.length - 1) / 2)] ?? 0n;
    return median > clientClockNanos ? [`${name}: ends ${median} ns behind it`] : [];
  });
}

const isClient = ({ resource }: ReceivedSpan) => resource["service.name"] === "tidemark-client";

function clocksApart(one: ReceivedSpan, other: ReceivedSpan): bigint {
  if (isClient(one) || isClient(other)) return clientClockNanos;
  return instanceOf(one) === instanceOf(other) ? 0n : serviceClockNanos;
}

/** A fetch links to the produces of the batches that it handed out, and to no other. */
export function expectFetchesToLinkToTheirProduces(told: Told): void {
  const { spans, produced, produces } = told;
  const read = produced.slice(0, produces).map(({ traceId }) => traceId);
  const fetches = spans.filter(({ name }) => name === "tidemark.fetch" || name === "broker fetch");
  for (const { traceId, links } of fetches) {
    if (traceId === caller.traceId) expect(links).toMatchObject([caller]);
    else expect(links.map((link) => link.traceId)).toEqual(read);
  }
  expect(fetches).toHaveLength(2 * told.fetches + 1);
}

/** Every attribute that is drawn is there, on each span of the name. */
export function expectAttributes({ spans, backend }: Told): void {
  const missing = Object.entries(attributes(backend)).flatMap(([name, wanted]) =>
    spans
      .filter((span) => span.name === name)
      .flatMap((span) => wanted.filter((each) => !(each in span.attributes)).map((each) => `${name}: ${each}`)),
  );
  expect([...new Set(missing)]).toEqual([]);
}

const place = ["messaging.destination.name", "messaging.destination.partition.id"];

function attributes(backend: Backend): Readonly<Record<string, readonly string[]>> {
  const own = (...names: readonly string[]) => names.map((name) => `tidemark.${name}`);
  const batch = ["messaging.batch.message_count", "messaging.message.body.size"];
  const operation = ["messaging.system", "messaging.operation.name"];
  return {
    "tidemark.produce": [...operation, ...place, ...batch, ...own("acks")],
    "gateway route": [...operation, ...place, ...own("leader", "leader_epoch", "attempt", "stale_metadata")],
    "broker produce": [...operation, ...place, ...batch, ...own("base_offset", "leader_epoch", "acks")],
    append: own("queue_ms", "write_ms", "segment", "position"),
    flush: own("group_size", "sync_ms"),
    replicate: own("follower"),
    "replica receive": [...place, ...own("leader")],
    "replica fetch": [...place, ...own("leader"), "messaging.message.body.size"],
    "high watermark advance": own("high_watermark.from", "high_watermark.to", "maximal_isr", "last_replica"),
    ack: own("waited_ms", "replicas_counted", "outcome"),
    "tidemark.fetch": [...operation, ...batch, ...own("offset", "waited_ms", "high_watermark")],
    "broker fetch": [
      ...operation,
      "messaging.destination.name",
      "messaging.message.body.size",
      ...own("waited_ms", "segments_read"),
    ],
    election: own("cause", "broker", "controller_epoch"),
    "session end": own("broker", "cause", "last_heartbeat_ms", "revision"),
    decide: own("partitions", "partitions.without_leader", "unclean"),
    "commit batch": own("backend", "revision", "batch.index", "batch.count"),
    publish: own("broker", "revision", "lag_ms"),
    partition: [...place, ...own("leader.old", "leader", "leader_epoch", "isr", "elr", "rule", "cause")],
    "become leader": [...place, ...own("leader_epoch", "epoch_start_offset")],
    "isr expand": [...place, ...own("follower", "lag_ms", "lag_records", "last_fetch_ms", "isr", "cause")],
    "controller election": own("cause", "backend", "controller", "controller_epoch"),
    "catch up": own("revision"),
    "grant sessions": own("sessions"),
    "raft append": own("backend", "raft.index"),
    "raft quorum": own("backend", "raft.index"),
    "etcd transaction": own("backend", "outcome", "revision"),
    campaign: own("backend", "outcome", backend === "raft" ? "raft.term" : "controller_epoch"),
  };
}

/** All of the above: what every reader of traces has to find. */
export function expectStory(told: Told): void {
  expectWhatIsDrawn(told);
  expectFollowersSpansToBeTheirOwn(told);
  expectChildrenWithinTheirParents(told);
  expectFetchesToLinkToTheirProduces(told);
  expectAttributes(told);
}
