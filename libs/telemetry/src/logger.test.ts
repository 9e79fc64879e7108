import { createManualTime } from "@tidemark/runtime";
import { describe, expect, test } from "vitest";
import { createLogger, type LogFields, type LogLevel } from "./index.ts";

function loggerWithLines(level: LogLevel = "info") {
  const lines: string[] = [];
  const logger = createLogger({
    clock: createManualTime(1_700_000_000_000).clock,
    level,
    service: "tidemark-broker",
    instanceId: "broker-1",
    write: (line) => lines.push(line),
  });
  return { logger, lines, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}
const logged = (fields: LogFields) => {
  const { logger, parsed } = loggerWithLines();
  logger.info("x", fields);
  return parsed()[0] ?? {};
};
const trace = {
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  spanId: "00f067aa0ba902b7",
  sampled: true,
  traceState: undefined,
};

describe("a log line", () => {
  test("is one line of JSON with level, time, service, instance and message", () => {
    const { logger, lines, parsed } = loggerWithLines();
    logger.info("Became leader\nof t-0", { partition: 0, leaderEpoch: 4, offset: 7n });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^\{[^\n]*\}\n$/);
    expect(parsed()[0]).toEqual({
      level: "info",
      time: "2023-11-14T22:13:20.000Z",
      service: "tidemark-broker",
      instance: "broker-1",
      message: "Became leader\nof t-0",
      partition: 0,
      leaderEpoch: 4,
      offset: 7,
    });
  });

  test("carries the ids of the span it is given, in the line or in every line", () => {
    expect(logged({ trace })).toMatchObject({ trace_id: trace.traceId, span_id: trace.spanId });
    const { logger, parsed } = loggerWithLines();
    logger.with({ trace, topic: "t" }).warn("x");
    expect(parsed()[0]).toMatchObject({ trace_id: trace.traceId, span_id: trace.spanId, topic: "t", level: "warn" });
    expect(parsed()[0]).not.toHaveProperty("trace");
  });

  test("is written from its level on, and asking costs no line", () => {
    const { logger, parsed } = loggerWithLines("warn");
    logger.info("x");
    logger.warn("y");
    logger.fatal("z");
    expect(parsed().map(({ message }) => message)).toEqual(["y", "z"]);
    expect([logger.logs("info"), logger.logs("warn")]).toEqual([false, true]);
  });

  test("has an error's type, message, code, stack and cause", () => {
    const error = Object.assign(new TypeError("broken", { cause: new Error("below") }), { code: "EIO" });
    expect(logged({ error }).error).toMatchObject({
      type: "TypeError",
      message: "broken",
      code: "EIO",
      cause: "below",
    });
    expect((logged({ error }).error as { stack: string }).stack).toContain("logger.test.ts");
  });

  test("never shows a secret, by whatever name it is given", () => {
    const secrets = { password: "hunter2", saslToken: "hunter2", clientSecret: "hunter2", privateKey: "hunter2" };
    expect(JSON.stringify(logged({ ...secrets, authorization: "hunter2", etcd_passwd: ["hunter2"] }))).not.toContain(
      "hunter2",
    );
  });

  test("never shows bytes or objects, which may be a record", () => {
    const sneaked = { value: Buffer.from("record"), record: { value: "record" }, list: [{ value: "record" }] };
    const line = logged(sneaked as unknown as LogFields);
    expect(line).toMatchObject({ value: "(left out)", record: "(left out)", list: ["(left out)"] });
  });

  test("cuts a text that is too long to be a name", () => {
    expect(logged({ text: "x".repeat(5000) }).text).toBe(`${"x".repeat(1000)}... (5000 characters)`);
    expect(logged({ text: "x".repeat(1000) }).text).toBe("x".repeat(1000));
  });

  test.each<[string, LogFields[string], unknown]>([
    ["an offset beyond exact numbers", 2n ** 60n, "1152921504606846976"],
    ["no number", Number.NaN, "NaN"],
    ["without end", Number.POSITIVE_INFINITY, "Infinity"],
    ["null", null, null],
    ["a list", [1, "a", 3n], [1, "a", 3]],
  ])("shows %s", (_, value, shown) => {
    expect(logged({ field: value }).field).toEqual(shown);
  });

  test("leaves out what is undefined", () => {
    expect(logged({ field: undefined })).not.toHaveProperty("field");
  });
});
