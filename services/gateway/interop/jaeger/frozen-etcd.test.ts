import { createNodeRuntime, delay } from "@tidemark/runtime";
import { waitFor } from "@tidemark/testkit";
import { testWithJaeger } from "@tidemark/testkit/jaeger";
import { expect } from "vitest";
import { startFaultyCluster, topic } from "./faulty-cluster.ts";

const { clock, scheduler } = createNodeRuntime();

testWithJaeger("an etcd that stands still while a leader has to be elected is named", async (jaeger) => {
  const faulty = await startFaultyCluster(jaeger, { flags: ["--backend=etcd", "--controllers=3"], isSlowable: false });
  const { cluster, client } = faulty;
  const members = cluster.processes().flatMap(({ role, id }) => (role === "etcd" ? [`etcd-${id}`] : []));
  try {
    expect(members).not.toEqual([]);
    const { leader } = await faulty.roles();
    const since = new Date(clock.wallMs());
    await cluster.kill(leader);
    for (const member of members) cluster.signal(member, "SIGSTOP");
    // The fault is that it lasts: nothing is awaited by it. Less than the lease of the active controller, which stays the
    // active one; long enough to be what takes the time.
    await delay(scheduler, 2000);
    for (const member of members) cluster.signal(member, "SIGCONT");
    await waitFor("another leader", async () => {
      const state = (await client.admin.describeTopics({ topics: [topic] })).topics[0]?.partitions[0];
      return `broker-${state?.leader}` !== leader && state?.isr.length === 2;
    });
    await faulty.produce();
    const { culprit, text } = await faulty.explain(since);
    console.log(`${members.join(", ")} stopped for 2000 ms:\n${text}`);
    expect(culprit).toBe("etcd, consensus backend");
  } finally {
    for (const member of members) cluster.signal(member, "SIGCONT");
    await faulty.stop();
  }
});
