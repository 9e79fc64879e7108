/** Three real controllers that keep the metadata themselves: killed, handed over, and one of them without its disk. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

let cluster: DevCluster;

beforeAll(async () => {
  cluster = await startDevCluster({
    brokers: 1,
    flags: ["--backend=raft", "--controllers=3"],
    // A machine that is busy with other tests is no reason for an election.
    env: { TIDEMARK_CONSENSUS_RAFT_ELECTION_TIMEOUT_MS: "2000" },
  });
  await make("served");
});

afterAll(async () => {
  await cluster.stop();
});

interface Quorum {
  readonly leader: number | null;
  readonly controllerEpoch: number;
  readonly term: number;
  readonly commit: number;
  readonly members: readonly {
    readonly id: number;
    readonly voter: boolean;
    readonly alive: boolean;
    readonly directoryId: string;
    readonly match?: number;
    readonly lag?: number;
    readonly lastContactMs?: number;
  }[];
}

async function quorum(): Promise<Quorum> {
  const { code, stdout, stderr } = await cluster.tidemark(["controller", "quorum", "-o", "json"]);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout.toString()) as Quorum;
}

async function led(): Promise<Quorum & { readonly leader: number }> {
  let found: Quorum | undefined;
  await waitFor("a controller to be active", async () => {
    found = await quorum().catch(() => undefined);
    return found?.leader !== null && found !== undefined;
  });
  return found as Quorum & { readonly leader: number };
}

const creation = (topic: string) => ["topic", "create", topic, "--partitions", "1", "--replication-factor", "1"];

async function make(topic: string): Promise<void> {
  await waitFor(`${topic} to be made`, async () => (await cluster.tidemark(creation(topic))).code === 0);
}

async function topics(): Promise<string> {
  return (await cluster.tidemark(["topic", "list"])).stdout.toString();
}

/** What the topic `served` has to hold. */
const served: string[] = [];

/** Writes and reads go on: one more record, and all of them in order. */
async function serves(record: string): Promise<void> {
  const produced = await cluster.tidemark(["produce", "served"], { input: `${record}\n` });
  expect([produced.code, produced.stderr]).toEqual([0, ""]);
  served.push(record);
  const read = await cluster.tidemark(["consume", "served", "--from", "earliest", "--until-end", "--format", "raw"]);
  expect([read.code, read.stdout.toString()]).toEqual([0, `${served.join("\n")}\n`]);
}

describe("controllers on their own quorum", () => {
  it("decide again after the active one was killed, one behind the other, and forget nothing", async () => {
    const epochs: number[] = [];
    for (let round = 0; round < 3; round++) {
      const { leader, controllerEpoch } = await led();
      epochs.push(controllerEpoch);
      await make(`before-${round}`);
      await cluster.kill(`controller-${leader}`);
      await make(`after-${round}`);
      expect((await led()).leader).not.toBe(leader);
      await cluster.start(`controller-${leader}`);
    }
    expect(epochs).toEqual([...new Set(epochs)].sort((a, b) => a - b));
    const known = await topics();
    for (let round = 0; round < 3; round++)
      for (const name of ["before", "after"]) expect(known).toContain(`${name}-${round}`);
  });

  it("hand the place over to the one that is named, and to nobody who cannot have it", async () => {
    const { leader } = await led();
    const refusals = [
      { to: leader, says: "is the active one already" },
      { to: 9, says: "is no member" },
    ];
    for (const { to, says } of refusals) {
      const { code, stderr } = await cluster.tidemark(["controller", "transfer", "--to", String(to)]);
      expect([code, stderr]).toEqual([expect.any(Number), expect.stringContaining(says)]);
      expect(code).not.toBe(0);
    }
    const next = [3, 2, 1].find((id) => id !== leader);
    expect((await cluster.tidemark(["controller", "transfer", "--to", String(next)])).code).toBe(0);
    await waitFor("it to be active", async () => (await quorum().catch(() => undefined))?.leader === next);
  });

  it("take one in anew that lost its disk, while the others run", async () => {
    const { leader, members } = await led();
    const lost = [1, 2, 3].find((id) => id !== leader) ?? 0;
    const before = members.find(({ id }) => id === lost)?.directoryId;
    await cluster.kill(`controller-${lost}`);
    await waitFor("its absence to be named", async () => {
      const { code, stdout } = await cluster.tidemark(["cluster", "health"]);
      return code === 1 && stdout.toString().includes(`controller-${lost}: does not answer the active one`);
    });
    const other = [1, 2, 3].find((id) => id !== leader && id !== lost) ?? 0;
    const refused = await cluster.tidemark(["controller", "remove-voter", String(other)]);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(
      new RegExp(`silent: controller ${lost}\\n.*REASON_NO_LIVING_MAJORITY, outcome not applied`),
    );
    rmSync(join(cluster.data, `controller-${lost}`), { recursive: true });
    const starting = cluster.start(`controller-${lost}`);
    const logFile = join(cluster.data, "logs", `controller-${lost}.log`);
    const named = () =>
      /tidemark controller add-voter (\S+?)"/.exec(readFileSync(logFile, "utf8").split("\n").slice(-5).join("\n"));
    await waitFor("it to say how it is added", () => named() !== null);
    expect((await cluster.tidemark(["controller", "remove-voter", String(lost)])).code).toBe(0);
    const added = await cluster.tidemark(["controller", "add-voter", named()?.[1] ?? ""]);
    expect([added.code, added.stderr]).toEqual([0, ""]);
    await starting;
    await waitFor("it to be a voter that lives", async () => {
      const now = (await quorum()).members.find(({ id }) => id === lost);
      return now?.voter === true && now.alive && now.directoryId !== before;
    });
    await make("with-the-new-one");
  });

  it("tell how far each has come, and since when it is silent", async () => {
    const { leader } = await led();
    const silent = [1, 2, 3].find((id) => id !== leader) ?? 0;
    await cluster.kill(`controller-${silent}`);
    await make("while-one-is-silent");
    const memberOf = async (id: number) => (await led()).members.find((member) => member.id === id);
    await waitFor("its silence to be told", async () => {
      const { match = 0, lag = 0, lastContactMs = 0 } = (await memberOf(silent)) ?? {};
      return match > lag && lag > 0 && lastContactMs > 2000;
    });
    await cluster.start(`controller-${silent}`);
    const whole = await waitFor("all of them to have everything", async () => {
      const now = await led();
      return now.members.every(({ match = 0, lag }) => lag === 0 && match >= now.commit) && now;
    });
    expect(Object.keys(whole)).toEqual(["backend", "leader", "controllerEpoch", "term", "commit", "members"]);
    expect(whole.term).toBeGreaterThan(0);
    expect(whole.controllerEpoch).toBeGreaterThanOrEqual(whole.term);
    expect(whole.members.find(({ id }) => id === whole.leader)).toMatchObject({ lastContactMs: 0 });
  });

  it("keep brokers serving without a majority, name no leader and decide nothing, until one of them is back", async () => {
    await serves("with all of them");
    const { leader } = await led();
    // The active one is left: it knows by its lease that nobody leads.
    const gone = [1, 2, 3].filter((id) => id !== leader);
    for (const id of gone) await cluster.kill(`controller-${id}`);
    await waitFor("nobody to lead", async () => (await quorum()).leader === null);
    await serves("without a majority");
    expect((await cluster.tidemark(creation("undecided"))).code).not.toBe(0);
    await serves("after something was refused");
    expect((await quorum()).leader).toBeNull();
    await cluster.start(`controller-${gone[0]}`);
    await make("decided-again");
    await serves("with a majority again");
    expect(await topics()).not.toContain("undecided");
    await cluster.start(`controller-${gone[1]}`);
  });

  it("decide nothing after a removal by force, and brokers serve, until the one that was away is back", async () => {
    await waitFor("all of them to live", async () => (await led()).members.every(({ alive }) => alive));
    const { leader } = await led();
    const [away = 0, removed = 0] = [1, 2, 3].filter((id) => id !== leader);
    await cluster.kill(`controller-${away}`);
    await waitFor("its absence to be known", async () => {
      const { code, stderr } = await cluster.tidemark(["controller", "remove-voter", String(removed)]);
      return code !== 0 && stderr.includes("REASON_NO_LIVING_MAJORITY");
    });
    const forced = await cluster.tidemark(["controller", "remove-voter", String(removed), "--force"]);
    expect([forced.code, forced.stderr]).toEqual([expect.any(Number), expect.stringContaining("OUTCOME_UNKNOWN")]);
    await waitFor("nobody to lead", async () => (await quorum()).leader === null);
    await serves("after the removal");
    expect((await cluster.tidemark(creation("undecided"))).code).not.toBe(0);
    // It has not heard that it was removed, and could be elected by the one that comes back.
    await cluster.kill(`controller-${removed}`);
    await cluster.start(`controller-${away}`);
    await make("decided-by-the-two");
    expect((await led()).members.map(({ id }) => id).sort()).toEqual([leader, away].sort());
    await serves("with the two that are left");
    const known = await topics();
    expect(known).toContain("served");
    expect(known).not.toContain("undecided");
  });
});
