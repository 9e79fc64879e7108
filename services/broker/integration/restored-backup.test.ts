/** A controller whose store is put back as it was some controller epochs before, as a backup of files would. */
import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createClient, Reason } from "@tidemark/client";
import { startDevCluster, waitFor } from "@tidemark/testkit";
import { expect, it, onTestFinished } from "vitest";

it("is refused by a broker that has followed a later controller epoch, also in an earlier life of its process", async () => {
  const cluster = await startDevCluster({ brokers: 1, flags: ["--backend=single"] });
  onTestFinished(() => cluster.stop());
  const client = await createClient({ bootstrap: cluster.endpoint("gateway-1") });
  onTestFinished(() => {
    client.close();
  });
  const store = join(cluster.data, "controller-1");
  const backup = join(cluster.data, "backup");
  const epochNow = async () => (await client.metadata.describeQuorum({}, { timeoutMs: 5000 })).controllerEpoch;
  const noted = () => readFileSync(join(cluster.data, "broker-1", "log", "controller-epoch"), "utf8");
  const restartController = async () => {
    await cluster.kill("controller-1");
    await cluster.start("controller-1");
  };

  await cluster.kill("controller-1");
  cpSync(store, backup, { recursive: true });
  await cluster.start("controller-1");
  await restartController();
  const epoch = await waitFor("an active controller", epochNow);
  await waitFor("the broker to follow it", () => noted().includes(`controller.epoch=${epoch}\n`));

  await Promise.all([cluster.kill("broker-1"), cluster.kill("controller-1")]);
  rmSync(store, { recursive: true });
  cpSync(backup, store, { recursive: true });
  await cluster.start("controller-1");
  await expect(cluster.start("broker-1")).rejects.toThrow(/has seen controller epoch/);
  const decision = client.admin.createTopic({ topic: "t", partitions: 1, replicationFactor: 1 }, { timeoutMs: 5000 });
  await expect(decision).rejects.toMatchObject({ reason: Reason.METADATA_REGRESSED });
});
