import { describe, expect, test } from "vitest";
import { formatProblems, parseTopicSettings } from "./index.ts";

describe("topic settings", () => {
  test("are typed where given, undefined where not, and kept in their shortest form", () => {
    const parsed = parseTopicSettings({
      "retention.ms": "7d",
      "segment.bytes": "64 MiB",
      "cleanup.policy": "compact, delete",
    });
    expect(parsed.ok && parsed.settings["retention.ms"]).toBe(604_800_000);
    expect(parsed.ok && parsed.settings["min.insync.replicas"]).toBeUndefined();
    expect(parsed.ok && parsed.texts).toEqual({
      "retention.ms": "604800000",
      "segment.bytes": "67108864",
      "cleanup.policy": "compact,delete",
    });
  });

  test("may be none", () => {
    expect(parseTopicSettings({})).toMatchObject({ ok: true, texts: {} });
  });

  test("are refused all at once, an unknown one with the nearest", () => {
    const parsed = parseTopicSettings({ "log.retention.ms": "1", "min.insync.replicas": "0", flush: "later" });
    const said = parsed.ok ? "" : formatProblems(parsed.problems);
    expect(said).toContain(
      'log.retention.ms = "***" (request) is not a known setting. The nearest one is retention.ms.',
    );
    expect(said).toContain('min.insync.replicas = "0" (request) is below 1.');
    expect(said).toContain('flush = "later" (request) is none of the words it can be. Write one of sync, async.');
  });

  test("are refused when the largest batch does not fit a segment", () => {
    const parsed = parseTopicSettings({ "max.message.bytes": "2MiB", "segment.bytes": "1MiB" });
    expect(parsed.ok ? "" : formatProblems(parsed.problems)).toContain("must be at most segment.bytes");
  });
});
