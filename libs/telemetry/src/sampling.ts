import { ROOT_CONTEXT } from "@opentelemetry/api";
import { SamplingDecision, TraceIdRatioBasedSampler } from "@opentelemetry/sdk-trace";
import type { Random } from "@tidemark/runtime";
import type { TraceContext } from "./trace-context.ts";

const spanIdBytes = 8;
const noSpanId = "00".repeat(spanIdBytes);

/** Which traces are recorded. */
export interface SamplingPolicy {
  /** Whether the caller's decision holds (parent-based). Otherwise every process decides by the trace id. */
  readonly followsParent: boolean;
  /** The share of traces that are recorded, 0 to 1: of those that begin here, or of all. */
  readonly ratio: number;
}

export interface TraceSampler {
  /** Whether the work of this caller, or without one the work that begins here, is recorded. Allocates nothing. */
  samples(parent: TraceContext | undefined): boolean;
  /** The id of a trace that begins here and is recorded. */
  newTraceId(): string;
  newSpanId(): string;
}

export function createTraceSampler({ followsParent, ratio }: SamplingPolicy, random: Random): TraceSampler {
  const byTraceId = new TraceIdRatioBasedSampler(ratio);
  const drawsRoot = createDraw(ratio, random);
  return {
    samples: (parent) => {
      if (parent === undefined) return drawsRoot();
      if (followsParent) return parent.sampled;
      return byTraceId.shouldSample(ROOT_CONTEXT, parent.traceId).decision === SamplingDecision.RECORD_AND_SAMPLED;
    },
    newTraceId: () => sampledTraceId(ratio, random),
    newSpanId: () => newId(random),
  };
}

/**
 * True for a share `ratio` of its calls, each independent of the others. It draws how many calls to let pass instead
 * of drawing at each call: the same distribution, and a call that is not sampled costs one subtraction.
 */
function createDraw(ratio: number, random: Random): () => boolean {
  if (ratio <= 0) return () => false;
  if (ratio >= 1) return () => true;
  const drawGap = () => Math.floor(Math.log(1 - random.next()) / Math.log(1 - ratio));
  let passing = drawGap();
  return () => {
    if (passing > 0) {
      passing -= 1;
      return false;
    }
    passing = drawGap();
    return true;
  };
}

/**
 * A trace id that a sampler by trace id, here or in another process of the same ratio, takes as well. Such a sampler
 * compares the exclusive or of the id's four words with the ratio.
 */
function sampledTraceId(ratio: number, random: Random): string {
  const words = new Uint32Array(4);
  const limit = Math.max(1, Math.floor(ratio * 0xffffffff));
  const target = Math.floor(random.next() * limit);
  const bytes = random.bytes(12);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let word = 0; word < 3; word++) words[word] = view.getUint32(word * 4);
  // Never all zero: an id of zeros means "no trace".
  words[0] = (words[0] ?? 0) | 1;
  words[3] = (words[0] ^ (words[1] ?? 0) ^ (words[2] ?? 0) ^ target) >>> 0;
  return Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("");
}

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** The two digits of a byte. */
export function digitsOf(byte: number): string {
  return hexOfByte[byte] ?? "";
}

/** Never all zero: an id of zeros means "no span". */
function newId(random: Random): string {
  let id = "";
  for (const byte of random.bytes(spanIdBytes)) id += digitsOf(byte);
  return id === noSpanId ? `01${id.slice(2)}` : id;
}
