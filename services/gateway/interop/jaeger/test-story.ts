import { type Jaeger, testWithJaeger } from "@tidemark/testkit/jaeger";
import { expect } from "vitest";
import { criticalPath } from "../../integration/story/critical-path.ts";
import { expectStory } from "../../integration/story/expect.ts";
import { type Backend, type Told, tellStory } from "../../integration/story/tell.ts";

/** One backend for each file, since what a process exports goes to one place for as long as it lives. */
export function testStory(backend: Backend): void {
  const name = `7 produces, 4 fetches and 2 elections on the backend ${backend} are exactly the traces that are drawn`;
  testWithJaeger(name, async (jaeger) => {
    const told = await tellStory(jaeger, { backend, produces: 7, fetches: 4, elections: 2 });
    expectStory(told);
    await expectFollowsFrom(jaeger, told);
    expectLatencyToAddUp(told);
  });
}

/** Of several produces that in the middle: one of them may have met a machine that was busy. */
const median = (values: readonly number[]) => [...values].sort((left, right) => left - right)[values.length >> 1] ?? 0;

/**
 * What the spans on the critical path of a produce add up to is what its client measured, within a tenth; and no more than
 * a tenth of that is the leader's time that no step of it accounts for.
 */
function expectLatencyToAddUp({ spans, produced, produces }: Told): void {
  const measured = produced.slice(0, produces).map(({ traceId, ms }) => {
    const root = spans.find((span) => span.traceId === traceId && span.name === "tidemark.produce");
    const path = root === undefined ? [] : criticalPath(root, spans);
    const sumMs = (of: typeof path) => of.reduce((sum, { nanos }) => sum + Number(nanos) / 1e6, 0);
    const unexplained = sumMs(path.filter(({ span }) => span.name === "broker produce"));
    return { ms, ofPath: sumMs(path) / ms, unexplained: unexplained / ms };
  });
  console.log(
    measured
      .map(({ ms, ofPath, unexplained }) => {
        const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
        return `${ms.toFixed(1)} ms by the client, path ${percent(ofPath)}, unexplained ${percent(unexplained)}`;
      })
      .join("\n"),
  );
  expect(Math.abs(1 - median(measured.map(({ ofPath }) => ofPath)))).toBeLessThan(0.1);
  expect(median(measured.map(({ unexplained }) => unexplained))).toBeLessThan(0.1);
}

/** What the older API shows as references of another kind than parents is what the spans say of links. */
async function expectFollowsFrom(jaeger: Jaeger, { spans }: Told): Promise<void> {
  const pair = (from: string, to: string) => `${from} -> ${to}`;
  for (const traceId of new Set(spans.map((span) => span.traceId))) {
    const own = spans.filter((span) => span.traceId === traceId);
    const links = own.flatMap((span) => span.links.map((link) => pair(span.spanId, link.spanId)));
    const shown = (await jaeger.followsFrom(traceId)).map(({ from, to }) => pair(from, to));
    expect(shown.sort()).toEqual(links.sort());
  }
}
