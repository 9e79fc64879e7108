import { describe, expect, it } from "vitest";
import { createReadiness } from "./readiness.ts";

function watched() {
  const told: string[] = [];
  return { told, readiness: createReadiness({ setServing: (name, serving) => told.push(`"${name}" ${serving}`) }) };
}

describe("readiness", () => {
  it("is told under the overall name, which does not serve at first", () => {
    const { told, readiness } = watched();
    expect(readiness.isReady).toBe(false);
    readiness.set(true);
    expect(readiness.isReady).toBe(true);
    readiness.set(false);
    expect(told).toEqual(['"" false', '"" true', '"" false']);
  });

  it("does not come back once the service stops", () => {
    const { told, readiness } = watched();
    readiness.set(true);
    readiness.end();
    readiness.set(true);
    expect([readiness.isReady, told.at(-1)]).toEqual([false, '"" false']);
  });
});
