import { controllerSchema, readSources } from "@tidemark/config";
import { expect, test } from "vitest";
import { debugPage, describeServer, stateOf } from "./debug-page.ts";

const flags = [
  "--node.id=1",
  "--listeners=client://127.0.0.1:0,internal://127.0.0.1:0",
  "--consensus.backend=etcd://a.test:2379/tidemark",
  "--metadata.log.dir=/data",
  "--consensus.etcd.username=root",
  "--consensus.etcd.password=hunter2",
];

test("a process tells its settings and where they came from, and no secret", () => {
  const read = readSources(controllerSchema, { file: undefined, environment: {}, flags, baseDirectory: "/" });
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  const server = describeServer({ activeCalls: 3, connections: 2 }, { used: 10, limit: 100 });
  const page = debugPage(
    { role: "controller", id: 1, isReady: true, eventLoopLagMs: 0.5, service: { ...server, active: true } },
    read.config,
  );
  expect(page).toMatchObject({
    role: "controller",
    ready: true,
    eventLoopLagMs: 0.5,
    node: process.version,
    service: { activeCalls: 3, connections: 2, queuedBytes: { used: 10, limit: 100 }, active: true },
    settings: {
      "node.id": { value: "1" },
      "consensus.etcd.username": { value: "root" },
      "consensus.etcd.password": { value: "***" },
      "debug.page": { value: "false", source: "default" },
    },
  });
  expect(JSON.stringify(page)).not.toContain("hunter2");
});

test("a service that is not up yet, or cannot say how it is, leaves the rest of the page as it is", () => {
  expect(stateOf(undefined)).toEqual({ isReady: false, service: {} });
  expect(stateOf({ isReady: () => true, describe: () => ({ led: 3 }) })).toEqual({
    isReady: true,
    service: { led: 3 },
  });
  const broken = () => {
    throw new Error("the log is gone");
  };
  expect(stateOf({ isReady: () => false, describe: broken })).toEqual({
    isReady: false,
    service: { failed: "Error: the log is gone" },
  });
});
