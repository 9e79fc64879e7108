import { type Jaeger, testWithJaeger } from "@tidemark/testkit/jaeger";
import { expect } from "vitest";
import { expectStory } from "../../integration/story/expect.ts";
import { type Backend, type Told, tellStory } from "../../integration/story/tell.ts";

/** One backend for each file, since what a process exports goes to one place for as long as it lives. */
export function testStory(backend: Backend): void {
  const name = `7 produces, 4 fetches and 2 elections on the backend ${backend} are exactly the traces that are drawn`;
  testWithJaeger(name, async (jaeger) => {
    const told = await tellStory(jaeger, { backend, produces: 7, fetches: 4, elections: 2 });
    expectStory(told);
    await expectFollowsFrom(jaeger, told);
  });
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
