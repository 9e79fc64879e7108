import { describe, expect, it } from "vitest";
import { consensusChoice } from "./consensus-backend.ts";
import { readSources } from "./read-sources.ts";
import { controllerSchema } from "./services/controller.ts";

function choiceOf(...flags: readonly string[]) {
  const sources = {
    file: undefined,
    environment: {},
    flags: ["--node.id=1", "--metadata.log.dir=/meta", ...flags],
    baseDirectory: "/",
  };
  const resolved = readSources(controllerSchema, sources);
  if (!resolved.ok) throw new Error("The settings are not valid");
  return consensusChoice(resolved.config.values);
}

const members = [
  { host: "a", port: 2379 },
  { host: "b", port: 2380 },
];

describe("where the metadata is kept", () => {
  it("is etcd with its members and prefix, by a URL", () => {
    expect(choiceOf("--consensus.backend=etcd://a:2379,b:2380/tidemark/prod")).toEqual({
      kind: "etcd",
      directory: "/meta",
      endpoints: members,
      prefix: "/tidemark/prod",
    });
  });

  it("is etcd with its members and prefix, by settings of their own", () => {
    const flags = ["--consensus.etcd.endpoints=a:2379,b:2380", "--consensus.etcd.prefix=/mine"];
    expect(choiceOf("--consensus.backend=etcd", ...flags)).toEqual({
      kind: "etcd",
      directory: "/meta",
      endpoints: members,
      prefix: "/mine",
    });
  });

  it("is a directory for the other backends", () => {
    expect(choiceOf("--consensus.backend=raft")).toEqual({ kind: "raft", directory: "/meta" });
  });
});
