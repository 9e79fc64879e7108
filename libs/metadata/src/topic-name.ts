/**
 * Whether a topic may have this name: 1 to 249 letters, digits, dots, underscores and hyphens, and neither `.` nor `..`
 * (Kafka's rule). Returns what is wrong, or undefined.
 */
export function topicNameProblem(name: string): string | undefined {
  if (name === "") return "A topic needs a name";
  if (name.length > 249) return `A topic name has at most 249 characters, this one ${name.length}`;
  if (name === "." || name === "..") return `A topic cannot be named ${name}`;
  const stranger = /[^a-zA-Z0-9._-]/u.exec(name)?.[0];
  if (stranger === undefined) return undefined;
  return `A topic name has letters, digits, dots, underscores and hyphens; this one has ${JSON.stringify(stranger)}`;
}
