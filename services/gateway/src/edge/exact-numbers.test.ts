import fc from "fast-check";
import { expect, test } from "vitest";
import { inexactNumber } from "./exact-numbers.ts";

const inexactIn = (json: string) => inexactNumber(Buffer.from(json));

test.each([
  ["9007199254740993", "9007199254740993"],
  ['{"a":[1,{"b":-12345678901234567890}]}', "-12345678901234567890"],
  ["12345678901234567001000", "12345678901234567001000"],
  [`[${"9".repeat(400)}]`, "9".repeat(40)],
  [' {"n" : 9007199254740993 } ', "9007199254740993"],
  ['{"a\\\\":9007199254740993}', "9007199254740993"],
])("%s holds a number that would become another one", (json, found) => {
  expect(inexactIn(json)).toBe(found);
});

test.each([
  "9007199254740992",
  "-9007199254740992",
  "1e300",
  "0.1000000000000000055511151231257827",
  "12345678901234567890.5",
  "100000000000000000000000",
  "12345678901234567000",
  '"9007199254740993"',
  '{"9007199254740993":"a \\"9007199254740993 b"}',
  '"9007199254740993',
  "",
])("%s keeps its numbers", (json) => {
  expect(inexactIn(json)).toBeUndefined();
});

test("finds a whole number exactly where reading and writing it again changes its digits", () => {
  fc.assert(
    fc.property(fc.bigInt(-(2n ** 69n), 2n ** 69n), fc.string(), (number, text) => {
      const json = JSON.stringify({ [text]: [text, 0] }).replace(",0]", `,${number}]`);
      const isKept = JSON.stringify(JSON.parse(`${number}`)) === `${number}`;
      expect(inexactIn(json)).toBe(isKept ? undefined : `${number}`);
    }),
  );
});
