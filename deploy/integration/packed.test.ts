/** What goes into the images runs by itself: elsewhere, as nobody in particular, and ends when it is asked to. */
import { chownSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { metricNames } from "@tidemark/telemetry";
import { runProgram } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { composeProcesses } from "../src/manifests.ts";
import { type Packed, packAll } from "../src/packed.ts";
import { environmentHere, type Place, placeFor, type Running, startProgram } from "../src/running.ts";

/** Whom Debian calls nobody. Only root can start a process as somebody else. */
const nobody = process.getuid?.() === 0 ? 65_534 : undefined;
const processes = composeProcesses("single");
let packed: Packed;
let place: Place;
const running = new Map<string, Running>();

beforeAll(async () => {
  packed = packAll();
  const data = join(packed.folder, "data");
  mkdirSync(data);
  if (nobody !== undefined) chownSync(data, nobody, nobody);
  place = await placeFor(processes, data);
});

afterAll(async () => {
  for (const each of running.values()) await each.kill();
  rmSync(packed.folder, { recursive: true });
});

test("every service starts from its folder alone, as nobody, and the cluster takes and gives records", async () => {
  for (const each of processes) {
    const started = await startProgram([packed.node, packed.main(each.role)], {
      cwd: join(packed.folder, "data"),
      env: environmentHere(each, place),
      ...(nobody === undefined ? {} : { uid: nobody }),
    });
    running.set(each.name, started);
  }
  const tidemark = (args: readonly string[], input = "") =>
    runProgram(packed.node, [packed.main("cli"), ...args], {
      input,
      cwd: packed.folder,
      env: { TIDEMARK_SERVER: place.addresses.get("gateway-1:4640") },
    });
  expect(await tidemark(["topic", "create", "kept"])).toMatchObject({ code: 0 });
  expect(await tidemark(["produce", "kept", "--acks", "all"], "one\ntwo\n")).toMatchObject({ code: 0 });
  const read = await tidemark(["consume", "kept", "--from", "earliest", "--until-end", "--format", "raw"]);
  expect(read.stdout.toString()).toBe("one\ntwo\n");
});

test("every metric of the dashboard is told by some process of the cluster that took and gave records", async () => {
  const told = new Set<string>();
  for (const each of running.values()) {
    const { metrics } = (
      JSON.parse(
        each
          .output()
          .split("\n")
          .find((line) => line.includes('"ready":true')) ?? "{}",
      ) as {
        endpoints: { metrics: string };
      }
    ).endpoints;
    const text = await (await fetch(`http://${metrics}/metrics`)).text();
    for (const name of text.match(/^tidemark_\w+/gm) ?? []) told.add(name.replace(/_(?:bucket|sum|count)$/, ""));
  }
  const expected = Object.values(metricNames).filter((name) => name.startsWith("tidemark_"));
  expect(expected.filter((name) => !told.has(name))).toEqual([]);
});

test("every service stops by itself within the grace that its manifest gives", async () => {
  // As compose does it: those that depend on others first.
  for (const { name, graceMs } of [...processes].reverse()) {
    const stopped = running.get(name)?.stop();
    const late = AbortSignal.timeout(graceMs);
    const killed = new Promise((resolve) => late.addEventListener("abort", () => resolve("killed")));
    expect(await Promise.race([stopped, killed]), `${name}: ${running.get(name)?.output()}`).toBe(0);
  }
});
