/** A program that the project does not bring along, and by which command one sees that it is there. */
export interface OutsideTool {
  readonly name: string;
  readonly command: string;
}

/** What `npm run test:interop` can make use of. */
export const outsideTools: readonly OutsideTool[] = [
  { name: "curl", command: "curl" },
  { name: "npm", command: "npm" },
  { name: "python", command: "python3" },
  { name: "go", command: "go" },
  { name: "kustomize", command: "go" },
  { name: "kubectl-validate", command: "go" },
  { name: "compose", command: "go" },
  { name: "promtool", command: "apt-get" },
  { name: "java", command: "mvn" },
  { name: "chromium", command: "chromium" },
];
