import { describe, expect, expectTypeOf, test } from "vitest";
import {
  brokerSchema,
  clientSchema,
  controllerSchema,
  formatProblems,
  formatSource,
  type Listener,
  readSources,
  type Sources,
} from "./index.ts";
import { integer } from "./numbers.ts";
import { createSchema } from "./schema.ts";
import { required, secret } from "./setting.ts";
import { list } from "./words.ts";

const needed = ["--node.id=1", "--controller.endpoints=127.0.0.1:4651", "--log.dirs=/data"];
const sources = (given: Partial<Omit<Sources, "file">> & { readonly yaml?: string }): Sources => ({
  file: given.yaml === undefined ? undefined : { name: "tidemark.yaml", text: given.yaml },
  environment: given.environment ?? {},
  flags: given.flags ?? needed,
  baseDirectory: "/base",
});
const broker = (given: Parameters<typeof sources>[0]) => readSources(brokerSchema, sources(given));
const valid = (given: Parameters<typeof sources>[0]) => {
  const resolved = broker(given);
  if (!resolved.ok) throw new Error(formatProblems(resolved.problems));
  return resolved.config;
};
const complaints = (given: Parameters<typeof sources>[0]) => {
  const resolved = broker(given);
  return resolved.ok ? "" : formatProblems(resolved.problems);
};

describe("settings", () => {
  test("take the flag before the variable, the variable before the file, the file before the default", () => {
    const yaml = "log.level: warn\nbroker.rack: file\nmax.connections: 7\n";
    const environment = { TIDEMARK_LOG_LEVEL: "error", TIDEMARK_BROKER_RACK: "variable" };
    const { values, origins } = valid({ yaml, environment, flags: [...needed, "--log.level=debug"] });
    expect(values["log.level"]).toBe("debug");
    expect(values["broker.rack"]).toBe("variable");
    expect(values["max.connections"]).toBe(7);
    expect(values["replica.fetch.wait.max.ms"]).toBe(500);
    expect(
      (["log.level", "broker.rack", "max.connections", "replica.fetch.wait.max.ms"] as const).map((key) =>
        formatSource(origins[key]),
      ),
    ).toEqual(["flag --log.level", "variable TIDEMARK_BROKER_RACK", "tidemark.yaml:3", "default"]);
  });

  test("have the types of their kinds", () => {
    const { values } = valid({});
    expectTypeOf(values["broker.session.timeout.ms"]).toEqualTypeOf<number>();
    expectTypeOf(values["broker.rack"]).toEqualTypeOf<string | undefined>();
    expectTypeOf(values["log.dirs"]).toEqualTypeOf<readonly string[]>();
    expectTypeOf(values["log.flush"]).toEqualTypeOf<"sync" | "async">();
    expectTypeOf(values.listeners).toEqualTypeOf<readonly Listener[]>();
    expect(values["log.dirs"]).toEqual(["/data"]);
  });

  test("take flags with a space, and the last of several", () => {
    const { values } = valid({ flags: [...needed, "--max.connections", "5", "--log.level=warn", "--log.level=error"] });
    expect(values["max.connections"]).toBe(5);
    expect(values["log.level"]).toBe("error");
  });

  test("resolve relative paths from the working directory", () => {
    expect(valid({ flags: [...needed, "--log.dirs=data/1,data/2"] }).values["log.dirs"]).toEqual([
      "/base/data/1",
      "/base/data/2",
    ]);
  });

  test("report everything that is wrong in one go, each with key, value, place and way out", () => {
    const yaml = "broker:\n  sesion.timeout.ms: 9\nmax.connections: many\n";
    const environment = { TIDEMARK_LOG_LEVL: "debug", TIDEMARK_REPLICA_LAG_TIME_MAX_MS: "1 fortnight" };
    const flags = ["--node.id=-1", "--log.dirs=/a,/a", "stray", "--log.flush"];
    const said = complaints({ yaml, environment, flags }).split("\n");
    expect(said[0]).toBe("9 settings are wrong:");
    expect(said).toHaveLength(10);
    for (const expected of [
      'The argument "stray" is no flag. Write --key=value.',
      "The flag --log.flush has no value. Write --log.flush=value.",
      'broker.sesion.timeout.ms = "***" (tidemark.yaml:2) is not a known setting. The nearest one is broker.session.timeout.ms.',
      'log.levl = "***" (variable TIDEMARK_LOG_LEVL) is not a known setting. The nearest one is TIDEMARK_LOG_LEVEL.',
      'node.id = "-1" (flag --node.id) is below 0. Write a whole number from 0 to 2147483647.',
      'max.connections = "many" (tidemark.yaml:3) is not a whole number of that form. Write a whole number, 1 or more.',
      'replica.lag.time.max.ms = "1 fortnight" (variable TIDEMARK_REPLICA_LAG_TIME_MAX_MS) is not a whole number',
      "controller.endpoints is required and not given. Give a list",
      'log.dirs = "/a,/a" (flag --log.dirs) names "/a" twice.',
    ]) {
      expect(said).toContainEqual(expect.stringContaining(expected));
    }
  });

  test("refuse one key twice in a file, dotted and nested", () => {
    expect(complaints({ yaml: "log.level: info\nlog:\n  level: warn\n" })).toContain(
      'log.level = "warn" (tidemark.yaml:3) stands there for the second time, after tidemark.yaml:1. Keep one',
    );
  });

  test("pass over what belongs to another process in a shared file or environment, and say so", () => {
    const { ignored } = valid({
      yaml: "num.partitions: 6\n",
      environment: { TIDEMARK_SERVER: "127.0.0.1:4640", TIDEMARK_GATEWAY_CORS_ORIGINS: "*" },
    });
    expect(ignored.map(({ key }) => key)).toEqual(["num.partitions", "server", "gateway.cors.origins"]);
  });

  test("refuse as a flag what belongs to another process", () => {
    expect(complaints({ flags: [...needed, "--num.partitions=6"] })).toContain(
      'num.partitions = "***" (flag --num.partitions) is no setting of a broker.',
    );
  });

  test("refuse keys that every object has", () => {
    for (const key of ["constructor", "__proto__", "toString"]) {
      expect(complaints({ flags: [...needed, `--${key}=1`] })).toContain("is not a known setting");
    }
  });

  test("keep a secret out of every message", () => {
    const given = sources({
      flags: ["--node.id=1", "--metadata.log.dir=/m", "--consensus.etcd.pasword=hunter2"],
      yaml: 'consensus.etcd.password: " "\nconsensus.etcd:\n  password: hunter2\n',
    });
    const resolved = readSources(controllerSchema, given);
    const said = resolved.ok ? "" : formatProblems(resolved.problems);
    expect(said).toContain("second time");
    expect(said).toContain("consensus.etcd.pasword");
    expect(said).not.toContain("hunter2");
  });

  test("keep a malformed secret out of the reason as well", () => {
    const schema = createSchema("test", { keys: secret(required(list(integer()), "Keys.")) }, []);
    const resolved = readSources(schema, sources({ flags: ["--keys=1,hunter2"] }));
    const said = resolved.ok ? "" : formatProblems(resolved.problems);
    expect(said).toContain('keys = "***" (flag --keys)');
    expect(said).not.toContain("hunter2");
  });

  test("of a client need nothing to be given", () => {
    const resolved = readSources(clientSchema, sources({ flags: [] }));
    expect(resolved.ok && resolved.config.values.server).toEqual({ host: "127.0.0.1", port: 4640 });
  });
});
