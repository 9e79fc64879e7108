import { accepted, type Kind, rejected } from "./kind.ts";
import type { Finding, Rule } from "./schema.ts";

const backends = ["single", "raft", "etcd"] as const;
export type BackendName = (typeof backends)[number];

/** Declared, and refused by name. A backend that arrives is taken out of this set, and nothing else changes. */
const notAvailableYet: ReadonlySet<BackendName> = new Set(["etcd"]);

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
      return accepted({ name, location });
    },
  };
}

interface BackendValues {
  readonly "consensus.backend": BackendReference;
  readonly "metadata.log.dir": string | undefined;
}

/** The one place where a backend that does not exist yet is refused, and where a path is given exactly once. */
export const backendIsUsable: Rule<BackendValues> = {
  needs: ["consensus.backend", "metadata.log.dir"],
  check: (values): readonly Finding[] => {
    const { name, location } = values["consensus.backend"];
    if (notAvailableYet.has(name)) {
      const reason = `asks for the backend ${name}, which is not available yet`;
      return [{ keys: ["consensus.backend"], reason, remedy: "Use single or raft.", severity: "error" }];
    }
    const directory = values["metadata.log.dir"];
    if (location === undefined && directory === undefined) {
      const remedy = `Set metadata.log.dir, or write consensus.backend as ${name}:///path.`;
      return [
        { keys: ["consensus.backend"], reason: "does not say where it keeps its data", remedy, severity: "error" },
      ];
    }
    if (location !== undefined && directory !== undefined && location !== directory) {
      const reason = "names another directory than metadata.log.dir";
      return [
        { keys: ["consensus.backend", "metadata.log.dir"], reason, remedy: "Keep one of the two.", severity: "error" },
      ];
    }
    return [];
  },
};

/** Where the metadata is kept. One member for each backend that is available. */
export interface ConsensusChoice {
  readonly kind: "single" | "raft";
  /** Absolute path. */
  readonly directory: string;
}

/** What a controller's valid settings choose. */
export function consensusChoice(values: BackendValues): ConsensusChoice {
  const { name, location } = values["consensus.backend"];
  const directory = location ?? values["metadata.log.dir"];
  if (directory === undefined) throw new Error("Broken invariant: valid settings name a metadata directory");
  return { kind: name === "raft" ? "raft" : "single", directory };
}
