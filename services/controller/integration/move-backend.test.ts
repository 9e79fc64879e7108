/** The drill: a cluster moves from a file to etcd and back, with its topics and records. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { type DevCluster, startDevCluster, waitFor } from "@tidemark/testkit";
import { type EtcdProcesses, startEtcd } from "@tidemark/testkit/etcd";
import { afterAll, beforeAll, expect, it } from "vitest";

let cluster: DevCluster;
let etcd: EtcdProcesses;

beforeAll(async () => {
  etcd = await startEtcd({ members: 1 });
  cluster = await startDevCluster({ brokers: 1, flags: ["--backend=single", "--controllers=1"] });
});

afterAll(async () => {
  await cluster.stop();
  await etcd.stop();
});

async function tidemark(args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await cluster.tidemark(args, input === undefined ? {} : { input });
  if (code !== 0) throw new Error(`tidemark ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout.toString();
}

const produce = (text: string) => tidemark(["produce", "kept"], `${text}\n`);
const consumeAll = () => tidemark(["consume", "kept", "--from", "earliest", "--until-end", "--format", "raw"]);

it("a cluster moves to another backend and back, and the old one takes nothing more", async () => {
  const home = join(cluster.data, "controller-1", "metadata");
  const single = `single://${home}`;
  const inEtcd = `etcd://${etcd.endpoints.join(",")}/tidemark`;
  const onEtcd = ["--backend=etcd", `--etcd-endpoints=${etcd.endpoints.join(",")}`];
  const file = join(cluster.data, "config", "move.json");
  await tidemark(["topic", "create", "kept", "--partitions", "1", "--replication-factor", "1"]);
  await produce("in a file");

  await cluster.killAll();
  // Before anything was moved there, and on a store that was left, nobody starts.
  await expect(cluster.startAll(onEtcd)).rejects.toThrow(/They were kept by single.*metadata export/s);
  await tidemark(["metadata", "export", file, "--seal", "--backend", single]);
  expect(await tidemark(["metadata", "import", file, "--backend", inEtcd])).toContain("etcd store");
  await expect(cluster.startAll()).rejects.toThrow(/sealed by an export/);

  await cluster.startAll(onEtcd);
  await produce("in etcd");
  expect(await consumeAll()).toBe("in a file\nin etcd\n");
  const keys = await tidemark(["metadata", "ls", "/topics", "--backend", inEtcd]);
  expect(keys).toBe("/topics/kept\n");
  const taken = await cluster.tidemark(["metadata", "export", file, "--seal", "--backend", inEtcd]);
  expect(taken.stderr).toContain("Stop all controllers");

  await cluster.killAll();
  // A controller that was killed counts until its lease ends.
  const exportFromEtcd = () => tidemark(["metadata", "export", file, "--seal", "--backend", inEtcd]);
  await waitFor("the export", exportFromEtcd);
  // The move is called off: nobody starts before the seal is off, and then the cluster is as it was.
  await expect(cluster.startAll(onEtcd)).rejects.toThrow(/sealed by an export/);
  expect(await tidemark(["metadata", "unseal", "--backend", inEtcd])).toContain("not sealed any more");
  await cluster.startAll(onEtcd);
  await produce("in etcd still");

  await cluster.killAll();
  rmSync(join(home, "single"), { recursive: true });
  // The store that was left is gone, and the one that is used takes changes still.
  await expect(cluster.startAll()).rejects.toThrow(/They were kept by etcd.*metadata export/s);
  await waitFor("the export", exportFromEtcd);
  await tidemark(["metadata", "import", file, "--backend", single]);
  await cluster.startAll();
  await produce("in a file again");
  expect(await consumeAll()).toBe("in a file\nin etcd\nin etcd still\nin a file again\n");
});
