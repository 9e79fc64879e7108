import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { waitFor } from "../wait-for.ts";

/** One etcd process of a test. */
export interface EtcdMember {
  readonly name: string;
  /** host:port where clients reach it. */
  readonly endpoint: string;
  /** URL where the other members reach it. */
  readonly peerUrl: string;
  /** Whether its process runs. */
  isRunning(): boolean;
  /** Starts it, or starts it again over its data; `ready` says when it serves. `joining`: as a new member of the others. */
  start(options?: { readonly joining: boolean }): void;
  /** Resolves when it serves, which takes a majority. `timeoutMs`: rejects then; a minute where it is absent. */
  ready(timeoutMs?: number): Promise<void>;
  /** kill -9. Resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stand and nobody answers. */
  pause(): void;
  resume(): void;
  /** A new disk: what the member had is gone. It has to be killed before. */
  loseDisk(): void;
  /** SIGTERM. Resolves when it is gone. */
  stop(): Promise<void>;
}

export interface EtcdTls {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

export interface EtcdMemberOptions {
  readonly binary: string;
  readonly name: string;
  readonly directory: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** Where it says whether it is healthy, in cleartext whatever clients speak. */
  readonly healthPort: number;
  /** Clients speak TLS, and show a certificate of this authority. Paths of PEM files. */
  readonly tls: EtcdTls | undefined;
  /** name=url,... of all members. */
  readonly cluster: string;
  readonly flags: readonly string[];
}

export function createEtcdMember(options: EtcdMemberOptions): EtcdMember {
  const endpoint = `127.0.0.1:${options.clientPort}`;
  let child: ChildProcess | undefined;
  let said = "";

  const signal = (name: NodeJS.Signals) => {
    if (child?.pid !== undefined && !hasEnded(child)) process.kill(child.pid, name);
  };
  const end = async (name: NodeJS.Signals) => {
    const ending = child;
    if (ending === undefined || hasEnded(ending)) return;
    const gone = new Promise((resolve) => ending.once("exit", resolve));
    signal(name);
    signal("SIGCONT");
    await gone;
  };

  return {
    name: options.name,
    endpoint,
    peerUrl: `http://127.0.0.1:${options.peerPort}`,
    isRunning: () => child !== undefined && !hasEnded(child),
    start({ joining } = { joining: false }) {
      if (child !== undefined && !hasEnded(child)) throw new Error(`${options.name} runs`);
      const started = spawn(options.binary, argumentsOf(options, joining), { stdio: ["ignore", "ignore", "pipe"] });
      started.stderr.on("data", (piece: Buffer) => {
        said = (said + piece.toString()).slice(-4000);
      });
      child = started;
    },
    async ready(timeoutMs) {
      const serves = async () => {
        if (child === undefined || hasEnded(child)) throw new Error(`${options.name} ended:\n${said}`);
        const answer = await fetch(`http://127.0.0.1:${options.healthPort}/health`, {
          signal: AbortSignal.timeout(1000),
        });
        return ((await answer.json()) as { readonly health: string }).health === "true";
      };
      await waitFor(`${options.name} to serve`, serves, timeoutMs);
    },
    kill: () => end("SIGKILL"),
    pause: () => signal("SIGSTOP"),
    resume: () => signal("SIGCONT"),
    loseDisk: () => rmSync(options.directory, { recursive: true, force: true }),
    stop: () => end("SIGTERM"),
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function argumentsOf(options: EtcdMemberOptions, joining: boolean): readonly string[] {
  const { tls } = options;
  const client = `${tls === undefined ? "http" : "https"}://127.0.0.1:${options.clientPort}`;
  const peer = `http://127.0.0.1:${options.peerPort}`;
  return [
    `--name=${options.name}`,
    `--data-dir=${options.directory}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=${options.cluster}`,
    `--initial-cluster-state=${joining ? "existing" : "new"}`,
    `--listen-metrics-urls=http://127.0.0.1:${options.healthPort}`,
    "--log-level=error",
    ...(tls === undefined
      ? []
      : [
          `--cert-file=${tls.certificate}`,
          `--key-file=${tls.key}`,
          `--trusted-ca-file=${tls.authority}`,
          "--client-cert-auth",
        ]),
    ...options.flags,
  ];
}
