import { describe, expect, test } from "vitest";
import { endpoint, listeners } from "./addresses.ts";
import { backendReference } from "./consensus-backend.ts";
import type { Kind } from "./kind.ts";
import { bytes, duration, integer, ratio } from "./numbers.ts";
import { cleanupPolicy, noLimit } from "./topic-kinds.ts";
import { boolean, list, oneOf, path, text } from "./words.ts";

const read = <Value>(kind: Kind<Value>, value: string) => {
  const parsed = kind.parse(value, { baseDirectory: "/base" });
  return parsed.ok ? parsed.value : `refused: ${parsed.reason}`;
};
const both = listeners({ anyPort: true, names: ["client", "internal"] });

describe("a value", () => {
  test.each<[string, Kind<unknown>, string, unknown]>([
    ["a whole number", integer(), " 42 ", 42],
    ["a negative number in its range", integer({ min: -5 }), "-5", -5],
    ["the largest safe number", integer(), "9007199254740991", Number.MAX_SAFE_INTEGER],
    ["plain milliseconds", duration(), "1500", 1500],
    ["seconds", duration(), "30 s", 30_000],
    ["hours in capitals", duration(), "2H", 7_200_000],
    ["the word for no limit", duration({ min: 1, except: noLimit }), "-1", -1],
    ["mebibytes", bytes(), "8MiB", 8 * 2 ** 20],
    ["plain bytes", bytes(), "17", 17],
    ["a share", ratio(), " 0.25 ", 0.25],
    ["the whole", ratio(), "1", 1],
    ["true in any case", boolean(), "TRUE", true],
    ["a word in any case", oneOf("CreateTime", "LogAppendTime"), "logappendtime", "LogAppendTime"],
    ["a relative path", path(), "data/../logs", "/base/logs"],
    ["an absolute path", path(), "/var//lib/", "/var/lib"],
    ["an empty list", list(text()), "  ", []],
    ["a list with spaces", list(integer()), "1, 2 ,3", [1, 2, 3]],
    ["host and port", endpoint({ anyPort: false }), "Broker-1.example:4660", { host: "broker-1.example", port: 4660 }],
    ["an IPv6 address", endpoint({ anyPort: true }), "[::1]:0", { host: "::1", port: 0 }],
    [
      "listeners",
      both,
      "client://0.0.0.0:4660,internal://[fe80::1]:4661",
      [
        { name: "client", host: "0.0.0.0", port: 4660 },
        { name: "internal", host: "fe80::1", port: 4661 },
      ],
    ],
    ["both cleanup policies", cleanupPolicy(), "compact,delete", ["compact", "delete"]],
    ["a backend's name", backendReference(), "Single", { name: "single", location: undefined }],
    ["a backend's URL", backendReference(), "single:///data/Meta", { name: "single", location: "/data/Meta" }],
    ["an etcd URL", backendReference(), "etcd://a:1,b:2/p", { name: "etcd", location: "a:1,b:2/p" }],
  ])("is read: %s", (_, kind, given, value) => {
    expect(read(kind, given)).toEqual(value);
  });

  test.each<[string, Kind<unknown>, string, string]>([
    ["a fraction", integer(), "1.5", "is not a whole number of that form"],
    ["an exponent", integer(), "1e3", "is not a whole number of that form"],
    ["nothing", integer(), "", "is not a whole number of that form"],
    ["a number beyond exact ones", integer(), "9007199254740993", "is not a whole number of that form"],
    ["a number below its range", integer({ min: 1 }), "0", "is below 1"],
    ["a number above its range", integer({ max: 9 }), "10", "is above 9"],
    ["-1 where it has no meaning", duration(), "-1", "is below 0"],
    ["a share beyond the whole", ratio(), "1.01", "is above 1"],
    ["a negative share", ratio(), "-0.5", "is not a number of that form"],
    ["a share that is no number", ratio(), "NaN", "is not a number of that form"],
    ["a unit that is none", duration(), "5 weeks", "is not a whole number of that form"],
    ["a unit that objects inherit", duration(), "5constructor", "is not a whole number of that form"],
    ["a unit that overflows", bytes(), "9000000TiB", "is not a whole number of that form"],
    ["decimal megabytes", bytes(), "8MB", "is not a whole number of that form"],
    ["yes for true", boolean(), "yes", "is neither true nor false"],
    ["a word outside its set", oneOf("a", "b"), "c", "is none of the words it can be"],
    ["an empty text", text(), " ", "is empty"],
    ["a path with NUL", path(), "a\0b", "has a NUL character in it"],
    ["a list with a hole", list(text()), "a,,b", 'has an item "" that is empty'],
    ["a list with too few", list(text(), { min: 1 }), "", "has fewer than 1 items"],
    ["one directory by two names", list(path()), "/a/b,/a/c/../b", 'names "/a/b" twice'],
    ["a host without a port", endpoint({ anyPort: true }), "localhost", "is not host:port"],
    ["an IPv6 address without brackets", endpoint({ anyPort: true }), "::1:80", "is not host:port"],
    ["port 0 to be dialled", endpoint({ anyPort: false }), "a:0", "has a port outside 1 to 65535"],
    ["a port too high", endpoint({ anyPort: true }), "a:65536", "has a port outside 0 to 65535"],
    ["a listener missing", both, "client://a:1", 'has no listener "internal"'],
    ["a listener twice", both, "client://a:1,client://a:2,internal://a:3", 'has "client" 2 times'],
    ["a listener without a scheme", both, "a:1", 'has an item "a:1" that is not name://host:port'],
    ["a listener of no known name", both, "PLAINTEXT://a:1", "has no known name (client, internal)"],
    ["no policy", cleanupPolicy(), "", "names no policy"],
    ["an unknown backend", backendReference(), "zookeeper", "names no consensus backend"],
    ["a relative path in a URL", backendReference(), "single://data", "has a path that is not absolute"],
  ])("is refused: %s", (_, kind, given, reason) => {
    expect(read(kind, given)).toEqual(expect.stringContaining("refused: "));
    expect(read(kind, given)).toEqual(expect.stringContaining(reason));
  });

  test.each<[Kind<unknown>, string]>([
    [duration({ min: 1, except: noLimit }), "-1"],
    [list(integer()), "1,2"],
    [both, "client://[::1]:1,internal://b:2"],
    [backendReference(), "single:///a"],
    [boolean(), "false"],
    [cleanupPolicy(), "compact,delete"],
  ])("is shown as it can be written again (%#)", (kind, written) => {
    const parsed = kind.parse(written, { baseDirectory: "/" });
    expect(parsed.ok && kind.format(parsed.value)).toBe(written);
  });
});
