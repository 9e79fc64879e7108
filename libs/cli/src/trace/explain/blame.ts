/** What a trace can be slow by. */
export type Part =
  /** Its flushes and writes. */
  | "disk"
  /** The way to it and back: what is sent takes long in both directions. */
  | "network"
  /** The process did not run: what reached it lay there. It was stopped, starved of the processor, or gone. */
  | "process"
  /** Whatever keeps the metadata: etcd, or the quorum of the controllers. */
  | "consensus backend";

/** Who made traces slow, by how much, and how that can be told. */
export interface Culprit {
  /** `broker-2`, as the process calls itself; `etcd`, or `raft`, of a consensus backend. */
  readonly process: string;
  readonly part: Part;
  /** Milliseconds, over all the traces. */
  readonly ms: number;
  /** The spans that it is told by, the longest first. */
  readonly evidence: readonly Evidence[];
}

export interface Evidence {
  readonly traceId: string;
  readonly text: string;
  readonly ms: number;
}

/** One finding in one trace. */
export interface Blame extends Evidence {
  readonly process: string;
  readonly part: Part;
}

/** A call, or a message and its answer, between two processes: how long each way took beside the work at its end. */
export interface Hop {
  readonly traceId: string;
  /** What is done by it: `replicate`. */
  readonly name: string;
  readonly caller: string;
  readonly callee: string;
  readonly thereMs: number;
  readonly backMs: number;
}

const evidenceMax = 5;

/** Sums up what was found, the heaviest first. */
export function rank(blames: readonly Blame[]): readonly Culprit[] {
  const found = new Map<string, { process: string; part: Part; ms: number; evidence: Evidence[] }>();
  for (const { process, part, ms, text, traceId } of blames) {
    if (ms <= 0) continue;
    const key = `${process} ${part}`;
    const culprit = found.get(key) ?? { process, part, ms: 0, evidence: [] };
    found.set(key, culprit);
    culprit.ms += ms;
    culprit.evidence.push({ traceId, text, ms });
  }
  return [...found.values()]
    .map((each) => ({
      ...each,
      evidence: each.evidence.sort((left, right) => right.ms - left.ms).slice(0, evidenceMax),
    }))
    .sort((left, right) => right.ms - left.ms);
}

/**
 * A slow network holds up what goes both ways, a process that does not run only what comes to it. So of each hop the
 * lesser of the two ways, twice, is the network's, and the rest belongs to whoever it lay at: the callee on the way
 * there, the caller on the way back.
 *
 * A slow network between two processes may be that of either. It is laid to the one with the most of it over all of its
 * hops; where both have the same, to the one that was called.
 */
export function blameHops(hops: readonly Hop[]): readonly Blame[] {
  const incident = new Map<string, number>();
  for (const hop of hops) {
    for (const end of [hop.caller, hop.callee]) incident.set(end, (incident.get(end) ?? 0) + networkMs(hop));
  }
  return hops.flatMap((hop) => {
    const { traceId, name, caller, callee, thereMs, backMs } = hop;
    const [ofCaller, ofCallee] = [incident.get(caller) ?? 0, incident.get(callee) ?? 0];
    const slow = ofCaller > ofCallee * callerFactor ? caller : callee;
    const late = thereMs > backMs ? callee : caller;
    const text = `${name} from ${caller} to ${callee}: ${formatWay(thereMs)} there, ${formatWay(backMs)} back`;
    return [
      { traceId, process: slow, part: "network" as const, ms: networkMs(hop), text },
      { traceId, process: late, part: "process" as const, ms: Math.abs(thereMs - backMs), text },
    ];
  });
}

/** One follower that is slow makes its own hop slow, and its leader's sum a little greater by the hops to the others. */
const callerFactor = 1.5;

function networkMs({ thereMs, backMs }: Hop): number {
  return 2 * Math.max(0, Math.min(thereMs, backMs));
}

function formatWay(ms: number): string {
  return `${Math.max(0, ms).toFixed(1)} ms`;
}
