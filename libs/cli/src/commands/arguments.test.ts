import { describe, expect, test } from "vitest";
import { epochFloor, keyValue, positiveCount, positiveNumber, timeSpan, wholeNumber } from "./arguments.ts";

describe("what is written on the command line", () => {
  test.each([
    ["500ms", 500],
    ["30s", 30_000],
    ["2m", 120_000],
    ["1h", 3_600_000],
    ["1500", 1500],
  ])("the time %s", (text, ms) => {
    expect(timeSpan(text)).toBe(ms);
  });

  test.each(["", "0", "-1s", "1.5s", "2 m", "5d", "99999999h"])("is no time: %j", (text) => {
    expect(() => timeSpan(text)).toThrow("500ms, 30s or 2m");
  });

  test.each(["", "-1", "1.5", "1e3", " 1", "99999999999999999999"])("is no whole number: %j", (text) => {
    expect(() => wholeNumber(text)).toThrow("whole number");
  });

  test("numbers from 0 on, and from 1 on", () => {
    expect([wholeNumber("0"), positiveNumber("1")]).toEqual([0, 1]);
    expect(() => positiveNumber("0")).toThrow("from 1 on");
  });

  test("a floor for controller epochs leaves room for those that come", () => {
    expect([epochFloor("0"), epochFloor("1073741824")]).toEqual([0, 1_073_741_824]);
    for (const text of ["1073741825", "2147483647"]) expect(() => epochFloor(text)).toThrow("1073741824 at most");
    expect(() => epochFloor("-1")).toThrow("whole number");
  });

  test.each(["4294967296", "99999999999"])("is more than a request can say: %j", (text) => {
    expect(() => wholeNumber(text)).toThrow("from 0 to 4294967295");
    expect(() => positiveCount(text)).toThrow("from 1 to 4294967295");
    expect(positiveNumber(text)).toBe(Number(text));
  });

  test("settings are collected, and a value may hold an equals sign", () => {
    expect(keyValue("b=c=d", { a: "1" })).toEqual({ a: "1", b: "c=d" });
    expect(() => keyValue("=x", {})).toThrow("key=value");
  });
});
