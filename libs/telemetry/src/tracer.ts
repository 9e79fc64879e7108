import {
  type Context,
  ROOT_CONTEXT,
  type Span as SdkSpan,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { TraceState } from "@opentelemetry/core";
import { AlwaysOnSampler, type SpanProcessor } from "@opentelemetry/sdk-trace";
import type { Clock, Random } from "@tidemark/runtime";
import { type SpanAttributes, toAttributes } from "./attributes.ts";
import { createErrorAllowance } from "./error-allowance.ts";
import { attributeNames, type SpanName } from "./names.ts";
import type { Providers } from "./providers.ts";
import { createTraceSampler, type SamplingPolicy } from "./sampling.ts";
import type { TraceContext } from "./trace-context.ts";
import { createUnsampled } from "./unsampled.ts";
import { createWallAnchor, type ToEpoch } from "./wall-anchor.ts";

/** A span carries so many links; the rest are counted in an attribute. */
export const maxLinks = 32;

export interface SpanStart {
  readonly name: SpanName;
  /** The side of a call or of a message that this is; "internal" where it is neither. */
  readonly kind?: "internal" | "client" | "server" | "producer" | "consumer";
  /** Undefined begins a trace. So does a caller that is not sampled: its span exists nowhere, so it gets a link. */
  readonly parent: TraceContext | undefined;
  /** Reading of the monotonic clock. Unset: now. */
  readonly startMs?: number;
  readonly attributes?: SpanAttributes;
  /** Work that this serves or came from, in the order of importance. */
  readonly links?: readonly TraceContext[];
  /** Of `unsampled`, told to those who were called before it was to be recorded: the span has these ids. Only where it begins a trace. */
  readonly told?: TraceContext | undefined;
}

export interface SpanEnd {
  /** Reading of the monotonic clock. Unset: now. */
  readonly endMs?: number;
  /** What went wrong, as a reason of the suite's closed set. Unset: nothing. */
  readonly error?: string | undefined;
}

/** A span under way. Calls after its end do nothing. */
export interface Span {
  /** What to tell those who work for it. */
  readonly context: TraceContext;
  set(attributes: SpanAttributes): void;
  link(to: TraceContext): void;
  /** A moment within the span. `atMs`: reading of the monotonic clock, now if not given. */
  event(name: string, attributes?: SpanAttributes, atMs?: number): void;
  end(end?: SpanEnd): void;
}

/**
 * Makes spans for adapters.
 *
 * `samples` is the gate: an adapter asks it once for each piece of work and, where it says no, makes no call and no
 * object at all. `start` and `record` do not ask again, so what must always be seen (an election, a change of the ISR)
 * is recorded by not asking.
 */
export interface Tracer {
  /** Whether spans go anywhere. */
  readonly enabled: boolean;
  /** Whether to record the work of this caller (without one: the work that begins here). Allocates nothing. */
  samples(parent: TraceContext | undefined): boolean;
  /**
   * Whether to record a failure that is not sampled: at a limited rate, ten at once and one a second. To be asked once for
   * each of them.
   */
  samplesError(): boolean;
  start(start: SpanStart): Span;
  /** Records a span that is over already, and says who it was. */
  record(span: SpanStart & SpanEnd): TraceContext;
  /**
   * Tells those who are called "this is not recorded", so that they do not draw again: a context of its own for each call. Where
   * the call is recorded after all, since it failed, the span takes it on (`told`), and what they link to is there.
   */
  unsampled(): TraceContext;
}

export interface TracerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly sampling: SamplingPolicy;
  readonly providers: Pick<Providers, "tracer">;
  /** Where spans go. */
  readonly processor: SpanProcessor;
}

export function createTracer(options: TracerOptions): Tracer {
  const { clock, random, providers, processor } = options;
  const sampler = createTraceSampler(options.sampling, random);
  /** Those of the span that is being started, where they are known already. */
  let ids: TraceContext | undefined;
  const sdk = providers.tracer(processor, {
    // The gate has decided before the provider is asked.
    sampler: new AlwaysOnSampler(),
    spanLimits: { linkCountLimit: maxLinks },
    idGenerator: {
      generateTraceId: () => ids?.traceId ?? sampler.newTraceId(),
      generateSpanId: () => ids?.spanId ?? sampler.newSpanId(),
    },
  });
  const anchor = createWallAnchor(clock);
  const now = () => clock.monotonicMs();

  const start = ({ name, kind, parent, startMs, attributes, links = [], told }: SpanStart): Span => {
    const orphan = parent?.sampled === false ? [parent] : [];
    const all = [...orphan, ...links];
    const toEpoch = anchor.held();
    ids = told;
    const span = sdk.startSpan(
      name,
      {
        startTime: toEpoch(startMs ?? now()),
        kind: kinds[kind ?? "internal"],
        links: all.slice(0, maxLinks).map((link) => ({ context: toSpanContext(link) })),
        ...(attributes === undefined ? {} : { attributes: toAttributes(attributes) }),
      },
      parent?.sampled === true ? contextOf(parent) : ROOT_CONTEXT,
    );
    ids = undefined;
    return wrapSpan(span, { links: all.length, traceState: parent?.traceState, toEpoch, now });
  };

  return {
    enabled: true,
    samples: (parent) => sampler.samples(parent),
    samplesError: createErrorAllowance(clock),
    start,
    record: (span) => {
      const started = start(span);
      started.end(span);
      return started.context;
    },
    unsampled: createUnsampled(sampler),
  };
}

/** A tracer for a process that exports nothing. Contexts pass through it, so that a trace goes on behind it. */
export function createDisabledTracer(random: Random): Tracer {
  const unsampled = createUnsampled(createTraceSampler({ followsParent: true, ratio: 0 }, random))();
  const nothing = () => undefined;
  const start = ({ parent }: SpanStart): Span => ({
    context: parent ?? unsampled,
    set: nothing,
    link: nothing,
    event: nothing,
    end: nothing,
  });
  return {
    enabled: false,
    samples: () => false,
    samplesError: () => false,
    start,
    record: ({ parent }) => parent ?? unsampled,
    unsampled: () => unsampled,
  };
}

const kinds = {
  internal: SpanKind.INTERNAL,
  client: SpanKind.CLIENT,
  server: SpanKind.SERVER,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

function wrapSpan(
  span: SdkSpan,
  of: {
    readonly links: number;
    readonly traceState: string | undefined;
    readonly toEpoch: ToEpoch;
    readonly now: () => number;
  },
): Span {
  const { traceId, spanId } = span.spanContext();
  let links = of.links;
  let ended = false;
  return {
    context: { traceId, spanId, sampled: true, traceState: of.traceState },
    set: (attributes) => {
      if (!ended) span.setAttributes(toAttributes(attributes));
    },
    link: (to) => {
      if (ended) return;
      links += 1;
      if (links <= maxLinks) span.addLink({ context: toSpanContext(to) });
    },
    event: (name, attributes = {}, atMs = of.now()) => {
      if (!ended) span.addEvent(name, toAttributes(attributes), of.toEpoch(atMs));
    },
    end: ({ endMs = of.now(), error } = {}) => {
      if (ended) return;
      ended = true;
      if (links > maxLinks) span.setAttribute(attributeNames.linksDropped, links - maxLinks);
      if (error !== undefined) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: error });
        span.setAttribute(attributeNames.error, error);
      }
      span.end(of.toEpoch(endMs));
    },
  };
}

function contextOf(parent: TraceContext): Context {
  return trace.setSpanContext(ROOT_CONTEXT, toSpanContext(parent));
}

function toSpanContext({ traceId, spanId, sampled, traceState }: TraceContext): SpanContext {
  const traceFlags = sampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  if (traceState === undefined) return { traceId, spanId, traceFlags };
  return { traceId, spanId, traceFlags, traceState: new TraceState(traceState) };
}
