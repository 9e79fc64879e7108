import { createPrivateKey, X509Certificate } from "node:crypto";

/** What is wrong with the text of a PEM file, as the end of a sentence about the file; undefined: nothing. */
export type PemProblem = string | undefined;

const certificateBlock = /-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g;

/** A chain, or authorities: one certificate or more. */
export function certificatesProblem(pem: Uint8Array): PemProblem {
  const blocks = textOf(pem).match(certificateBlock);
  if (blocks === null) return "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)";
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch {
      return `holds what cannot be read as certificate ${index + 1}`;
    }
  }
  return undefined;
}

/** A private key without a passphrase. */
export function keyProblem(pem: Uint8Array): PemProblem {
  const text = textOf(pem);
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text))
    return "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)";
  try {
    createPrivateKey(text);
    return undefined;
  } catch {
    return "holds a private key that cannot be read: it is damaged, or has a passphrase";
  }
}

/** Whether `key` is that of the first certificate of `chain`, both of which were found sound. */
export function keyFits(chain: Uint8Array, key: Uint8Array): boolean {
  return new X509Certificate(textOf(chain)).checkPrivateKey(createPrivateKey(textOf(key)));
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
