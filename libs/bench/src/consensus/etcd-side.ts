/** What the committing of batches is compared with: the etcd backend, and that etcd alone. */
import { EtcdError, etcdMembers, openEtcdStore } from "@tidemark/consensus-etcd";
import { controllerId, directoryId } from "@tidemark/ids";
import { createNodeRuntime, randomUuid } from "@tidemark/runtime";
import { startEtcd } from "@tidemark/testkit/etcd";
import { type AppendLoad, type AppendRates, leadingEpoch, measureAppends, measureCommits } from "./appends.ts";

export interface EtcdSide {
  /** Through a controller's handle on the etcd backend. */
  backend(load: AppendLoad): Promise<AppendRates>;
  /** Plain transactions of the same puts, by the same client library, with nothing of ours around them. */
  bare(load: AppendLoad): Promise<AppendRates>;
  stop(): Promise<void>;
}

/**
 * Three members of etcd with their data in `folder`, where what they are compared with has its own: a flush there costs
 * both the same. They flush as they do by default.
 */
export async function startEtcdSide(folder: string): Promise<EtcdSide> {
  const runtime = createNodeRuntime();
  // As the quorum beside it: a machine that is busy with the load is no reason for an election.
  const flags = ["--heartbeat-interval=500", "--election-timeout=5000"];
  const etcd = await startEtcd({ members: 3, flags, folder });
  const members = etcdMembers({ endpoints: etcd.endpoints, clock: runtime.clock, callTimeoutMs: 10_000 });
  const settings = { prefix: "/bench", leaseMs: 12_000, renewalMs: 1_000, compaction: undefined };
  const store = await openEtcdStore({ members, settings, runtime, patienceMs: 30_000 });
  const consensus = store.candidate();
  await consensus.join({
    controllerId: controllerId(1),
    directoryId: directoryId(randomUuid(runtime.random)),
    endpoint: "127.0.0.1:1",
  });
  const epoch = await leadingEpoch(consensus);
  const stubs = members.connect(etcd.endpoints[0] ?? "");
  return {
    backend: (load) => measureAppends(consensus, epoch, load),
    bare: (load) =>
      measureCommits(load, async (changes) => {
        const success = changes.map(
          ({ key, value }) => ({ kind: "put", key: `/bare${key}`, value, lease: "0" }) as const,
        );
        const { succeeded } = await stubs.txn({ compares: [], success });
        if (!succeeded) throw new EtcdError("REFUSED", "a transaction without a condition was refused");
      }),
    async stop() {
      stubs.close();
      await consensus.close();
      store.close();
      await etcd.stop();
    },
  };
}
