import type { EtcdChange } from "@tidemark/consensus-etcd";
import type { Violations } from "./violations.ts";

/**
 * Looks at everything that etcd commits, in order: each change is fenced by `/append` in its own transaction, whose
 * controller epoch and sequence only grow, and the controller epoch counts up (C3, C5).
 */
export function createStoreWatch({ report }: Violations): (changes: readonly EtcdChange[]) => void {
  let append = { controllerEpoch: 0, sequence: 0 };
  let epoch = 0;
  return (changes) => {
    const written = new Map(changes.map((change) => [change.key.slice(change.key.indexOf("/", 1)), change]));
    const fence = textOf(written.get("/append"));
    if (fence !== undefined) {
      // proto3 JSON: 64-bit numbers are text, and zeros are absent.
      const parsed = JSON.parse(fence) as { readonly controllerEpoch?: number; readonly sequence?: string };
      const controllerEpoch = parsed.controllerEpoch ?? 0;
      const sequence = Number(parsed.sequence ?? "0");
      const isBehind = controllerEpoch === append.controllerEpoch && sequence <= append.sequence;
      if (controllerEpoch < append.controllerEpoch || isBehind) {
        report("etcd took an append behind the fence", `${fence} after ${JSON.stringify(append)}`);
      }
      append = { controllerEpoch, sequence };
    }
    const counted = textOf(written.get("/controller_epoch"));
    if (counted !== undefined && Number(counted) <= epoch) {
      report("the controller epoch did not grow", `${counted} after ${epoch}`);
    }
    epoch = counted === undefined ? epoch : Number(counted);
    const bare = [...written.keys()].filter((key) => !/^\/(?:append$|controller)/.test(key));
    if (fence === undefined && bare.length > 0) report("a change without the fence", bare.join(", "));
  };
}

function textOf(change: EtcdChange | undefined): string | undefined {
  return change?.kind === "put" ? new TextDecoder().decode(change.value) : undefined;
}
