import { createNodeRuntime } from "@tidemark/runtime";
import { type EtcdProcesses, startEtcd } from "@tidemark/testkit/etcd";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EtcdEvent, EtcdOpenError, type EtcdSettings, etcdMembers, openEtcdStore } from "../src/index.ts";

const runtime = createNodeRuntime();
let etcd: EtcdProcesses;

beforeAll(async () => {
  // Elections of two seconds: leases of three at the least.
  etcd = await startEtcd({ members: 1, flags: ["--heartbeat-interval=200", "--election-timeout=2000"] });
});

afterAll(() => etcd.stop());

const settings: EtcdSettings = { prefix: "/open", leaseMs: 3_000, renewalMs: 1_000, compaction: undefined };

function open(
  given: Partial<EtcdSettings>,
  options: {
    readonly endpoints?: readonly string[];
    readonly user?: { name: string; password: string };
    /** Long enough for a busy machine, where somebody answers. */
    readonly patienceMs?: number;
  } = {},
) {
  const events: EtcdEvent[] = [];
  const { endpoints = etcd.endpoints, user, patienceMs = 30_000 } = options;
  const members = etcdMembers({
    endpoints,
    clock: runtime.clock,
    callTimeoutMs: 5_000,
    ...(user === undefined ? {} : { user }),
  });
  const opening = openEtcdStore({
    members,
    settings: { ...settings, ...given },
    runtime,
    patienceMs,
    onEvent: (event) => {
      if (event.kind === "memberFailed") events.push(event);
    },
  });
  return { opening, events };
}

const codeOf = async (opening: Promise<unknown>) => {
  const error = await opening.catch((reason: unknown) => reason);
  if (!(error instanceof EtcdOpenError)) throw error;
  return { code: error.code, message: error.message };
};

describe("opening the backend", () => {
  it("works where etcd answers and keeps the lease as it was asked for", async () => {
    const store = await open({}).opening;
    const consensus = store.candidate();
    await consensus.sync(new AbortController().signal);
    await consensus.close();
    store.close();
  });

  it("finds the one member that answers, in turn", async () => {
    const { opening, events } = open({}, { endpoints: ["127.0.0.1:1", "127.0.0.1:2", ...etcd.endpoints] });
    (await opening).close();
    expect(events.length).toBeLessThanOrEqual(2);
  });

  it("says that no endpoint answers, and tried no more often than its pauses allow", async () => {
    const { opening, events } = open({}, { endpoints: ["127.0.0.1:1", "127.0.0.1:2"], patienceMs: 2_000 });
    const { code, message } = await codeOf(opening);
    expect(code).toBe("UNREACHABLE");
    expect(message).toMatch(/127\.0\.0\.1:1, 127\.0\.0\.1:2.*no connection: connect ECONNREFUSED 127\.0\.0\.1:[12]$/);
    expect(events.length).toBeGreaterThan(4);
    expect(events.length).toBeLessThan(40);
  });

  it("refuses a lease shorter than etcd's least by name", async () => {
    const { code, message } = await codeOf(open({ leaseMs: 1_000, renewalMs: 300 }).opening);
    expect(code).toBe("SESSION_TIMEOUT_NOT_KEPT");
    expect(message).toMatch(/3000 ms where 1000/);
  });

  it.each([
    [{ leaseMs: 2_500 }, /whole seconds/],
    [{ leaseMs: 3_000, renewalMs: 1_001 }, /three times/],
    [{ prefix: "tidemark" }, /prefix/],
    [{ prefix: "/tidemark/" }, /prefix/],
  ])("refuses %o before it asks etcd", async (given, says) => {
    const { code, message } = await codeOf(open(given).opening);
    expect(code).toBe("INVALID_SETTINGS");
    expect(message).toMatch(says);
  });

  it("says that a user is not taken where etcd has no users", async () => {
    const { opening } = open({}, { user: { name: "somebody", password: "wrong" } });
    expect((await codeOf(opening)).code).toBe("DENIED");
  });
});
