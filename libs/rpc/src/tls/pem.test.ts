import { beforeAll, describe, expect, it } from "vitest";
import { type Authority, createAuthority, type KeyPair } from "../testing/certificates.ts";
import { runtime } from "../testing/harness.ts";
import { certificatesProblem, keyFits, keyProblem } from "./pem.ts";

let authority: Authority;
let pair: KeyPair;

beforeAll(async () => {
  authority = await createAuthority(new Date(runtime.clock.wallMs()));
  pair = await authority.issue("broker-1");
});

const bytes = (text: string) => Buffer.from(text);
const broken = (pem: string) => bytes(pem.replace(/\n[^\n]+\n/, "\nAAAA\n"));

describe("a PEM file", () => {
  it("of certificates, a chain or authorities, is sound", () => {
    expect(certificatesProblem(bytes(pair.certificate))).toBeUndefined();
    expect(certificatesProblem(bytes(`# ours\n${pair.certificate}\n${authority.certificate}`))).toBeUndefined();
  });

  it.each([
    ["nothing", () => bytes(""), /no certificate in PEM/],
    ["bytes", () => Uint8Array.of(0x30, 0x82, 0xff), /no certificate in PEM/],
    ["a key", () => bytes(pair.key), /no certificate in PEM/],
    ["a damaged one", () => broken(pair.certificate), /as certificate 1/],
    [
      "a damaged second one",
      () => bytes(`${pair.certificate}\n${String(broken(pair.certificate))}`),
      /as certificate 2/,
    ],
  ])("with %s for certificates says so", (_, pem, says) => {
    expect(certificatesProblem(pem())).toMatch(says);
  });

  it("of a key is sound", () => {
    expect(keyProblem(bytes(pair.key))).toBeUndefined();
  });

  it.each([
    ["nothing", () => bytes(""), /no private key in PEM/],
    ["a certificate", () => bytes(pair.certificate), /no private key in PEM/],
    ["a damaged one", () => broken(pair.key), /cannot be read/],
  ])("with %s for a key says so", (_, pem, says) => {
    expect(keyProblem(pem())).toMatch(says);
  });

  it("of a key fits the first certificate of its chain and no other", () => {
    expect(keyFits(bytes(`${pair.certificate}\n${authority.certificate}`), bytes(pair.key))).toBe(true);
    expect(keyFits(bytes(authority.certificate), bytes(pair.key))).toBe(false);
  });
});
