// The library asks for it to be loaded first.
import "reflect-metadata";
import type { webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const SERVER_AND_CLIENT = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];

/** A certificate and its key, both PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** An authority that signs certificates for 127.0.0.1, made anew for each test. */
export interface Authority {
  /** PEM. */
  readonly certificate: string;
  /** `validFrom` and `validTo` default to a day around now. */
  issue(commonName: string, validity?: { readonly notBefore: Date; readonly notAfter: Date }): Promise<KeyPair>;
}

export async function createAuthority(now: Date): Promise<Authority> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const day = 24 * 3600 * 1000;
  const valid = { notBefore: new Date(now.getTime() - day), notAfter: new Date(now.getTime() + day) };
  const root = await X509CertificateGenerator.createSelfSigned({
    name: "CN=test authority",
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [new BasicConstraintsExtension(true, 1, true)],
    ...valid,
  });
  return {
    certificate: root.toString("pem"),
    issue: (commonName, validity = valid) => issue(commonName, root, keys.privateKey, validity),
  };
}

async function issue(
  commonName: string,
  issuer: X509Certificate,
  signingKey: webcrypto.CryptoKey,
  validity: { readonly notBefore: Date; readonly notAfter: Date },
): Promise<KeyPair> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${commonName}`,
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new SubjectAlternativeNameExtension([
        { type: "ip", value: "127.0.0.1" },
        { type: "dns", value: `${commonName}.test` },
      ]),
      new ExtendedKeyUsageExtension(SERVER_AND_CLIENT),
    ],
    ...validity,
  });
  const key = PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { certificate: certificate.toString("pem"), key };
}
