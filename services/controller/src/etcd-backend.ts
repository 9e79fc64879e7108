/** An etcd cluster, as whoever composes a controller opens it. */
import { type ConsensusChoice, formatEndpoint } from "@tidemark/config";
import type { Dial } from "@tidemark/consensus";
import {
  type Etcd3Options,
  type EtcdMembers,
  EtcdOpenError,
  etcdMembers,
  openEtcdStore,
  tcpDial,
} from "@tidemark/consensus-etcd";
import type { Disk } from "@tidemark/disk";
import { readClientTls, StartRefusedError } from "@tidemark/service";
import type { OpenBackend } from "./backend.ts";
import type { ControllerValues } from "./settings-from-config.ts";
import { createEtcdReporter } from "./tracing/etcd-reporter.ts";

/** Frees what a call to etcd holds that nobody waits for any more. */
const callTimeoutMs = 10_000;

/** The ways to etcd and to other controllers. */
export interface EtcdReach {
  readonly members: (options: Etcd3Options) => EtcdMembers;
  /** How a standby sees that the active controller's process is gone. */
  readonly dial: Dial;
}

/** Over the network, as programs have it. */
const real: EtcdReach = { members: etcdMembers, dial: tcpDial };

export function openEtcdBackend(
  values: ControllerValues,
  { endpoints, prefix }: Extract<ConsensusChoice, { kind: "etcd" }>,
  reach: EtcdReach = real,
): OpenBackend {
  return async ({ disk, runtime, telemetry, traces }) => {
    const tls = await etcdTls(values, disk);
    const [name, password] = [values["consensus.etcd.username"], values["consensus.etcd.password"]];
    const members = reach.members({
      endpoints: endpoints.map(formatEndpoint),
      clock: runtime.clock,
      callTimeoutMs,
      ...(tls === undefined ? {} : { tls }),
      ...(name === undefined || password === undefined ? {} : { user: { name, password } }),
    });
    const store = await refusing(() =>
      openEtcdStore({
        members,
        settings: { prefix, ...timing(values), compaction: compaction(values) },
        runtime,
        patienceMs: values["consensus.etcd.start.timeout.ms"],
        dial: reach.dial,
        onEvent: createEtcdReporter(telemetry, runtime.clock, traces),
      }),
    );
    return { name: "etcd", consensus: store.candidate(), close: async () => store.close() };
  };
}

async function etcdTls(values: ControllerValues, disk: Disk) {
  const paths = {
    ca: values["consensus.etcd.tls.ca"],
    cert: values["consensus.etcd.tls.cert"],
    key: values["consensus.etcd.tls.key"],
  };
  const tls = await readClientTls("consensus.etcd.tls", paths, disk);
  return tls?.authorities === undefined ? undefined : { ...tls, authorities: tls.authorities };
}

function timing(values: ControllerValues) {
  return { leaseMs: values["consensus.etcd.lease.ms"], renewalMs: values["consensus.etcd.renewal.ms"] };
}

function compaction(values: ControllerValues) {
  if (!values["consensus.etcd.compact.enable"]) return undefined;
  return {
    intervalMs: values["consensus.etcd.compact.interval.ms"],
    retainRevisions: values["consensus.etcd.compact.retain.revisions"],
  };
}

async function refusing<Value>(open: () => Promise<Value>): Promise<Value> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof EtcdOpenError) throw new StartRefusedError(error.message, { cause: error });
    throw error;
  }
}
