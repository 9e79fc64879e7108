import { describe, expect, test } from "vitest";
import { renderRecords } from "./render.ts";

const record = (value: Buffer | null, key: Buffer | null = null) => ({
  offset: 5n as never,
  timestamp: 1_700_000_000_000n,
  key,
  value,
  headers: [{ key: Buffer.from("h"), value: Buffer.from([0xff]) }],
});
const render = (format: "text" | "json" | "raw", ...records: readonly ReturnType<typeof record>[]) =>
  renderRecords(format, { topic: "t", partition: 2, records });

describe("records as they are written", () => {
  test("raw: each value as it is and one newline", () => {
    const values = [Buffer.from([0xff, 0, 0x0d]), Buffer.from(""), null];
    const written = render("raw", ...values.map((value) => record(value)));
    expect(written).toEqual(Buffer.from([0xff, 0, 0x0d, 0x0a, 0x0a, 0x0a]));
  });

  test("text: nothing in a value moves the terminal", () => {
    const written = render("text", record(Buffer.from("a\tb\u001b[2J\r\u0007\u009b1m ü")), record(null));
    expect(written.toString()).toBe("a\tb\\x1b[2J\\r\\x07\\x9b1m ü\nnull\n");
  });

  test("json: one object a line, and what is no text under a name of its own", () => {
    const [line, rest] = render("json", record(Buffer.from([0xff]), Buffer.from("k")))
      .toString()
      .split("\n");
    expect(rest).toBe("");
    expect(JSON.parse(line ?? "")).toEqual({
      topic: "t",
      partition: 2,
      offset: 5,
      timestamp: 1_700_000_000_000,
      key: "k",
      valueBase64: "/w==",
      headers: [{ key: "h", valueBase64: "/w==" }],
    });
  });
});
