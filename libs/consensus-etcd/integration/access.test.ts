/** Who may use etcd, by certificates and by users. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getChannelzHandlers } from "@grpc/grpc-js";
import { watchProcess } from "@tidemark/consensus/contract";
import { type Authority, createAuthority } from "@tidemark/rpc/testing/certificates";
import { createNodeRuntime } from "@tidemark/runtime";
import { waitFor } from "@tidemark/testkit";
import { type EtcdProcesses, startEtcd } from "@tidemark/testkit/etcd";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Etcd3Options, EtcdOpenError, etcdMembers, openEtcdStore } from "../src/index.ts";
import type { WatchResponse } from "../src/stubs.ts";
import { createEtcdCluster } from "../src/testing/contract-cluster.ts";

const runtime = createNodeRuntime();
const bytes = (text: string) => new TextEncoder().encode(text);
const running: EtcdProcesses[] = [];

afterAll(async () => {
  for (const etcd of running) await etcd.stop();
});

/** Opens the backend, uses it once and closes it. "ok", or the code of the error. */
async function tryToUse(etcd: EtcdProcesses, prefix: string, given: Pick<Etcd3Options, "tls" | "user">) {
  const { endpoints } = etcd;
  const members = etcdMembers({ endpoints, clock: runtime.clock, callTimeoutMs: 5_000, ...given });
  const settings = { prefix, leaseMs: 2_000, renewalMs: 500, compaction: undefined };
  try {
    const store = await openEtcdStore({ members, settings, runtime, patienceMs: 1_500 });
    const consensus = store.candidate();
    await consensus.sync(AbortSignal.timeout(10_000));
    await consensus.close();
    store.close();
    return "ok";
  } catch (error) {
    if (error instanceof EtcdOpenError) return error.code;
    throw error;
  }
}

describe("an etcd that speaks TLS and wants certificates", () => {
  let etcd: EtcdProcesses;
  let authority: Authority;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "tidemark-etcd-tls-"));
    authority = await createAuthority(new Date(runtime.clock.wallMs()));
    const server = await authority.issue("etcd");
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const tls = {
      authority: file("ca.pem", authority.certificate),
      certificate: file("cert.pem", server.certificate),
      key: file("key.pem", server.key),
    };
    etcd = await startEtcd({ members: 1, tls });
    running.push(etcd);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("takes who shows one of its authority", async () => {
    const { certificate, key } = await authority.issue("controller-1");
    const tls = { authorities: bytes(authority.certificate), certificate: bytes(certificate), key: bytes(key) };
    expect(await tryToUse(etcd, "/tls", { tls })).toBe("ok");
  });

  it("takes nobody without one, nobody in cleartext, and is not trusted by whoever knows another authority", async () => {
    const authorities = bytes(authority.certificate);
    expect(await tryToUse(etcd, "/tls", { tls: { authorities } })).toBe("UNREACHABLE");
    expect(await tryToUse(etcd, "/tls", {})).toBe("UNREACHABLE");
    const other = await createAuthority(new Date(runtime.clock.wallMs()));
    const { certificate, key } = await authority.issue("controller-1");
    const tls = { authorities: bytes(other.certificate), certificate: bytes(certificate), key: bytes(key) };
    expect(await tryToUse(etcd, "/tls", { tls })).toBe("UNREACHABLE");
  });
});

describe("an etcd that has users", () => {
  let etcd: EtcdProcesses;
  const user = { name: "tidemark", password: "right" };
  const ask = (call: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(`http://${etcd.endpoints[0] ?? ""}/v3/${call}`, { method: "POST", body: JSON.stringify(body), headers });
  const base64 = (text: string) => Buffer.from(text).toString("base64");

  beforeAll(async () => {
    // Seconds after which a token that nobody used is forgotten, and the least work for each that is given out.
    etcd = await startEtcd({ members: 1, flags: ["--auth-token-ttl=1", "--bcrypt-cost=4"] });
    running.push(etcd);
    const post = async (call: string, body: unknown) => {
      const answer = await ask(`auth/${call}`, body);
      if (!answer.ok) throw new Error(`${call}: ${await answer.text()}`);
    };
    await post("role/add", { name: "root" });
    await post("user/add", { name: "root", password: "root" });
    await post("user/grant", { user: "root", role: "root" });
    await post("role/add", { name: "mine" });
    const perm = { permType: "READWRITE", key: base64("/mine/"), range_end: base64("/mine0") };
    await post("role/grant", { name: "mine", perm });
    await post("user/add", user);
    await post("user/grant", { user: user.name, role: "mine" });
    await post("enable", {});
  });

  it("takes one with the right password, under the prefix that is granted", async () => {
    expect(await tryToUse(etcd, "/mine", { user })).toBe("ok");
  });

  it("33 takes nobody with a wrong password, nobody without a user, and nobody beyond its prefix", async () => {
    expect(await tryToUse(etcd, "/mine", { user: { ...user, password: "wrong" } })).toBe("DENIED");
    expect(await tryToUse(etcd, "/mine", {})).toBe("DENIED");
    expect(await tryToUse(etcd, "/other", { user })).toBe("DENIED");
  });

  it("33 answers a watch beyond its prefix once: that it began, and is canceled for want of the right", async () => {
    const members = etcdMembers({ endpoints: etcd.endpoints, clock: runtime.clock, callTimeoutMs: 5_000, user });
    const stubs = members.connect(etcd.endpoints[0] ?? "");
    await stubs.range({ key: "/mine/a" });
    const responses: WatchResponse[] = [];
    const watch = stubs.watch(
      { key: "/other/", rangeEnd: "/other0", startRevision: 1n },
      { onMessage: (response) => responses.push(response), onEnd: () => undefined },
    );
    await waitFor("the watch to be answered", () => responses.length > 0);
    const reason = expect.stringContaining("permission denied") as string;
    expect(responses).toMatchObject([{ created: true, canceled: { reason, compactRevision: 0n }, events: [] }]);
    watch.close();
    stubs.close();
  });

  it("gives back every connection of one that comes and goes, as behind each failure of a member", async () => {
    const { endpoints } = etcd;
    const members = etcdMembers({ endpoints, clock: runtime.clock, callTimeoutMs: 5_000, user });
    const channels = () => {
      let count = 0;
      getChannelzHandlers().GetTopChannels(
        { request: { start_channel_id: 0, max_results: 1_000 } } as never,
        (_, found) => {
          count = found?.channel?.length ?? 0;
        },
      );
      return count;
    };
    const before = channels();
    for (let round = 0; round < 5; round++) {
      const stubs = members.connect(endpoints[0] ?? "");
      await stubs.range({ key: "/mine/a" });
      stubs.close();
    }
    await waitFor("every channel to be closed", () => channels() <= before);
  });

  /** Resolves when a token is refused that was given out now and used by nobody: so are all that were not used since. */
  async function tokensExpire() {
    const spare: string[] = [];
    for (let count = 0; count < 100; count++) {
      const answer = await ask("auth/authenticate", { name: user.name, password: user.password });
      spare.push(((await answer.json()) as { token: string }).token);
    }
    const key = base64("/mine/a");
    let looks = 0;
    await waitFor("a token that nobody used to be refused", async () => {
      looks += 1;
      if (looks % 10 > 0) return false;
      // The use of a token makes it last for longer: each is tried once.
      const authorization = spare.pop();
      return authorization !== undefined && !(await ask("kv/range", { key }, { authorization })).ok;
    });
  }

  it("answers calls whose token expired over a new one, and nobody hears of it", async () => {
    const members = etcdMembers({ endpoints: etcd.endpoints, clock: runtime.clock, callTimeoutMs: 5_000, user });
    const stubs = members.connect(etcd.endpoints[0] ?? "");
    const read = (key: string) => stubs.range({ key });
    await read("/mine/a");
    // A machine that stands still for a second loses the new token, too.
    await waitFor("three calls over an expired token to be answered", async () => {
      await tokensExpire();
      const ends = await Promise.allSettled(["/mine/a", "/mine/b", "/mine/c"].map(read));
      return ends.every(({ status }) => status === "fulfilled");
    });
    stubs.close();
  });

  it("lets one go on whose token it forgot when it was restarted, and whose token expired", async () => {
    const { endpoints } = etcd;
    const settings = { prefix: "/mine", leaseMs: 2_000, renewalMs: 500, compaction: undefined };
    const members = etcdMembers({ endpoints, clock: runtime.clock, callTimeoutMs: 5_000, user });
    const cluster = createEtcdCluster({ runtime, settings, etcd: { members, powerCut: () => etcd.powerCut() } });
    const process = watchProcess(1, await cluster.start(1));
    await process.consensus.join(cluster.identity(1));
    const commit = async (key: string) => {
      await waitFor(`${key} to be committed`, async () => {
        const belief = process.belief();
        if (belief.kind !== "leading") return false;
        const outcome = await process.consensus.append(belief.epoch, [{ kind: "put", key, value: bytes("1") }]);
        return outcome.kind === "committed";
      });
    };
    await commit("/test/before");
    await etcd.powerCut();
    await commit("/test/behind");
    await waitFor("the watch to go on", () => process.tree.has("/test/behind"));
    await tokensExpire();
    await commit("/test/expired");
    await waitFor("the watch to go on", () => process.tree.has("/test/expired"));
    expect(process.violations).toEqual([]);
    process.stop();
    await cluster.close();
  });
});
