import { describe, expect, it } from "vitest";
import { createPooledRandom } from "./pooled-random.ts";

/** Bytes that count upwards, and how many were asked for each time. */
function counting() {
  const asked: number[] = [];
  let next = 0;
  const fill = (bytes: Uint8Array) => {
    asked.push(bytes.length);
    for (let at = 0; at < bytes.length; at++) bytes[at] = next++;
  };
  return { asked, fill };
}

describe("random numbers from a pool", () => {
  it("ask their source once for many, and hand out no byte twice", () => {
    const { asked, fill } = counting();
    const random = createPooledRandom(fill, 32);
    const given = [random.bytes(8), random.bytes(12), random.bytes(10), random.bytes(8)];
    expect(asked).toEqual([32, 32]);
    // What the pool had left was too little for the last: it begins in the next one.
    expect(given.flatMap((bytes) => [...bytes])).toEqual([...Array(30).keys(), 32, 33, 34, 35, 36, 37, 38, 39]);
  });

  it("belong to whoever got them", () => {
    const random = createPooledRandom(counting().fill, 32);
    const first = random.bytes(4);
    const kept = [...first];
    random.bytes(32);
    expect([...first]).toEqual(kept);
    first.fill(255);
    expect([...random.bytes(32)]).not.toContain(255);
  });

  it("are as many as were asked for, beyond the pool too", () => {
    const { asked, fill } = counting();
    const random = createPooledRandom(fill, 32);
    expect(random.bytes(100)).toHaveLength(100);
    expect(random.bytes(0)).toHaveLength(0);
    expect(asked[0]).toBe(100);
  });

  it("lie in [0, 1), at the edges too", () => {
    const random = createPooledRandom((bytes) => bytes.fill(255, 4), 8);
    expect(random.next()).toBe(0);
    expect(random.next()).toBe(1 - 2 ** -32);
  });
});
