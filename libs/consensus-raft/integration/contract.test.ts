import { describeConsensusContract, describeMinorityLoss } from "@tidemark/consensus/contract";
import { createNodeRuntime } from "@tidemark/runtime";
import { createRaftCluster } from "../src/testing/raft-cluster.ts";
import { createGrpcPlaces } from "./grpc-places.ts";

const runtime = createNodeRuntime();

const name = "raft, over gRPC and on this machine's disks";
const createCluster = async () =>
  createRaftCluster({
    runtime,
    places: await createGrpcPlaces(runtime),
    turn: () => new Promise((resolve) => runtime.scheduler.after(2, resolve)),
    patienceMs: 30_000,
    timing: { electionTimeoutMs: 1_000, heartbeatMs: 100 },
    electsAtOnce: true,
  });

describeConsensusContract(name, createCluster);
describeMinorityLoss(name, createCluster);
