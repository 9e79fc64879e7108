import { type Endpoint, formatEndpoint } from "./addresses.ts";
import { parseEtcdLocation } from "./etcd-location.ts";
import { accepted, type Kind, rejected } from "./kind.ts";
import type { Finding, Rule } from "./schema.ts";

const backends = ["single", "raft", "etcd"] as const;
export type BackendName = (typeof backends)[number];

/** A backend by its name, or by a URL that also says where it keeps or finds its data. */
export interface BackendReference {
  readonly name: BackendName;
  /** What follows `name://`. Undefined where only the name is given. */
  readonly location: string | undefined;
}

/** `single`, `raft`, `etcd`, `single:///path`, `raft:///path` or `etcd://host:port,.../prefix`. */
export function backendReference(): Kind<BackendReference> {
  return {
    form: `${backends.join(", ")}, or a URL: single:///path, raft:///path, etcd://host:port,host:port/prefix`,
    format: ({ name, location }) => (location === undefined ? name : `${name}://${location}`),
    parse: (text) => {
      const match = /^([a-z]+)(?::\/\/(.*))?$/is.exec(text.trim());
      const name = backends.find((known) => known === match?.[1]?.toLowerCase());
      if (name === undefined) return rejected("names no consensus backend");
      const location = match?.[2];
      if (location === "") return rejected("has nothing behind ://");
      if (name !== "etcd" && location !== undefined && !location.startsWith("/")) {
        return rejected("has a path that is not absolute (a URL with a path has three slashes)");
      }
      if (name === "etcd" && location !== undefined) {
        const parsed = parseEtcdLocation(location);
        if (!parsed.ok) return parsed;
      }
      return accepted({ name, location });
    },
  };
}

interface BackendValues {
  readonly "consensus.backend": BackendReference;
  readonly "metadata.log.dir": string | undefined;
  readonly "consensus.etcd.endpoints": readonly Endpoint[] | undefined;
  readonly "consensus.etcd.prefix": string;
}

/** A path is given exactly once, and so are the members of an etcd. */
export const backendIsUsable: Rule<BackendValues> = {
  needs: ["consensus.backend", "metadata.log.dir", "consensus.etcd.endpoints", "consensus.etcd.prefix"],
  check: (values): readonly Finding[] =>
    values["consensus.backend"].name === "etcd" ? checkEtcd(values) : checkDirectory(values),
};

function checkDirectory(values: BackendValues): readonly Finding[] {
  const { name, location } = values["consensus.backend"];
  const directory = values["metadata.log.dir"];
  if (location === undefined && directory === undefined) {
    const remedy = `Set metadata.log.dir, or write consensus.backend as ${name}:///path.`;
    return [{ keys: ["consensus.backend"], reason: "does not say where it keeps its data", remedy, severity: "error" }];
  }
  if (location !== undefined && directory !== undefined && location !== directory) {
    const reason = "names another directory than metadata.log.dir";
    return [
      { keys: ["consensus.backend", "metadata.log.dir"], reason, remedy: "Keep one of the two.", severity: "error" },
    ];
  }
  return [];
}

function checkEtcd(values: BackendValues): readonly Finding[] {
  const { location } = values["consensus.backend"];
  const endpoints = values["consensus.etcd.endpoints"];
  const findings: Finding[] = [];
  if (values["metadata.log.dir"] === undefined) {
    const reason = "needs metadata.log.dir, where a controller keeps who it is";
    const remedy = "Set metadata.log.dir to a directory of this controller's own.";
    findings.push({ keys: ["consensus.backend"], reason, remedy, severity: "error" });
  }
  if (location === undefined && endpoints === undefined) {
    const remedy = "Set consensus.etcd.endpoints, or write consensus.backend as etcd://host:port,host:port/prefix.";
    findings.push({ keys: ["consensus.backend"], reason: "does not say where etcd is", remedy, severity: "error" });
  }
  if (location !== undefined && endpoints !== undefined && !sameEndpoints(location, endpoints)) {
    const keys = ["consensus.backend", "consensus.etcd.endpoints"];
    const reason = "names other members than consensus.etcd.endpoints";
    findings.push({ keys, reason, remedy: "Keep one of the two.", severity: "error" });
  }
  return findings;
}

function sameEndpoints(location: string, endpoints: readonly Endpoint[]): boolean {
  const parsed = parseEtcdLocation(location);
  const list = (all: readonly Endpoint[]) => all.map(formatEndpoint).sort().join(",");
  return parsed.ok && list(parsed.value.endpoints) === list(endpoints);
}

/** Where the metadata is kept. */
export type ConsensusChoice =
  | {
      readonly kind: "single" | "raft";
      /** Absolute path. */
      readonly directory: string;
    }
  | {
      readonly kind: "etcd";
      /** Absolute path of what the controller keeps for itself. */
      readonly directory: string;
      readonly endpoints: readonly Endpoint[];
      /** Above every key. */
      readonly prefix: string;
    };

/** What a controller's valid settings choose. */
export function consensusChoice(values: BackendValues): ConsensusChoice {
  const { name, location } = values["consensus.backend"];
  if (name === "etcd") return etcdChoice(values, location);
  const directory = location ?? values["metadata.log.dir"];
  if (directory === undefined) throw new Error("Broken invariant: valid settings name a metadata directory");
  return { kind: name, directory };
}

function etcdChoice(values: BackendValues, location: string | undefined): ConsensusChoice {
  const directory = values["metadata.log.dir"];
  const parsed = location === undefined ? undefined : parseEtcdLocation(location);
  const named = parsed?.ok === true ? parsed.value : undefined;
  const endpoints = named?.endpoints ?? values["consensus.etcd.endpoints"];
  if (directory === undefined || endpoints === undefined) {
    throw new Error("Broken invariant: valid settings name a directory and the members of etcd");
  }
  return { kind: "etcd", directory, endpoints, prefix: named?.prefix ?? values["consensus.etcd.prefix"] };
}
