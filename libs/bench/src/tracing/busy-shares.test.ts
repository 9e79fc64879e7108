import { existsSync } from "node:fs";
import { builtinModules } from "node:module";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { busyShares, type CpuProfile, owned } from "./busy-shares.ts";

const repository = fileURLToPath(new URL("../../../../", import.meta.url));

/** A node of a profile: what was called, from which file, and whom it called. */
function node(id: number, functionName: string, url: string, children: readonly number[] = []) {
  return { id, callFrame: { functionName, url }, children };
}

const nodes = [
  node(1, "(root)", "", [2, 3, 4, 8]),
  node(2, "(idle)", ""),
  node(3, "(garbage collector)", ""),
  node(4, "produce", "file:///r/services/broker/src/api/produce.ts", [5, 7]),
  node(5, "finish", "file:///r/services/broker/src/api/produce-trace.ts", [6]),
  node(6, "log", "node:internal/util", [9]),
  node(7, "record", "file:///r/libs/telemetry/src/metrics.ts"),
  node(8, "end", "node:_http_outgoing"),
  node(9, "(garbage collector)", ""),
];

/** A profile in which each of these ran for as many milliseconds. */
function profileOf(ran: readonly (readonly [node: number, ms: number])[]): CpuProfile {
  return { nodes, samples: ran.map(([id]) => id), timeDeltas: ran.map(([, ms]) => ms * 1000) };
}

describe("what a process was busy with", () => {
  test("is told by whose code ran, and of the time in which it was not idle", () => {
    const shares = busyShares(
      profileOf([
        [2, 900],
        [3, 10],
        [4, 60],
        [5, 20],
        [7, 10],
        [4, 100],
      ]),
    );
    expect(shares).toEqual({ spans: 0.1, metrics: 0.05, collection: 0.05, busyMs: 200 });
  });

  test("counts what somebody's code called as its own, what they threw away meanwhile too", () => {
    const shares = busyShares(
      profileOf([
        [4, 50],
        [6, 25],
        [9, 25],
      ]),
    );
    expect(shares).toEqual({ spans: 0.5, metrics: 0, collection: 0, busyMs: 100 });
  });

  test("has what sends spans among what is for spans", () => {
    expect(busyShares(profileOf([[8, 7]]))).toEqual({ spans: 1, metrics: 0, collection: 0, busyMs: 7 });
  });

  test.each([...owned.spans, ...owned.metrics])("goes by %s, which there is", (place) => {
    if (place.startsWith("node:")) {
      expect(builtinModules.some((name) => name.startsWith(place.slice("node:".length)))).toBe(true);
    } else {
      expect(existsSync(`${repository}${place.startsWith("/@") ? "node_modules" : ""}${place}`)).toBe(true);
    }
  });
});
