import { revision } from "@tidemark/ids";
import { describe, expect, it } from "vitest";
import { createAssembler } from "./assembler.ts";
import { allEtcdGuards } from "./guards.ts";
import type { EtcdChange } from "./stubs.ts";

const change = (modRevision: number, key = `k${modRevision}`): EtcdChange => ({
  kind: "delete",
  key,
  modRevision: BigInt(modRevision),
});
const response = (header: number, events: readonly EtcdChange[], fragment = false) => ({
  revision: BigInt(header),
  events,
  fragment,
});
const behind = (at: number) => createAssembler(revision(BigInt(at)), allEtcdGuards);
const told = (whole: ReturnType<ReturnType<typeof behind>["take"]>) =>
  whole.map((each) => [Number(each.revision), each.changes.map(({ key }) => key)]);

describe("the revisions of a watch", () => {
  it("are told whole, several of one response and one of several responses", () => {
    const assembler = behind(4);
    expect(told(assembler.take(response(9, [change(5), change(6, "a"), change(6, "b")])))).toEqual([
      [5, ["k5"]],
      [6, ["a", "b"]],
    ]);
    expect(told(assembler.take(response(9, [change(8, "c")], true)))).toEqual([]);
    expect(told(assembler.take(response(9, [change(8, "d")], true)))).toEqual([]);
    expect(told(assembler.take(response(9, [change(8, "e")])))).toEqual([[8, ["c", "d", "e"]]]);
  });

  it("are whole when a later one follows in a fragment", () => {
    const assembler = behind(4);
    expect(told(assembler.take(response(9, [change(5, "a")], true)))).toEqual([]);
    expect(told(assembler.take(response(9, [change(5, "b"), change(6)], true)))).toEqual([[5, ["a", "b"]]]);
  });

  it("are told once: what was told before is passed over", () => {
    const assembler = behind(5);
    expect(told(assembler.take(response(9, [change(4), change(5), change(6)])))).toEqual([[6, ["k6"]]]);
    expect(told(assembler.take(response(9, [change(6)])))).toEqual([]);
  });

  it("go on from the last whole one when the stream broke, and the part is dropped", () => {
    const assembler = behind(4);
    assembler.take(response(99, [change(5), change(6, "a")], true));
    expect(assembler.restart()).toBe(5n);
    expect(told(assembler.take(response(99, [change(5), change(6, "a"), change(6, "b")])))).toEqual([[6, ["a", "b"]]]);
  });

  it("go on behind a snapshot", () => {
    const assembler = behind(4);
    assembler.take(response(9, [change(5, "a")], true));
    assembler.startBehind(revision(20n));
    expect(assembler.restart()).toBe(20n);
    expect(told(assembler.take(response(30, [change(20), change(21)])))).toEqual([[21, ["k21"]]]);
  });

  it("never begin at 0, which to etcd is now", () => {
    expect(behind(0).restart()).toBe(1n);
  });
});
