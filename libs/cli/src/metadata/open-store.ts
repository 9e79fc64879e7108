import { crc32c } from "@tidemark/compression";
import { consensusChoice, controllerSchema, formatEndpoint, formatProblems, loadConfig } from "@tidemark/config";
import { type Consensus, createCandidate, type StoreLink } from "@tidemark/consensus";
import { openStoreOnDisk } from "@tidemark/consensus/transfer";
import { createEtcdLink, type EtcdSettings, etcdMembers, openEtcdStore } from "@tidemark/consensus-etcd";
import { createNodeDisk } from "@tidemark/disk";
import { createNodeRuntime } from "@tidemark/runtime";
import { readClientTls } from "@tidemark/service";
import type { Io } from "../io.ts";
import { UsageError } from "../settings.ts";

/** Where the metadata are, as a controller's settings say it. */
export interface StoreFlags {
  readonly config?: string;
  readonly set: Readonly<Record<string, string>>;
  readonly backend?: string;
}

/** A store that is opened without a controller. */
export interface OpenedStore {
  /** single or etcd. */
  readonly backend: string;
  readonly link: StoreLink;
  /** A handle, not joined. Closed with the store. */
  candidate(): Consensus;
  close(): Promise<void>;
}

const runtime = createNodeRuntime();
const disk = createNodeDisk({ runtime });

/** Opens what the settings choose. Throws UsageError on wrong ones, and the backend's error where it cannot be opened. */
export async function openStore(io: Pick<Io, "env" | "workingDirectory">, flags: StoreFlags): Promise<OpenedStore> {
  const values = valuesOf(io, flags);
  const choice = consensusChoice(values);
  switch (choice.kind) {
    case "single": {
      const store = await openStoreOnDisk({
        disk,
        directory: `${choice.directory}/single`,
        crc32c,
        runtime,
        onEvent: () => undefined,
      });
      return opened("single", store, () => store.close());
    }
    case "etcd": {
      const members = etcdMembers({
        endpoints: choice.endpoints.map(formatEndpoint),
        clock: runtime.clock,
        callTimeoutMs: 10_000,
        ...(await accessOf(values)),
      });
      const settings: EtcdSettings = {
        prefix: choice.prefix,
        leaseMs: values["consensus.etcd.lease.ms"],
        renewalMs: values["consensus.etcd.renewal.ms"],
        compaction: undefined,
      };
      const patienceMs = values["consensus.etcd.start.timeout.ms"];
      (await openEtcdStore({ members, settings, runtime, patienceMs })).close();
      const link = createEtcdLink({ members, settings, runtime, onEvent: () => undefined });
      return opened("etcd", link, async () => link.close());
    }
    case "raft":
      throw new UsageError(
        "The controllers keep these metadata together: no other program opens them. Ask them, without --backend; to import, `tidemark format --import`.",
      );
  }
}

function opened(backend: string, link: StoreLink, close: () => Promise<void>): OpenedStore {
  const candidates: Consensus[] = [];
  return {
    backend,
    link,
    candidate() {
      const candidate = createCandidate({ link, runtime, onEvent: () => undefined });
      candidates.push(candidate);
      return candidate;
    },
    async close() {
      for (const candidate of candidates) await candidate.close();
      await close();
    },
  };
}

function valuesOf(io: Pick<Io, "env" | "workingDirectory">, { config, set, backend }: StoreFlags) {
  const settings = Object.entries(set).map(([key, value]) => `--${key}=${value}`);
  // What a controller's file has and this has no use for.
  const alone = config === undefined ? ["--node.id=1"] : [`--config=${config}`];
  const where = backend === undefined ? [] : [`--consensus.backend=${backend}`];
  const home = config === undefined && backend?.startsWith("etcd") === true ? ["--metadata.log.dir=."] : [];
  const resolved = loadConfig(controllerSchema, {
    flags: [...alone, ...where, ...home, ...settings],
    environment: io.env,
    workingDirectory: io.workingDirectory,
  });
  if (!resolved.ok) throw new UsageError(formatProblems(resolved.problems));
  return resolved.config.values;
}

async function accessOf(values: ReturnType<typeof valuesOf>) {
  const paths = {
    ca: values["consensus.etcd.tls.ca"],
    cert: values["consensus.etcd.tls.cert"],
    key: values["consensus.etcd.tls.key"],
  };
  const tls = await readClientTls("consensus.etcd.tls", paths, disk);
  const [name, password] = [values["consensus.etcd.username"], values["consensus.etcd.password"]];
  return {
    ...(tls?.authorities === undefined ? {} : { tls: { ...tls, authorities: tls.authorities } }),
    ...(name === undefined || password === undefined ? {} : { user: { name, password } }),
  };
}
