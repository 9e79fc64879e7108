import { ROOT_CONTEXT } from "@opentelemetry/api";
import { SamplingDecision, TraceIdRatioBasedSampler } from "@opentelemetry/sdk-trace";
import { createSeededRandom } from "@tidemark/runtime";
import { describe, expect, test } from "vitest";
import { createTraceSampler } from "./sampling.ts";

const caller = (sampled: boolean) => ({
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  spanId: "00f067aa0ba902b7",
  sampled,
  traceState: undefined,
});
const share = (ratio: number, calls: number) => {
  const sampler = createTraceSampler({ followsParent: true, ratio }, createSeededRandom(11));
  let sampled = 0;
  for (let call = 0; call < calls; call++) if (sampler.samples(undefined)) sampled += 1;
  return sampled / calls;
};

describe("parent-based sampling", () => {
  test("follows the caller, whatever its own ratio", () => {
    for (const ratio of [0, 0.5, 1]) {
      const sampler = createTraceSampler({ followsParent: true, ratio }, createSeededRandom(1));
      expect(sampler.samples(caller(true))).toBe(true);
      expect(sampler.samples(caller(false))).toBe(false);
    }
  });

  test.each([0, 0.01, 0.3, 1])("records a share of %d of what begins here", (ratio) => {
    expect(share(ratio, 200_000)).toBeCloseTo(ratio, 2);
  });

  test("draws each trace by itself: gaps between sampled ones vary", () => {
    const sampler = createTraceSampler({ followsParent: true, ratio: 0.1 }, createSeededRandom(5));
    const gaps = new Set<number>();
    let gap = 0;
    for (let call = 0; call < 5000; call++) {
      gap += 1;
      if (!sampler.samples(undefined)) continue;
      gaps.add(gap);
      gap = 0;
    }
    expect(gaps.size).toBeGreaterThan(15);
    expect(gaps).toContain(1);
  });

  test("draws no number for a trace that is passed over", () => {
    let draws = 0;
    const random = { ...createSeededRandom(1), next: () => (draws++, 0.5) };
    const sampler = createTraceSampler({ followsParent: true, ratio: 0.01 }, random);
    draws = 0;
    // Half of all gaps at 1 % are longer than this.
    for (let call = 0; call < 60; call++) expect(sampler.samples(undefined)).toBe(false);
    expect(draws).toBe(0);
  });
});

describe("sampling by the trace id", () => {
  test("decides as every other process of that ratio does, whatever the caller says", () => {
    const sampler = createTraceSampler({ followsParent: false, ratio: 0.5 }, createSeededRandom(1));
    const other = new TraceIdRatioBasedSampler(0.5);
    for (let word = 0; word < 0x100; word++) {
      const traceId = `${word.toString(16).padStart(2, "0")}000001${"0".repeat(24)}`;
      const context = { ...caller(word % 2 === 0), traceId };
      const { decision } = other.shouldSample(ROOT_CONTEXT, traceId);
      expect(sampler.samples(context)).toBe(decision === SamplingDecision.RECORD_AND_SAMPLED);
    }
  });

  test.each([1e-7, 0.01, 0.5, 1])("of %d takes every trace that begins here and is recorded", (ratio) => {
    const sampler = createTraceSampler({ followsParent: false, ratio }, createSeededRandom(2));
    for (let trace = 0; trace < 200; trace++) {
      expect(sampler.samples({ ...caller(false), traceId: sampler.newTraceId() })).toBe(true);
    }
  });
});

test("ids are unlike each other, of the right length and never all zero", () => {
  const zeros = { next: () => 0, bytes: (length: number) => new Uint8Array(length) };
  const sampler = createTraceSampler({ followsParent: true, ratio: 1 }, zeros);
  expect(sampler.newTraceId()).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
  expect(sampler.newSpanId()).toMatch(/^(?!0{16})[0-9a-f]{16}$/);
  const seeded = createTraceSampler({ followsParent: true, ratio: 0.01 }, createSeededRandom(3));
  expect(new Set(Array.from({ length: 1000 }, () => seeded.newTraceId())).size).toBe(1000);
});
