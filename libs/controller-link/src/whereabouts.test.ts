import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { createWhereabouts, detourMs, graceMs, type Whereabouts } from "./whereabouts.ts";

const active = (controllerEpoch: number, endpoint: string) => ({ controllerEpoch, endpoint });

function start(): { readonly places: Whereabouts; readonly time: ReturnType<typeof createManualTime> } {
  const time = createManualTime();
  return { time, places: createWhereabouts(["a", "b", "c"], time.scheduler) };
}

describe("which controller is asked", () => {
  it("is the first one, until another is told, and then the one of the newest controller epoch", () => {
    const { places } = start();
    expect(places.endpoint).toBe("a");
    expect(places.isTold).toBe(false);
    places.told(active(4, "c"));
    expect(places.endpoint).toBe("c");
    expect(places.isTold).toBe(true);
    for (const late of [active(3, "b"), active(4, "b")]) places.told(late);
    expect(places.endpoint).toBe("c");
    places.told(active(5, "d"));
    expect(places.endpoint).toBe("d");
  });

  it("is news once for each newer controller epoch, also where that one is asked already", () => {
    const { places } = start();
    const heard: boolean[] = [];
    for (const told of [active(4, "a"), active(5, "a"), active(5, "b"), active(4, "c"), active(6, "c")]) {
      const { news } = places;
      places.told(told);
      heard.push(news.aborted);
    }
    expect(heard).toEqual([true, true, false, false, true]);
  });

  it("is not one without an endpoint", () => {
    const { places } = start();
    places.told(active(4, ""));
    expect(places.hinted(active(4, ""))).toBe(false);
    expect(places.endpoint).toBe("a");
  });

  it("is the hinted one, unless the hint is older than what was told", () => {
    const { places } = start();
    places.told(active(4, "c"));
    expect(places.hinted(active(3, "a"))).toBe(false);
    expect(places.hinted(active(5, "b"))).toBe(true);
    expect(places.endpoint).toBe("b");
    expect(places.isTold).toBe(true);
  });

  it("is the next one where the last one is not there, and never the same again", () => {
    const { places } = start();
    places.told(active(4, "b"));
    places.turnToNext();
    expect(places.endpoint).not.toBe("b");
    const asked = new Set<string>();
    for (let turn = 0; turn < 3; turn++) {
      asked.add(places.endpoint);
      places.turnToNext();
    }
    expect(asked).toEqual(new Set(["a", "b", "c"]));
  });

  it("is the one that was told again, where another one keeps one waiting", async () => {
    const { places, time } = start();
    places.told(active(4, "b"));
    places.turnToNext();
    const { superseded } = places;
    await time.advance(detourMs - 1);
    expect(places.isTold).toBe(false);
    await time.advance(1);
    expect(places.endpoint).toBe("b");
    expect(superseded.aborted).toBe(true);
  });
});

describe("who waits for one that was replaced", () => {
  it("leaves a stream at once, and hears an answer a moment longer", async () => {
    const { places, time } = start();
    const { superseded, givenUp } = places;
    places.told(active(4, "b"));
    expect(superseded.aborted).toBe(true);
    await time.advance(graceMs - 1);
    expect(givenUp.aborted).toBe(false);
    await time.advance(1);
    expect(givenUp.aborted).toBe(true);
    expect(places.superseded.aborted).toBe(false);
    expect(places.givenUp.aborted).toBe(false);
  });

  it("stays where it is asked already, though the controller epoch is newer", async () => {
    const { places, time } = start();
    const { superseded, givenUp } = places;
    places.told(active(4, "a"));
    places.told(active(5, "a"));
    await time.advance(10 * graceMs);
    expect([superseded.aborted, givenUp.aborted]).toEqual([false, false]);
  });
});
