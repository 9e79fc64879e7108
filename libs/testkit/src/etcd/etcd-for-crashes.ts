import { getEtcdBinary } from "@tidemark/tooling/etcd-binary";

/**
 * What lets `tidemark dev` with these flags run an etcd that tests may kill. By itself it takes any etcd, as one of those
 * that lose data in a crash by a fault of their own. Throws where there is no other. Empty where no etcd is to be run.
 */
export function etcdForCrashes(flags: readonly string[], env: NodeJS.ProcessEnv): { readonly ETCD_BIN?: string } {
  const has = (name: string) => flags.findLast((flag) => flag.startsWith(`--${name}=`));
  const runsEtcd = has("backend") === "--backend=etcd" && has("etcd-endpoints") === undefined;
  return runsEtcd ? { ETCD_BIN: getEtcdBinary({ env, forCrashes: true }).path } : {};
}
